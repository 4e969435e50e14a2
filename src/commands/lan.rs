//! What lets a listener be found on its LAN: a relay of its own, and the word of where it is.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::CommandError;
use crate::{
    lan::{Announcer, LanError, Mdns},
    relay::Embedded,
    transfer::Member,
};

/// A listener's place on its LAN, for as long as this lives.
pub(super) struct OnLan {
    /// How the listener enters its room there.
    pub(super) seat: Arc<Member>,
    relay: Embedded,
    announcer: Result<Announcer, LanError>,
}

/// The relays at which a listener is to listen, and its place on its LAN if it has one.
///
/// Where the room has no relay, or `asked` for it, it has. Call it inside a tokio runtime.
pub(super) fn seats(
    member: &Arc<Member>,
    asked: bool,
) -> Result<(Vec<Arc<Member>>, Option<OnLan>), CommandError> {
    let mut seats = Vec::new();
    if member.has_relay() {
        seats.push(member.clone());
    }
    let mut place = None;
    if asked || seats.is_empty() {
        let on_lan = OnLan::start(member)?;
        if let Err(error) = &on_lan.announcer {
            if seats.is_empty() {
                return Err(CommandError::other(format!(
                    "nobody can find this machine: {error}"
                )));
            }
            tracing::warn!("not found on the LAN: {error}");
        }
        seats.push(on_lan.seat.clone());
        place = Some(on_lan);
    }
    Ok((seats, place))
}

impl OnLan {
    fn start(member: &Member) -> Result<Self, CommandError> {
        let relay = Embedded::start(member.room())
            .map_err(|e| CommandError::other(format!("no relay for the LAN: {e}")))?;
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, relay.port));
        let seat = Arc::new(member.on_lan(relay.fingerprint, vec![here]));
        let key = member.invite.secret.lan_key();
        let at = (relay.fingerprint, relay.port);
        let announcer = Mdns::default().announce(member.identity.clone(), key, at);
        Ok(Self {
            seat,
            relay,
            announcer,
        })
    }

    /// Takes the announcement back, and ends the relay.
    pub(super) async fn end(self) {
        if let Ok(announcer) = self.announcer {
            announcer.end().await;
        }
        self.relay.end().await;
    }
}
