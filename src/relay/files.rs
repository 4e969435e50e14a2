//! Files on their way through the relay: from the sender's streams to the recipients'.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use tracing::debug;

use super::{
    FileHook, Meters, Shared,
    fanout::{Inlet, Outlet, relay_file},
    quotas::RoomUse,
    rooms::{Member, SharedRoom},
    session::Session,
    tally::Tally,
};
use crate::{
    protocol::{Code, FileHeader, PeerId, TransferId},
    quic::{FileReceiver, FileSender, RateLimit, StreamError},
};

/// From a stream's first byte to its whole header, and to the transfer's begin.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// A sender that sends nothing on an open stream for so long is cut off.
///
/// Long, because a pipe may be quiet: the stream holds no memory of the relay meanwhile.
const QUIET_LIMIT: Duration = Duration::from_secs(600);
/// Files that may wait for one recipient to take another stream, over all senders.
const FILES_WAITING_MAX: usize = 4096;

/// Takes the peer's file streams until its connection ends.
pub(super) async fn accept(shared: Arc<Shared>, member: Arc<Member>) {
    let limit = shared.quotas.peer(member.session.peer());
    while let Ok(stream) = member.session.link.accept_file().await {
        let (shared, member, limit) = (shared.clone(), member.clone(), limit.clone());
        // Not tied to the session: what a sender has finished is delivered even when it is gone.
        tokio::spawn(async move { pass_on(&shared, &member, stream, limit).await });
    }
}

/// Reads one file's header and fans the rest out to the transfer's recipients.
async fn pass_on(
    shared: &Arc<Shared>,
    member: &Member,
    mut stream: FileReceiver,
    limit: Arc<RateLimit>,
) {
    let session = &member.session;
    let header = match timeout(HEADER_LIMIT, stream.header()).await {
        Ok(Ok(header)) => header,
        Ok(Err(error)) => {
            debug!(%error, "no file header");
            return stream.stop(error.code());
        }
        Err(_) => return stream.stop(Code::Timeout),
    };
    let (recipients, tally) =
        match timeout(HEADER_LIMIT, participants(member, header.transfer)).await {
            Ok(Some(recipients)) => recipients,
            Ok(None) => return stream.stop(Code::UnknownTransfer),
            Err(_) => return stream.stop(Code::Timeout),
        };
    let quota = &member.room.quota;
    let _place = match quota.try_file() {
        Some(place) => place,
        None => {
            let Some(_lent) = session.windows.lend(header.class) else {
                // Its sender goes on with it in another attempt.
                return stream.stop(Code::Behind);
            };
            quota.file().await
        }
    };
    let _active = shared.meters.file();
    let recipients = recipients
        .into_iter()
        .filter_map(|to| recipient(shared, header, (&member.room, to)))
        .collect();
    let report = relay_file(
        StreamInlet {
            stream,
            limit,
            room: quota.clone(),
            session: session.clone(),
            meters: shared.meters.clone(),
        },
        recipients,
        &shared.fanout,
        &shared
            .budget
            .share_of(member.room_id, session.peer(), &quota.spool),
    )
    .await;
    tally.add(&report);
    shared.meters.spooled(report.bytes_spooled);
    for delivery in &report.deliveries {
        let ended = delivery.outcome.code();
        shared.meters.delivery(ended, delivery.was_spooled);
    }
    if report.end.is_ok() {
        session.windows.ended();
    }
    debug!(file = header.file.0, bytes = report.bytes_in, "passed on");
}

/// The settled recipients of a transfer that this session sends.
async fn participants(member: &Member, id: TransferId) -> Option<(Vec<Arc<Session>>, Arc<Tally>)> {
    let (session, room) = (&member.session, &member.room);
    // The file's stream may overtake the control stream's `Begin`.
    let mut begun = room.lock().sent_by(id, &session.mailbox)?.begun();
    begun.wait_for(|begun| *begun).await.ok()?;
    let mut room = room.lock();
    let transfer = room.sent_by(id, &session.mailbox)?;
    let tally = transfer.tally().clone();
    let ids: Vec<_> = transfer.participants().map(|mailbox| mailbox.id).collect();
    let sessions = ids.into_iter().filter_map(|id| room.session(id).cloned());
    Some((sessions.collect(), tally))
}

/// One recipient's way out: a stream on its connection, opened when it takes one.
fn recipient(
    shared: &Arc<Shared>,
    header: FileHeader,
    (room, to): (&SharedRoom, Arc<Session>),
) -> Option<(
    PeerId,
    impl Future<Output = Result<StreamOutlet, Code>> + Send + use<>,
)> {
    let peer = to.peer();
    let Some(waiting) = Waiting::enter(to.clone()) else {
        let mut room = room.lock();
        room.drop_recipient(header.transfer, &to.mailbox, Code::Behind);
        return None;
    };
    to.windows.receives();
    let meters = shared.meters.clone();
    let hook = shared
        .hook
        .as_ref()
        .and_then(|hook| hook.file(&header, peer));
    let open = async move {
        let stream = to
            .link
            .open_file(header.class)
            .await
            .map_err(|e| StreamError::from(e).code())?;
        drop(waiting);
        let mut outlet = StreamOutlet {
            stream,
            hook,
            session: to.clone(),
            meters,
        };
        outlet.begin(header).await?;
        Ok(outlet)
    };
    Some((peer, open))
}

/// Counts a file that waits for its recipient to take a stream.
struct Waiting(Arc<Session>);

impl Waiting {
    fn enter(session: Arc<Session>) -> Option<Self> {
        let before = session.files_waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(session);
        (before < FILES_WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.files_waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The sender's stream, as the fan-out reads it.
struct StreamInlet {
    stream: FileReceiver,
    limit: Arc<RateLimit>,
    room: Arc<RoomUse>,
    session: Arc<Session>,
    meters: Meters,
}

impl Inlet for StreamInlet {
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize, Code> {
        let count = match timeout(QUIET_LIMIT, self.stream.read(buffer)).await {
            Ok(read) => read.map_err(|e| e.code())?,
            Err(_) => return Err(Code::Timeout),
        };
        self.session.windows.read(count);
        self.session
            .traffic
            .received
            .fetch_add(count as u64, Ordering::Relaxed);
        self.meters.received(count as u64);
        self.limit.pass(count).await;
        self.room.rate.pass(count).await;
        Ok(count)
    }

    fn stop(self, code: Code) {
        self.stream.stop(code);
    }
}

/// A recipient's stream, as the fan-out writes it.
struct StreamOutlet {
    stream: FileSender,
    hook: Option<Box<dyn FileHook>>,
    session: Arc<Session>,
    meters: Meters,
}

impl StreamOutlet {
    fn count(&self, bytes: usize) {
        let sent = &self.session.traffic.sent;
        sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.meters.sent_to_peer(bytes as u64);
    }

    async fn begin(&mut self, header: FileHeader) -> Result<(), Code> {
        let header = match &mut self.hook {
            Some(hook) => hook.header(header),
            None => header,
        };
        self.stream
            .write(Bytes::copy_from_slice(&header.encode()))
            .await
            .map_err(|e| e.code())
    }
}

impl Outlet for StreamOutlet {
    async fn write(&mut self, piece: &mut Bytes) -> Result<(), Code> {
        let Some(hook) = &mut self.hook else {
            let before = piece.len();
            self.stream.write_some(piece).await.map_err(|e| e.code())?;
            self.count(before - piece.len());
            return Ok(());
        };
        let pieces = hook.piece(std::mem::take(piece));
        for piece in pieces {
            let len = piece.len();
            self.stream.write(piece).await.map_err(|e| e.code())?;
            self.count(len);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Code> {
        if let Some(hook) = &mut self.hook {
            for piece in hook.end() {
                self.stream.write(piece).await.map_err(|e| e.code())?;
            }
        }
        self.stream.finish().map_err(|e| e.code())
    }

    fn reset(self, code: Code) {
        self.stream.reset(code);
    }
}
