//! What another relay says on a room's stream, and what is done about it.

use std::{net::SocketAddr, sync::Arc};

use super::OpenLine;
use crate::{
    protocol::{PeerId, PeerMessage, PeerState, ServerToClient, SignedBundle, TransferId},
    quic::StreamError,
    relay::{
        Shared,
        mailbox::Mailbox,
        requests::{check_bundle, check_offer, gone, offer_to, tell},
        room::Shown,
        trunk_message::RoomMessage,
    },
};

/// Acts on one message. Never waits.
///
/// # Errors
/// What ends the stream.
pub(super) fn on_message(
    shared: &Arc<Shared>,
    open: &OpenLine,
    message: RoomMessage,
) -> Result<(), StreamError> {
    match message {
        RoomMessage::Open { .. } | RoomMessage::Opened { .. } => {
            Err(StreamError::Malformed("a second opening".into()))
        }
        RoomMessage::Member {
            id,
            bundle,
            state,
            since_secs,
        } => {
            let shown = Shown {
                peer: id,
                bundle,
                state,
                since_secs,
            };
            member(shared, open, shown)
        }
        RoomMessage::MembersEnd {} => {
            open.room.lock().complete(open.line.id());
            Ok(())
        }
        RoomMessage::Pass { to, message } => pass(shared, open, to, message),
        RoomMessage::Begin {
            transfer,
            peers,
            more,
        } => {
            let mut room = open.room.lock();
            let sent = room.sent_from(open.line.id(), transfer);
            let late = sent.map(|sent| sent.begin_with(transfer, (&peers, more)));
            for mailbox in late.unwrap_or_default() {
                room.note(transfer, &mailbox);
            }
            Ok(())
        }
        RoomMessage::Close { transfer } => {
            let mut room = open.room.lock();
            if room.sent_from(open.line.id(), transfer).is_some() {
                room.remove_transfer(transfer);
            }
            Ok(())
        }
        RoomMessage::Unknown => Ok(()),
    }
}

fn member(shared: &Arc<Shared>, open: &OpenLine, shown: Shown) -> Result<(), StreamError> {
    let peer = shown.peer;
    if shown.state != PeerState::Gone {
        check_size(&shown.bundle)?;
        check_bundle(&shown.bundle, peer).map_err(|(_, why)| StreamError::Malformed(why))?;
    }
    let mailbox = || {
        let spool = &open.room.quota.spool;
        let share = shared.budget.share_of(open.room_id, peer, spool);
        Mailbox::there(shared.next_session(), peer, share, open.line.clone())
    };
    let mut room = open.room.lock();
    room.far_member(open.line.id(), shown, mailbox)
        .map_err(StreamError::Ended)
}

/// A client could not have published more.
fn check_size(bundle: &SignedBundle) -> Result<(), StreamError> {
    let size = bundle.body.0.len() + bundle.signature.0.len() + bundle.mac.0.len();
    match size <= BUNDLE_MAX {
        true => Ok(()),
        false => Err(StreamError::Malformed(format!(
            "a bundle of {size} bytes, where {BUNDLE_MAX} are allowed"
        ))),
    }
}

fn pass(
    shared: &Arc<Shared>,
    open: &OpenLine,
    to: Option<PeerId>,
    message: ServerToClient,
) -> Result<(), StreamError> {
    let line = open.line.id();
    match message {
        ServerToClient::Told {
            transfer,
            from,
            message,
            at,
        } => {
            // Somebody who has just left.
            let Some(who) = open.room.lock().far_mailbox(line, from).cloned() else {
                return Ok(());
            };
            told(shared, (open, &who), transfer, to, (message, at))
        }
        ServerToClient::Gone {
            transfer,
            peer,
            code,
        } => {
            let mut room = open.room.lock();
            room.far_gone(line, (transfer, to), (peer, code));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn told(
    shared: &Arc<Shared>,
    (open, who): (&OpenLine, &Arc<Mailbox>),
    transfer: TransferId,
    to: Option<PeerId>,
    (message, at): (PeerMessage, Option<SocketAddr>),
) -> Result<(), StreamError> {
    let (PeerMessage::Offer { offer }, Some(to)) = (&message, to) else {
        tell(&open.room, who, transfer, to, (message, at));
        return Ok(());
    };
    check_offer(offer)?;
    let of = (&*open.room, open.room_id, who);
    if let Err(code) = offer_to(shared, of, transfer, (to, offer.clone())) {
        gone(who, transfer, to, code);
    }
    Ok(())
}

/// The longest bundle, in bytes: what fits into a client's `hello`.
const BUNDLE_MAX: usize = 12 << 10;
