//! Files to machines you know, by name, through a relay you own and need not trust.
//!
//! The map of the house, from the top down; imports only ever point downward:
//!
//! | room | what happens there |
//! |---|---|
//! | [`commands`] | one file per verb of the command line; the only room that knows clap |
//! | [`display`] | everything that people see while files move, the viewer, the menu |
//! | [`relay`] | the server: admission, rooms, sessions, fan-out, spool |
//! | [`transfer`] | the client: offer, seal, send, receive, open, receipts |
//! | [`quic`] | the only room that names quinn and rustls: TLS, tuning, typed streams |
//! | [`storage`] | files read from and written to disk |
//! | [`sealing`] | end-to-end encryption of a transfer; no I/O |
//! | [`identity`] | my key, invites, rooms, bundles, known peers |
//! | [`protocol`] | IDs, names, messages, headers and codes on the wire; no I/O |
#![forbid(unsafe_code)]

pub mod commands;
pub mod display;
pub mod identity;
pub mod protocol;
pub mod quic;
pub mod relay;
pub mod sealing;
pub mod storage;
pub mod transfer;
