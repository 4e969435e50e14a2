//! Who is in the room, by the members' own word: the relay's is not enough.

use std::time::Duration;

use super::{Connection, unix_now};
use crate::{
    identity::{Bundle, MemberKey},
    protocol::{ClientToServer, PeerId, PeerName, PeerState, ServerToClient, SignedBundle},
};

/// Peers that are listed at the most.
const PEERS_MAX: usize = 20_000;
/// How long the relay may take to list them.
const LIST_LIMIT: Duration = Duration::from_secs(10);

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

/// Reads what the relay says of peers, and drops what no member has made.
#[derive(Debug)]
pub struct Presence {
    member_key: MemberKey,
}

impl Presence {
    /// For the room of this key.
    #[must_use]
    pub fn new(member_key: MemberKey) -> Self {
        Self { member_key }
    }

    /// Asks who is there; with `watch`, every later change will be told as well.
    ///
    /// `None` when the connection ends or the relay does not answer.
    pub async fn list(&self, connection: &mut Connection, watch: bool) -> Option<Vec<Peer>> {
        connection
            .voice()
            .say(ClientToServer::Peers { watch })
            .await;
        let listing = async {
            let mut peers = Vec::new();
            loop {
                match connection.hear().await? {
                    ServerToClient::PeersEnd {} => return Some(peers),
                    message if peers.len() < PEERS_MAX => peers.extend(self.hear(message)),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(LIST_LIMIT, listing)
            .await
            .ok()
            .flatten()
    }

    /// The peer that a message tells of, if it does and its bundle holds.
    #[must_use]
    pub fn hear(&self, message: ServerToClient) -> Option<Peer> {
        let ServerToClient::Peer {
            id,
            bundle,
            state,
            since_secs,
        } = message
        else {
            return None;
        };
        let bundle = self.check(&bundle, id)?;
        Some(Peer {
            id,
            name: bundle.name.clone(),
            state,
            since: Duration::from_secs(since_secs),
            bundle,
        })
    }

    fn check(&self, bundle: &SignedBundle, id: PeerId) -> Option<Bundle> {
        match Bundle::verify(bundle, &self.member_key, id, unix_now()) {
            Ok(bundle) => Some(bundle),
            Err(error) => {
                tracing::warn!(peer = id.short(), %error, "ignored");
                None
            }
        }
    }
}
