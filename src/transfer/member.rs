//! A member of a room: what it takes to enter it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Relays, unix_now};
use crate::{
    direct::Policy,
    home::RoadNotes,
    identity::{
        BUNDLE_LIFETIME, Bundle, HostPort, HpkePublicKey, Identity, Invite, MemberKey, Name,
        RelayAddress,
    },
    lan::Mdns,
    protocol::{PeerId, Road, RoomId, SignedBundle},
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
    /// Which relays of a cluster there are, and which failed just now.
    pub relays: Arc<Relays>,
    /// Where it is noted which roads were open.
    pub road_notes: Option<RoadNotes>,
    /// Where listeners of the room are searched for besides, if anywhere.
    pub lan: Option<Mdns>,
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
    /// A member that reaches its relay by every road that there is, and notes nothing.
    #[must_use]
    pub fn new(identity: Arc<Identity>, name: Name, invite: Invite) -> Self {
        Self {
            identity,
            name,
            invite,
            tuning: Tuning::default(),
            roads: Roads::default(),
            direct: Policy::default(),
            relays: Arc::default(),
            road_notes: None,
            lan: None,
            bundle_lifetime: BUNDLE_LIFETIME,
        }
    }

    /// The same member of the same room, at a relay on this LAN.
    #[must_use]
    pub fn on_lan(&self, relay: PeerId, addresses: Vec<SocketAddr>) -> Self {
        let invite = Invite {
            relay: addresses.first().and_then(|address| {
                let at = HostPort::new(&address.ip().to_string(), address.port()).ok()?;
                Some(RelayAddress::new(at, relay))
            }),
            secret: self.invite.secret.clone(),
        };
        Self {
            tuning: self.tuning,
            roads: Roads::on_lan(addresses),
            bundle_lifetime: self.bundle_lifetime,
            ..Self::new(self.identity.clone(), self.name.clone(), invite)
        }
    }

    /// Whether there is a relay, and a road to it that may be taken.
    #[must_use]
    pub fn has_relay(&self) -> bool {
        self.invite.relay.is_some() && (self.roads.udp || self.roads.tcp)
    }

    /// Where it enters the room, for people: the relay's host and port, or `lan`.
    #[must_use]
    pub fn place(&self) -> String {
        match self.roads.lan.is_empty() {
            true => self.invite.place(),
            false => Road::Lan.to_string(),
        }
    }

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

    /// A fresh bundle, with a key to seal to where I listen.
    #[must_use]
    pub fn bundle(&self, hpke: Option<HpkePublicKey>) -> SignedBundle {
        self.bundle_with(hpke, false)
    }

    /// The same, which says whether I take direct connections.
    pub(super) fn bundle_with(&self, hpke: Option<HpkePublicKey>, direct: bool) -> SignedBundle {
        let expires = unix_now() + self.bundle_lifetime.as_secs();
        let bundle = Bundle {
            direct,
            hard_links: true,
            ..Bundle::new(self.identity.public_key(), &self.name, hpke, expires)
        };
        bundle.sign(&self.identity, &self.member_key())
    }
}
