//! What a peer asks of the relay, and what it says to others.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    Shared,
    mailbox::Mailbox,
    rooms::{Member, SharedRoom},
    tally::Tally,
};
use crate::{
    identity::{Bundle, MAC_LEN, SIGNATURE_LEN},
    protocol::{
        ClientToServer, Code, PeerId, PeerMessage, RoomId, ServerToClient, SignedBundle,
        SignedOffer, TransferId,
    },
    quic::StreamError,
};

/// Transfers that one connection may send at once.
const TRANSFERS_PER_SESSION: usize = 64;
/// Transfers that a peer at another relay may send to here, over all of its connections.
const TRANSFERS_PER_FAR_SENDER: usize = 256;
/// For so long an offer waits for the line to another relay.
const LINE_LIMIT: Duration = Duration::from_secs(10);

/// Acts on one control message.
///
/// # Errors
/// What ends the connection.
pub(super) async fn on_message(
    shared: &Shared,
    member: &Member,
    message: ClientToServer,
) -> Result<(), StreamError> {
    let session = &member.session;
    match message {
        ClientToServer::Hello { .. } => {
            return Err(StreamError::Malformed("a second hello".into()));
        }
        ClientToServer::Publish { bundle } => {
            check_bundle(&bundle, session.peer())
                .map_err(|(_, why)| StreamError::Malformed(why))?;
            session.set_bundle(bundle);
            member.room.lock().announce(session);
        }
        ClientToServer::Peers { watch } => {
            if let Some(trunks) = &shared.trunks {
                trunks.known(member.room_id, &member.room).await;
            }
            if watch {
                member.room.lock().watch(session);
            }
            list(member).await;
            let end = ServerToClient::PeersEnd {};
            session.mailbox.send_when_room(end).await;
        }
        ClientToServer::Tell {
            transfer,
            to: Some(to),
            message: PeerMessage::Offer { offer },
        } => {
            check_offer(&offer)?;
            session.windows.sends();
            // Offers to many at another relay go through one queue: they wait for it, not for each other.
            let line = member
                .room
                .lock()
                .listener(to)
                .and_then(|to| to.line().cloned());
            if let Some(line) = line {
                let room = line.outbox().room_of(session.peer());
                let _ = timeout(LINE_LIMIT, room).await;
            }
            let of = (&*member.room, member.room_id, &session.mailbox);
            if let Err(code) = offer_to(shared, of, transfer, (to, offer)) {
                gone(&session.mailbox, transfer, to, code);
            }
        }
        ClientToServer::Tell {
            transfer,
            to,
            message,
        } => {
            let at = match message {
                PeerMessage::Path { .. } => session.udp_address(),
                _ => None,
            };
            tell(&member.room, &session.mailbox, transfer, to, (message, at));
        }
        ClientToServer::Begin { transfer } => {
            let mut room = member.room.lock();
            if let Some(sent) = room.sent_by(transfer, &session.mailbox) {
                sent.begin(transfer);
            }
        }
        ClientToServer::Close { transfer } => {
            let mut room = member.room.lock();
            if room.sent_by(transfer, &session.mailbox).is_some() {
                room.remove_transfer(transfer);
            }
        }
        ClientToServer::Unknown => {}
    }
    Ok(())
}

/// Tells a session who is here, at the pace at which it reads.
///
/// While it does not read, nothing is kept for it but a few IDs: what others say of themselves may be long.
async fn list(member: &Member) {
    let session = &member.session;
    let mut last = None;
    loop {
        let next = member.room.lock().present_after(last);
        let Some(end) = next.last() else { return };
        last = Some(*end);
        for peer in next {
            session.mailbox.outbox().room().await;
            let presence = member.room.lock().presence_of(peer, session);
            if let Some(presence) = presence {
                session.mailbox.send(presence);
            }
        }
    }
}

/// Offers a transfer of `sender`'s to one peer: one that is here, where the sender is not.
///
/// # Errors
/// Why it is not offered.
pub(super) fn offer_to(
    shared: &Shared,
    (room, room_id, sender): (&SharedRoom, RoomId, &Arc<Mailbox>),
    id: TransferId,
    (to, offer): (PeerId, SignedOffer),
) -> Result<(), Code> {
    let mut room = room.lock();
    let (listener, max) = match sender.line() {
        None => (room.listener(to), TRANSFERS_PER_SESSION),
        Some(_) => (room.near_listener(to), TRANSFERS_PER_FAR_SENDER),
    };
    let listener = listener.ok_or(Code::PeerGone)?.clone();
    // Busy, to its sender, is a reason to try again: after a restart.
    let tally = || {
        let of = (room_id, id);
        let drains = shared.draining.load(Relaxed);
        (!drains).then(|| Tally::new(&shared.meters, of, sender.peer))
    };
    let transfer = room.offered_by(id, sender, (max, tally))?;
    let offered = transfer.offer(id, &listener, PeerMessage::Offer { offer });
    room.note(id, &listener);
    offered
}

/// Passes on what one peer says to another about a transfer, and from where, if that matters.
pub(super) fn tell(
    room: &SharedRoom,
    who: &Mailbox,
    id: TransferId,
    to: Option<PeerId>,
    (message, at): (PeerMessage, Option<SocketAddr>),
) {
    let mut room = room.lock();
    if let Some(transfer) = room.sent_by(id, who) {
        for out in transfer.on_sender_message(id, to, (message, at)) {
            room.note(id, &out);
        }
    } else if let Some(transfer) = room.transfer(id) {
        let result = transfer.on_recipient_message(id, who, (message, at));
        room.note(id, who);
        drop(room);
        if let Err(code) = result {
            gone(who, id, who.peer, code);
        }
    }
    // Else the transfer is over: what was still on its way is of no use to anyone.
}

pub(super) fn gone(who: &Mailbox, transfer: TransferId, peer: PeerId, code: Code) {
    who.send(ServerToClient::Gone {
        transfer,
        peer,
        code,
    });
}

/// The parts of fixed size must have it: nobody fills another's queue with what cannot be an offer.
pub(super) fn check_offer(offer: &SignedOffer) -> Result<(), StreamError> {
    for (part, got, most) in [
        ("signature", offer.signature.0.len(), SIGNATURE_LEN),
        ("mac", offer.mac.0.len(), MAC_LEN),
    ] {
        if got > most {
            let what = format!("an offer's {part} of {got} bytes, where {most} are allowed");
            return Err(StreamError::Malformed(what));
        }
    }
    Ok(())
}

/// A bundle must at least be its sender's own; whether it belongs to the room, only members can tell.
pub(super) fn check_bundle(bundle: &SignedBundle, peer: PeerId) -> Result<(), (Code, String)> {
    Bundle::peek(bundle, peer)
        .map(|_| ())
        .map_err(|e| (Code::Protocol, e.to_string()))
}
