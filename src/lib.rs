//! Files to machines you know, by name, through a relay you own and need not trust.
//!
//! The map of the house, from the top down; imports only ever point downward:
//!
//! | room | what happens there |
//! |---|---|
//! | [`commands`] | one file per verb of the command line; the only room that knows clap |
//! | [`display`] | everything that people see while files move, the viewer, the menu |
//! | [`relay`] | the server: admission, rooms, sessions, fan-out, spool |
//! | [`cluster`] | several relays as one: who the others are, and which rooms they share |
//! | [`operation`] | what whoever operates a relay sees of it: metrics, status |
//! | [`transfer`] | the client: offer, seal, send, receive, open, receipts |
//! | [`direct`] | paths between two peers without a relay: addresses, probes, punching; no I/O |
//! | [`lan`] | finding the members of a room on the same LAN, by multicast DNS |
//! | [`quic`] | the only room that names quinn and rustls: TLS, tuning, typed streams |
//! | [`storage`] | files read from and written to disk |
//! | [`home`] | what is on disk about me: key, invite, known peers |
//! | [`sealing`], [`identity`], [`protocol`] | the crate `p2p-core`: end-to-end encryption; keys, rooms, invites; what is on the wire. No I/O |
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod cluster;
pub mod commands;
pub mod direct;
pub mod display;
pub mod home;
pub mod lan;
pub mod operation;
pub mod quic;
pub mod relay;
pub mod storage;
pub mod transfer;

pub use p2p_core::{identity, protocol, sealing};
