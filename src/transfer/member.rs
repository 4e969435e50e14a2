//! A member of a room: what it takes to enter it.

use std::{sync::Arc, time::Duration};

use super::unix_now;
use crate::{
    direct::Policy,
    home::RoadNotes,
    identity::{Bundle, HpkePublicKey, Identity, Invite, MemberKey, Name},
    protocol::{PeerId, RoomId},
    quic::{ConnectError, LinkError, Roads, Tuning},
};

/// Who I am and which room I belong to: what it takes to connect.
#[derive(Debug)]
pub struct Member {
    /// My key.
    pub identity: Arc<Identity>,
    /// My name.
    pub name: Name,
    /// The relay and the room.
    pub invite: Invite,
    /// Transport parameters.
    pub tuning: Tuning,
    /// How the relay may be reached.
    pub roads: Roads,
    /// Whether files may go to other members directly.
    pub direct: Policy,
    /// Where it is noted which roads were open.
    pub road_notes: Option<RoadNotes>,
    /// For how long a bundle of mine is valid.
    pub bundle_lifetime: Duration,
}

/// Why a room could not be entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// The relay could not be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The room is on no relay: its members meet on their LAN.
    #[error("the room has no relay")]
    NoRelay,
    /// The relay does not admit the room.
    #[error("the relay does not admit this room")]
    NotAdmitted,
    /// The relay ended the connection before it said welcome.
    #[error("the relay did not let this machine in: {0}")]
    TurnedAway(LinkError),
}

impl EnterError {
    /// Whether another attempt may go better.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        !matches!(
            self,
            Self::Connect(ConnectError::WrongKey { .. } | ConnectError::Config(_))
                | Self::NotAdmitted
                | Self::NoRelay
        )
    }
}

impl Member {
    /// The room's ID.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.invite.secret.room_id()
    }

    /// The room's member key.
    #[must_use]
    pub fn member_key(&self) -> MemberKey {
        self.invite.secret.member_key()
    }

    /// My ID.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.identity.id()
    }

    /// A fresh bundle, with a key to seal to where I listen, and whether I take direct connections.
    #[must_use]
    pub fn bundle(
        &self,
        hpke: Option<HpkePublicKey>,
        direct: bool,
    ) -> crate::protocol::SignedBundle {
        let bundle = Bundle {
            key: self.identity.public_key(),
            name: self.name.name.clone(),
            chosen: self.name.chosen,
            hpke,
            direct,
            expires_unix: unix_now() + self.bundle_lifetime.as_secs(),
        };
        bundle.sign(&self.identity, &self.member_key())
    }
}
