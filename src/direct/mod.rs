//! Direct paths between two peers of a transfer: who tries which addresses when, and what is believed.
//!
//! Nothing here reads a clock or sends anything; [`Punch`] is told of both. The relay never sees an address of a
//! local network: what the ends tell each other ([`Candidates`]) is sealed with a
//! [`PathKey`](crate::sealing::PathKey) that only they have, and so are probes authenticated.
//!
//! - [`candidates`](Candidates): where an end can be reached, and what of it is believed
//! - [`guess`](Guess): ports that nobody knows
//! - [`interfaces`](Interfaces): the addresses of this machine
//! - [`Policy`]: whether there may be direct paths, and which
//! - [`probe`](Probe): the packets that open a way
//! - [`punch`](Punch): when they are sent, and which way is taken

mod candidates;
mod guess;
mod interfaces;
mod probe;
mod punch;

pub use candidates::{CANDIDATES_MAX, Candidates, CandidatesError, Reach, is_acceptable};
pub use guess::{GUESS_SOCKETS, Guess, GuessSend};
pub use interfaces::Interfaces;
pub use probe::{PROBE_LEN, Probe, ProbeKind, probe_tag};
pub use punch::{Path, Punch};

/// Whether files may take direct paths, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Any that can be opened; the relay carries what none is open for.
    #[default]
    Auto,
    /// Only within a network that this machine is on.
    Lan,
    /// None: no address of this machine is told to anybody.
    Never,
    /// Nothing but direct paths, on this machine too: for tests, and for people who want to know.
    Only,
}

impl Policy {
    /// Whether ports may be guessed: nobody hides them within a network.
    #[must_use]
    pub fn guesses(self) -> bool {
        matches!(self, Self::Auto | Self::Only)
    }

    /// Which machines paths may lead to.
    #[must_use]
    pub fn reach(self) -> Reach {
        match self {
            Self::Only => Reach::Machine,
            _ => Reach::Network,
        }
    }
}
