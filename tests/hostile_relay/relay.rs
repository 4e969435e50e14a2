//! A relay that lies on demand.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use p2p::{
    protocol::{FRAME_HEADER_LEN, FileHeader, FrameHeader, PeerId, ServerToClient},
    relay::{FileHook, Hook},
};

type MessageLie = Box<dyn FnMut(PeerId, ServerToClient) -> Vec<ServerToClient> + Send>;
type FileLie = Box<dyn FnMut(&FileHeader, PeerId) -> Option<Box<dyn FileHook>> + Send>;

/// What stands inside the relay: honest until it is told a lie to tell.
#[derive(Default)]
pub struct Liar {
    messages: Mutex<Option<MessageLie>>,
    files: Mutex<Option<FileLie>>,
}

impl Liar {
    /// From now on, `lie` says what each peer hears in place of a message.
    pub fn on_messages(
        &self,
        lie: impl FnMut(PeerId, ServerToClient) -> Vec<ServerToClient> + Send + 'static,
    ) {
        *lock(&self.messages) = Some(Box::new(lie));
    }

    /// From now on, `lie` says who stands between a file and a recipient.
    pub fn on_files(
        &self,
        lie: impl FnMut(&FileHeader, PeerId) -> Option<Box<dyn FileHook>> + Send + 'static,
    ) {
        *lock(&self.files) = Some(Box::new(lie));
    }

    /// From now on, files for `victim` are what `rewrite` makes of them.
    pub fn rewrite_files(
        &self,
        victim: PeerId,
        rewrite: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) {
        let rewrite = Arc::new(rewrite);
        self.on_files(move |_, to| {
            let rewrite = rewrite.clone();
            (to == victim).then(|| Rewritten::boxed(move |stream| rewrite(stream)))
        });
    }

    /// From now on, everything is passed on as it came.
    pub fn be_honest(&self) {
        *lock(&self.messages) = None;
        *lock(&self.files) = None;
    }
}

impl Hook for Liar {
    fn message(&self, to: PeerId, message: ServerToClient) -> Vec<ServerToClient> {
        match &mut *lock(&self.messages) {
            Some(lie) => lie(to, message),
            None => vec![message],
        }
    }

    fn file(&self, header: &FileHeader, to: PeerId) -> Option<Box<dyn FileHook>> {
        lock(&self.files).as_mut().and_then(|lie| lie(header, to))
    }
}

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Liar")
    }
}

/// Holds a whole stream back, and sends something else in its place.
pub struct Rewritten {
    held: Vec<u8>,
    rewrite: Box<dyn FnMut(Vec<u8>) -> Vec<u8> + Send>,
}

impl Rewritten {
    pub fn boxed(rewrite: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static) -> Box<dyn FileHook> {
        Box::new(Self {
            held: Vec::new(),
            rewrite: Box::new(rewrite),
        })
    }
}

impl FileHook for Rewritten {
    fn piece(&mut self, piece: Bytes) -> Vec<Bytes> {
        self.held.extend_from_slice(&piece);
        Vec::new()
    }

    fn end(&mut self) -> Vec<Bytes> {
        vec![(self.rewrite)(std::mem::take(&mut self.held)).into()]
    }
}

impl fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rewritten")
    }
}

/// Passes a stream on under another clear header.
#[derive(Debug)]
pub struct Relabelled(pub FileHeader);

impl FileHook for Relabelled {
    fn header(&mut self, _: FileHeader) -> FileHeader {
        self.0
    }

    fn piece(&mut self, piece: Bytes) -> Vec<Bytes> {
        vec![piece]
    }
}

/// Passes a stream on and keeps a copy.
#[derive(Debug)]
pub struct Recorded(pub Arc<Mutex<Vec<u8>>>);

impl FileHook for Recorded {
    fn piece(&mut self, piece: Bytes) -> Vec<Bytes> {
        lock(&self.0).extend_from_slice(&piece);
        vec![piece]
    }
}

/// Cuts what follows a stream's clear header into frames, as anyone on the way can.
pub fn frames(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((header, _)) = stream.split_first_chunk::<FRAME_HEADER_LEN>() {
        let header = FrameHeader::decode(*header).expect("an honest sender's frame");
        let (frame, rest) = stream.split_at(FRAME_HEADER_LEN + header.len);
        frames.push(frame.to_vec());
        stream = rest;
    }
    assert!(
        stream.is_empty(),
        "an honest sender's stream ends with a frame"
    );
    frames
}

/// Locks what only tests share: one that panicked has failed already.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
