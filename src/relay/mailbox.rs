//! Where one connection's messages go: all that a transfer knows of a peer.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use super::{
    Hook,
    budget::Share,
    line::Line,
    outbox::{Full, Outbox},
};
use crate::protocol::{Code, PeerId, ServerToClient, encode_control};

/// Tells a session apart from every other of its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId(pub(super) u64);

/// Where a member of a room is.
#[derive(Debug)]
enum Location {
    /// It is connected to this relay.
    Here(Outbox),
    /// It is connected to another one, which is reached by this line.
    There(Arc<Line>),
}

/// One peer's connection, as messages see it.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) id: SessionId,
    pub(super) peer: PeerId,
    at: Location,
    share: Share,
    hook: Option<Arc<dyn Hook>>,
}

impl Mailbox {
    pub(super) fn new(
        id: SessionId,
        peer: PeerId,
        share: Share,
        hook: Option<Arc<dyn Hook>>,
    ) -> Self {
        Self {
            id,
            peer,
            at: Location::Here(Outbox::default()),
            share,
            hook,
        }
    }

    /// Of a member that is at another relay.
    pub(super) fn there(id: SessionId, peer: PeerId, share: Share, line: Arc<Line>) -> Self {
        Self {
            id,
            peer,
            at: Location::There(line),
            share,
            hook: None,
        }
    }

    /// The line to it, where it is at another relay.
    pub(super) fn line(&self) -> Option<&Arc<Line>> {
        match &self.at {
            Location::Here(_) => None,
            Location::There(line) => Some(line),
        }
    }

    /// What waits for it.
    pub(super) fn outbox(&self) -> &Outbox {
        match &self.at {
            Location::Here(outbox) => outbox,
            Location::There(line) => line.outbox(),
        }
    }

    /// Whose memory its messages to others count as.
    pub(super) fn share(&self) -> &Share {
        &self.share
    }

    /// Sends a message of the relay's own; a peer that reads none is cut off.
    pub(super) fn send(&self, message: ServerToClient) {
        match &self.at {
            Location::Here(outbox) => self
                .hooked(message)
                .into_iter()
                .for_each(|message| outbox.push(message, &self.share)),
            Location::There(line) => line.send(Some(self.peer), message),
        }
    }

    /// Sends a message of the relay's own that is encoded already; `message` is what it says.
    pub(super) fn send_encoded(&self, encoded: &Bytes, message: &ServerToClient) {
        match self.hook {
            Some(_) => self.send(message.clone()),
            None => self.outbox().push(encoded.clone(), &self.share),
        }
    }

    /// Sends one of many: waits while the peer is behind with reading.
    pub(super) async fn send_when_room(&self, message: ServerToClient) {
        self.outbox().room().await;
        self.send(message);
    }

    /// Passes on what another peer says.
    ///
    /// # Errors
    /// [`Code::Behind`] when that peer has as much waiting here as it may, [`Code::TooLarge`] for a
    /// message that is too long: it is lost, and its sender's affair.
    pub(super) fn pass(&self, from: &Mailbox, message: ServerToClient) -> Result<(), Code> {
        let outbox = match &self.at {
            Location::Here(outbox) => outbox,
            Location::There(line) => {
                return line.pass(Some(self.peer), (from.peer, &from.share), message);
            }
        };
        let messages = match &self.hook {
            Some(hook) => hook.message(self.peer, message),
            None => vec![message],
        };
        for message in messages {
            let encoded = encode_control(&message).map_err(|_| Code::TooLarge)?;
            outbox
                .push_from(from.peer, &encoded.into(), &from.share)
                .map_err(|Full| Code::Behind)?;
        }
        Ok(())
    }

    fn hooked(&self, message: ServerToClient) -> Vec<Bytes> {
        let messages = match &self.hook {
            Some(hook) => hook.message(self.peer, message),
            None => vec![message],
        };
        messages.iter().filter_map(encode).collect()
    }
}

/// A message as it goes on the wire.
pub(super) fn encode(message: &ServerToClient) -> Option<Bytes> {
    let encoded = encode_control(message);
    if let Err(error) = &encoded {
        warn!(%error, "a message is not sent");
    }
    encoded.ok().map(Bytes::from)
}
