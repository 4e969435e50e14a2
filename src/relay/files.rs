//! Files on their way through the relay: from the sender's streams to the recipients'.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::BytesMut;
use tokio::time::timeout;
use tracing::debug;

use super::{
    Meters, Shared, fanout::Inlet, participants::Participants, quotas::RoomUse, rooms::Member,
    session::Session,
};
use crate::{
    protocol::Code,
    quic::{FileReceiver, RateLimit},
};

/// From a stream's first byte to its whole header, and to the transfer's begin.
pub(super) const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// A sender that sends nothing on an open stream for so long is cut off.
///
/// Long, because a pipe may be quiet: the stream holds no memory of the relay meanwhile.
pub(super) const QUIET_LIMIT: Duration = Duration::from_secs(600);
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
    let sender = &session.mailbox;
    let settled = Participants::of(&member.room, header.transfer, sender);
    let participants = match timeout(HEADER_LIMIT, settled).await {
        Ok(Some(participants)) => participants,
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
    let inlet = StreamInlet {
        stream,
        limit,
        room: quota.clone(),
        session: session.clone(),
        meters: shared.meters.clone(),
    };
    let of = (&*member.room, member.room_id, sender.peer);
    let report = participants.pass_on(shared, of, (header, inlet)).await;
    if report.end.is_ok() {
        session.windows.ended();
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
