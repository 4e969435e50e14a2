//! Whether there may be direct paths.

use super::Reach;

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
