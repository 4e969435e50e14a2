//! Where a file goes: the streams to its recipients, and to other relays.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    FileHook, Meters, Shared,
    fanout::Outlet,
    line::{FarFile, WaitingFile},
    session::Session,
};
use crate::{
    protocol::{Code, FileHeader},
    quic::{FileSender, StreamError},
};

/// Files that may wait for one recipient to take another stream, over all senders.
const FILES_WAITING_MAX: usize = 4096;

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

/// A recipient's way out: a stream on its connection, opened when it takes one. Nothing where too many
/// files wait for that.
pub(super) fn to_peer(
    shared: &Shared,
    header: FileHeader,
    to: Arc<Session>,
) -> Option<impl Future<Output = Result<StreamOutlet, Code>> + Send + use<>> {
    let waiting = Waiting::enter(to.clone())?;
    to.windows.receives();
    let meters = shared.meters.clone();
    let hook = shared.hook.as_ref();
    let hook = hook.and_then(|hook| hook.file(&header, to.peer()));
    Some(async move {
        let stream = to.link.open_file(header.class).await;
        let stream = stream.map_err(|e| StreamError::from(e).code())?;
        drop(waiting);
        let mut outlet = StreamOutlet {
            stream,
            hook,
            to: To::Peer(to),
            meters,
        };
        outlet.begin(&[], header).await?;
        Ok(outlet)
    })
}

/// The way to another relay, for all of a file's recipients there.
pub(super) fn to_relay(
    shared: &Shared,
    header: FileHeader,
    waiting: WaitingFile,
) -> impl Future<Output = Result<StreamOutlet, Code>> + Send + use<> {
    let meters = shared.meters.clone();
    async move {
        let FarFile {
            stream,
            line,
            place,
        } = waiting.open(header.class).await?;
        let mut outlet = StreamOutlet {
            stream,
            hook: None,
            to: To::Relay(place),
            meters,
        };
        outlet.begin(&line.to_be_bytes(), header).await?;
        Ok(outlet)
    }
}

/// A stream, as the fan-out writes it.
pub(super) struct StreamOutlet {
    stream: FileSender,
    hook: Option<Box<dyn FileHook>>,
    to: To,
    meters: Meters,
}

enum To {
    Peer(Arc<Session>),
    /// Its place among the room's files that are under way there.
    Relay(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
}

impl StreamOutlet {
    fn count(&self, bytes: usize) {
        match &self.to {
            To::Peer(session) => {
                let sent = &session.traffic.sent;
                sent.fetch_add(bytes as u64, Ordering::Relaxed);
                self.meters.sent_to_peer(bytes as u64);
            }
            To::Relay(_) => self.meters.sent_to_relay(bytes as u64),
        }
    }

    async fn begin(&mut self, prefix: &[u8], header: FileHeader) -> Result<(), Code> {
        let header = match &mut self.hook {
            Some(hook) => hook.header(header),
            None => header,
        };
        let start = [prefix, &header.encode()].concat();
        self.stream.write(start.into()).await.map_err(|e| e.code())
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
