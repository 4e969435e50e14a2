//! Who is in the room, by the members' own word: the relay's is not enough.

use std::time::Duration;

use super::unix_now;
use crate::{
    identity::{Bundle, BundleError, MemberKey},
    protocol::{PeerId, PeerName, PeerState, SignedBundle},
};

/// A peer whose bundle holds.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who.
    pub id: PeerId,
    /// Its name.
    pub name: PeerName,
    /// What it does.
    pub state: PeerState,
    /// For how long it has been there, by the relay's word.
    pub since: Duration,
    /// What it published.
    pub bundle: Bundle,
}

impl Peer {
    /// Checks what somebody says of a peer.
    ///
    /// # Errors
    /// Where no member of the room has made that bundle, or it does not hold now.
    pub fn checked(
        id: PeerId,
        bundle: &SignedBundle,
        state: PeerState,
        since: Duration,
        member_key: &MemberKey,
    ) -> Result<Self, BundleError> {
        let bundle = Bundle::verify(bundle, member_key, id, unix_now())?;
        Ok(Self {
            id,
            name: bundle.name.clone(),
            state,
            since,
            bundle,
        })
    }

    /// Whether offers can be made to it.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.state == PeerState::Listening && self.bundle.hpke.is_some()
    }
}
