//! Direct paths between two peers of a transfer: who tries which addresses when, and what is believed.
//!
//! Nothing here does I/O or reads a clock; [`Punch`] is told of both. The relay never sees an address of a
//! local network: what the ends tell each other ([`Candidates`]) is sealed with a
//! [`PathKey`](crate::sealing::PathKey) that only they have, and so are probes authenticated.
//!
//! - [`candidates`](Candidates): where an end can be reached, and what of it is believed
//! - [`probe`](Probe): the packets that open a way
//! - [`punch`](Punch): when they are sent, and which way is taken

mod candidates;
mod probe;
mod punch;

pub use candidates::{CANDIDATES_MAX, Candidates, CandidatesError, is_acceptable};
pub use probe::{PROBE_LEN, Probe, ProbeKind, probe_tag};
pub use punch::{Path, Punch};
