//! What a peer asks of the relay, and what it says to others.

use std::sync::atomic::Ordering::Relaxed;

use super::{Shared, rooms::Member, session::Session, tally::Tally};
use crate::{
    identity::{Bundle, MAC_LEN, SIGNATURE_LEN},
    protocol::{
        ClientToServer, Code, PeerId, PeerMessage, ServerToClient, SignedBundle, SignedOffer,
        TransferId,
    },
    quic::StreamError,
};

/// Transfers that one connection may send at once.
const TRANSFERS_PER_SESSION: usize = 64;

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
            let present = {
                let mut room = member.room.lock();
                if watch {
                    room.watch(session);
                }
                room.present(session)
            };
            for peer in present {
                session.mailbox.send_when_room(peer).await;
            }
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
            if let Err(code) = offer_to((shared, member), transfer, to, offer) {
                gone(session, transfer, to, code);
            }
        }
        ClientToServer::Tell {
            transfer,
            to,
            message,
        } => tell(member, transfer, (to, message)),
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

/// Offers a transfer to one peer.
fn offer_to(
    (shared, member): (&Shared, &Member),
    id: TransferId,
    to: PeerId,
    offer: SignedOffer,
) -> Result<(), Code> {
    let session = &member.session;
    let mut room = member.room.lock();
    let listener = room.listener(to).ok_or(Code::PeerGone)?.mailbox.clone();
    // Busy, to its sender, is a reason to try again: after a restart.
    let tally = || {
        let of = (member.room_id, id);
        let drains = shared.draining.load(Relaxed);
        (!drains).then(|| Tally::new(&shared.meters, of, session.peer()))
    };
    let transfer = room.offered_by(id, &session.mailbox, (TRANSFERS_PER_SESSION, tally))?;
    let offered = transfer.offer(id, &listener, PeerMessage::Offer { offer });
    room.note(id, &listener);
    offered
}

/// Passes on what one peer says to another about a transfer.
fn tell(member: &Member, id: TransferId, (to, message): (Option<PeerId>, PeerMessage)) {
    let session = &member.session;
    let at = match message {
        PeerMessage::Path { .. } => session.udp_address(),
        _ => None,
    };
    let mut room = member.room.lock();
    if let Some(transfer) = room.sent_by(id, &session.mailbox) {
        for out in transfer.on_sender_message(id, to, (message, at)) {
            room.note(id, &out);
        }
    } else if let Some(transfer) = room.transfer(id) {
        let result = transfer.on_recipient_message(id, &session.mailbox, (message, at));
        room.note(id, &session.mailbox);
        drop(room);
        if let Err(code) = result {
            gone(session, id, session.peer(), code);
        }
    }
    // Else the transfer is over: what was still on its way is of no use to anyone.
}

fn gone(session: &Session, transfer: TransferId, peer: PeerId, code: Code) {
    session.mailbox.send(ServerToClient::Gone {
        transfer,
        peer,
        code,
    });
}

/// The parts of fixed size must have it: nobody fills another's queue with what cannot be an offer.
fn check_offer(offer: &SignedOffer) -> Result<(), StreamError> {
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
