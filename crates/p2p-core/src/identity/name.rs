//! The name that I go by.

use crate::protocol::PeerName;

/// What I call myself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: PeerName,
    /// Whether a person chose it; otherwise it is the host's, which others may have as well.
    pub chosen: bool,
}

impl Name {
    /// A name that a person chose.
    #[must_use]
    pub fn chosen(name: PeerName) -> Self {
        Self { name, chosen: true }
    }
}
