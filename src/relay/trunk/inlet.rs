//! Files that come from another relay, for members here.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::BytesMut;
use tokio::time::timeout;
use tracing::debug;

use super::{OpenLine, Trunk};
use crate::{
    protocol::{Code, FileClass, FileHeader},
    quic::{FileReceiver, StreamError},
    relay::{
        Meters, Shared,
        fanout::Inlet,
        files::{HEADER_LIMIT, QUIET_LIMIT},
        mailbox::Mailbox,
        participants::Participants,
        windows::{Lent, Windows},
    },
};

/// Takes file streams until the connection ends.
pub(super) async fn accept(shared: &Arc<Shared>, trunk: &Arc<Trunk>) {
    while let Ok(stream) = trunk.link.accept_file().await {
        let (shared, trunk) = (shared.clone(), trunk.clone());
        // Not tied to the trunk: what has come in whole is delivered.
        tokio::spawn(async move { pass_on(&shared, &trunk, stream).await });
    }
}

async fn pass_on(shared: &Arc<Shared>, trunk: &Trunk, mut stream: FileReceiver) {
    let (number, header) = match timeout(HEADER_LIMIT, start(&mut stream)).await {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => {
            debug!(%error, "no file header");
            return stream.stop(error.code());
        }
        Err(_) => return stream.stop(Code::Timeout),
    };
    let Some(open) = trunk.line(number) else {
        return stream.stop(Code::UnknownTransfer);
    };
    let Some(_place) = Place::take(&open) else {
        return stream.stop(Code::Busy);
    };
    let Some(sender) = sender(&open, &header) else {
        return stream.stop(Code::UnknownTransfer);
    };
    let settled = Participants::of(&open.room, header.transfer, &sender);
    let participants = match timeout(HEADER_LIMIT, settled).await {
        Ok(Some(participants)) => participants,
        Ok(None) => return stream.stop(Code::UnknownTransfer),
        Err(_) => return stream.stop(Code::Timeout),
    };
    let meters = shared.meters.clone();
    let inlet = TrunkInlet {
        stream,
        class: header.class,
        windows: &trunk.windows,
        lent: None,
        meters,
    };
    let of = (&*open.room, open.room_id, sender.peer);
    participants.pass_on(shared, of, (header, inlet)).await;
}

async fn start(stream: &mut FileReceiver) -> Result<(u64, FileHeader), StreamError> {
    let mut number = [0; 8];
    stream.fill(&mut number).await?;
    Ok((u64::from_be_bytes(number), stream.header().await?))
}

/// Who sends the file, if that is somebody at the other relay.
fn sender(open: &OpenLine, header: &FileHeader) -> Option<Arc<Mailbox>> {
    let mut room = open.room.lock();
    let transfer = room.sent_from(open.line.id(), header.transfer)?;
    Some(transfer.sender().clone())
}

/// A file's place among those of its room that come from there.
struct Place<'a>(&'a OpenLine);

impl<'a> Place<'a> {
    fn take(open: &'a OpenLine) -> Option<Self> {
        let before = open.files.fetch_add(1, Relaxed);
        let place = Self(open);
        (before < FILES_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.files.fetch_sub(1, Relaxed);
    }
}

/// A stream from another relay, as the fan-out reads it.
struct TrunkInlet<'a> {
    stream: FileReceiver,
    class: FileClass,
    windows: &'a Windows,
    /// Once its recipients were behind, until its end: they may be again.
    lent: Option<Lent<'a>>,
    meters: Meters,
}

impl Inlet for TrunkInlet<'_> {
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize, Code> {
        let count = match timeout(QUIET_LIMIT, self.stream.read(buffer)).await {
            Ok(read) => read.map_err(|e| e.code())?,
            Err(_) => return Err(Code::Timeout),
        };
        self.windows.read(count);
        self.meters.received_from_relay(count as u64);
        Ok(count)
    }

    /// What it holds unread meanwhile would be missing from the trunk's window, for all rooms.
    fn stalls(&mut self) -> Result<(), Code> {
        if self.lent.is_none() {
            self.lent = self.windows.lend(self.class);
        }
        // Its sender goes on with it in another attempt.
        self.lent.as_ref().map(drop).ok_or(Code::Behind)
    }

    fn stop(self, code: Code) {
        self.stream.stop(code);
    }
}

/// Files of one room that are passed on at once: beyond what the other end keeps open itself, those that
/// it has sent whole and that wait here for their recipients.
const FILES_MAX: usize = 8192;
