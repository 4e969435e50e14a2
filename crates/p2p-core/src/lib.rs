//! What p2p says on the wire, who says it, and how it is sealed.
//!
//! | room | what is in it |
//! |---|---|
//! | [`sealing`] | end-to-end encryption of a transfer |
//! | [`identity`] | keys, rooms, bundles, invites, and whom `--to` means |
//! | [`crypto`] | the primitives, by one of two providers |
//! | [`protocol`] | IDs, names, messages, headers, frames and codes on the wire |
//!
//! Nothing here reads a file, a socket or a clock, so that any peer can be built on it.
#![deny(clippy::disallowed_methods)]

pub mod crypto;
pub mod identity;
pub mod protocol;
pub mod sealing;
