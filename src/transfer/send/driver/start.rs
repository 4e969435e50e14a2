//! An attempt begins: fresh keys, and an offer to each of its recipients.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::{
    super::{
        attempt::{Attempt, Places},
        file::Notes,
        producer::AttemptKeys,
        running::Running,
    },
    Run,
};
use crate::{
    protocol::PeerMessage,
    quic::Role,
    sealing::{NewTransfer, Suite, TransferSealer},
    transfer::{Error, ErrorKind, PeerRef, WayId, Ways, vigil::Silence},
};

impl Run<'_, '_> {
    /// Offers the payload to these, in an attempt with fresh keys.
    pub(super) fn start(
        &mut self,
        now: Duration,
        (way, ways): (WayId, &Ways<'_>),
        recipients: &[usize],
    ) {
        let (Some(channel), Some(outbox)) = (ways.channel(way), self.outboxes.get_mut(&way)) else {
            return;
        };
        let Some(walk) = self.driver.payload.take() else {
            return;
        };
        if !self.driver.payload.can_be_sent_again() {
            self.sender.on_payload_taken_for_good();
        }
        let member = self.driver.member;
        let link = recipients.iter().all(|place| {
            let peer = self.sender.present(way, self.sender.recipient(*place).id);
            peer.is_none_or(|peer| peer.bundle.hard_links)
        });
        let count = u32::try_from(recipients.len())
            .ok()
            .and_then(NonZeroU32::new);
        let sealer = TransferSealer::new(&NewTransfer {
            identity: &member.identity,
            name: &member.name,
            room: member.room(),
            member_key: &member.member_key(),
            suite: Suite::preferred(),
            recipients: count.expect("an attempt has recipients, and not four billion"),
            manifest: &self.driver.payload.manifest(link),
        });
        let transfer = sealer.transfer();
        let extent = self.driver.payload.extent(link);
        let known = (extent.files, extent.bytes, self.driver.payload.text);
        self.sender
            .on_attempt((transfer, recipients), (way, channel.road()), known);
        let mut parts = Vec::with_capacity(recipients.len());
        let mut paths = HashMap::new();
        let takes_direct = channel.takes_direct();
        for place in recipients {
            let peer = self.sender.recipient(*place).id;
            let Some(bundle) = self.sender.present(way, peer).map(|peer| &peer.bundle) else {
                continue;
            };
            match sealer.offer_and_path(bundle) {
                Ok((offer, path)) => {
                    if bundle.direct && takes_direct {
                        let name = bundle.name.clone();
                        paths.insert(peer, (PeerRef::new(peer, name), path));
                    }
                    parts.push((peer, sealer.receipts(bundle.key)));
                    let message = PeerMessage::Offer { offer };
                    outbox.message(transfer, Some(peer), message);
                }
                Err(error) => {
                    let error = Error::from_source(ErrorKind::NoSuchPeer, error);
                    self.sender.on_not_offered(now, *place, error);
                }
            }
        }
        let is_first = self.running.values().all(|running| running.way != way);
        let places = match is_first {
            true => Places::FIRST,
            false => Places::BESIDE,
        };
        let running = Running {
            attempt: Attempt::new(parts, (self.driver.timeout, places), now),
            way,
            notes: Notes {
                transfer,
                sender: self.notes.clone(),
            },
            limit: self.driver.limit.clone(),
            keys: Arc::new(AttemptKeys {
                sealer,
                compression: self.driver.compression,
            }),
            walk: Some(walk),
            link,
            announce: self.driver.replaced.is_uncounted(),
            produced: None,
            held: None,
            starts: HashMap::new(),
            tasks: JoinSet::new(),
            paths,
            direct: None,
            control: None,
            silence: Silence::new(Role::Sender, None),
            relay: channel.streams(),
            again: HashMap::new(),
            done: Vec::new(),
        };
        self.running.insert(transfer, running);
    }
}
