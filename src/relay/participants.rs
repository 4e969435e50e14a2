//! Who takes part in a transfer, here and at other relays, and how a file of it gets to them.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::Either;
use tracing::debug;

use super::{
    Shared,
    fanout::{Destination, Inlet, Report, relay_file},
    line::{Line, LineId},
    mailbox::Mailbox,
    outlets::{to_peer, to_relay},
    rooms::SharedRoom,
    session::Session,
    tally::Tally,
};
use crate::protocol::{Code, FileHeader, PeerId, RoomId, TransferId};

/// The settled recipients of one transfer.
pub(super) struct Participants {
    here: Vec<Arc<Session>>,
    /// Those at each other relay.
    there: HashMap<LineId, (Arc<Line>, Vec<PeerId>)>,
    tally: Arc<Tally>,
}

impl Participants {
    /// Waits until the transfer begins; nothing where this sender has no such transfer.
    pub(super) async fn of(room: &SharedRoom, id: TransferId, sender: &Mailbox) -> Option<Self> {
        // A file's stream may overtake the word that the transfer begins.
        let mut begun = room.lock().sent_by(id, sender)?.begun();
        begun.wait_for(|begun| *begun).await.ok()?;
        let mut room = room.lock();
        let transfer = room.sent_by(id, sender)?;
        let tally = transfer.tally().clone();
        let (mut ids, mut there) = (Vec::new(), HashMap::new());
        for mailbox in transfer.participants() {
            match mailbox.line() {
                None => ids.push(mailbox.id),
                Some(line) => {
                    let new = || (line.clone(), Vec::new());
                    let (_, peers) = there.entry(line.id()).or_insert_with(new);
                    peers.push(mailbox.peer);
                }
            }
        }
        let here = ids.into_iter().filter_map(|id| room.session(id).cloned());
        Some(Self {
            here: here.collect(),
            there,
            tally,
        })
    }

    /// Fans a file out to all of them, to each other relay once.
    pub(super) async fn pass_on(
        self,
        shared: &Shared,
        (room, room_id, sender): (&SharedRoom, RoomId, PeerId),
        (header, inlet): (FileHeader, impl Inlet),
    ) -> Report {
        let _active = shared.meters.file();
        let behind = |peer| {
            let mut room = room.lock();
            room.drop_peer(header.transfer, peer, Code::Behind);
        };
        let here = self.here.into_iter().filter_map(|to| {
            let peer = to.peer();
            let open = to_peer(shared, header, to);
            if open.is_none() {
                behind(peer);
            }
            Some((Destination::Peer(peer), Either::Left(open?)))
        });
        let there = self.there.values().filter_map(|(line, peers)| {
            let Some(waiting) = line.file() else {
                peers.iter().copied().for_each(behind);
                return None;
            };
            let (node, peers) = (line.node(), peers.clone());
            let open = to_relay(shared, header, waiting);
            Some((Destination::Relay { node, peers }, Either::Right(open)))
        });
        let report = relay_file(
            inlet,
            here.chain(there).collect(),
            &shared.fanout,
            &shared.budget.share_of(room_id, sender, &room.quota.spool),
        )
        .await;
        self.tally.add(&report);
        shared.meters.spooled(report.bytes_spooled);
        for delivery in &report.deliveries {
            let ended = delivery.outcome.code();
            shared.meters.delivery(ended, delivery.was_spooled);
            // A relay that does not take a file has not asked its recipients: they cannot say so.
            if let Err(code) = ended
                && let Code::UnknownTransfer | Code::Timeout | Code::Busy | Code::Protocol = code
                && let Some((_, peers)) =
                    self.there.values().find(|(l, _)| l.node() == delivery.peer)
            {
                let mut room = room.lock();
                let gone = |peer: &PeerId| room.drop_peer(header.transfer, *peer, Code::PeerGone);
                peers.iter().for_each(gone);
            }
        }
        debug!(file = header.file.0, bytes = report.bytes_in, "passed on");
        report
    }
}
