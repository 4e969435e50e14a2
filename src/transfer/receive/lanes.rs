//! One file's frames, by whichever stream brings the next of them.
//!
//! A file begins on one stream. While it is under way the sender may go on with it on another: from the
//! relay to a direct connection once that is open, and back when that has ended. Such a stream, a *lane*,
//! begins as the first one did, with the same sealed head, and goes on with the chunk at which the one before
//! it stopped, or with an earlier one, as it was sealed for the first.

use std::{collections::HashMap, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use super::{
    context::Context,
    outcome::{FileError, FileProgress},
    store::Frame,
};
use crate::{
    protocol::{Code, FileHeader, FileIndex, FrameHeader, FrameKind, PeerMessage},
    quic::{FileReceiver, StreamError},
    sealing::{HEAD_MAX, TAG_LEN, TransferOpener},
    transfer::buffers::Buffers,
};

/// Lanes that wait for one file; a sender has one more than the one in use.
const WAITING: usize = 1;
/// From a file stream's first byte to its whole header.
const HEADER_LIMIT: Duration = Duration::from_secs(10);
/// How long the next lane may take, from the end of the one before.
const LANE_LIMIT: Duration = Duration::from_secs(10);
/// Files whose lanes are remembered before those that are over are forgotten.
const REMEMBERED: usize = 512;

/// The frames of one file.
pub(super) struct Lanes {
    index: FileIndex,
    current: FileReceiver,
    more: mpsc::Receiver<Lane>,
    waiting: Option<Lane>,
    /// The first frame as it came, by which other lanes of the file are known.
    head: Vec<u8>,
    /// The next chunk, once there was one.
    next: Option<u32>,
    /// Whether the current lane may begin with chunks that have come before.
    overlaps: bool,
    /// Whether the trailer has come.
    whole: bool,
    progress: FileProgress,
}

/// A further stream of a file, from which its head and one more frame have been read.
pub(super) struct Lane {
    stream: FileReceiver,
    head: Vec<u8>,
    first: Option<Frame>,
}

/// Where the lanes of the files go that are under way.
#[derive(Default)]
pub(super) struct LaneBook(HashMap<FileIndex, mpsc::Sender<Lane>>);

/// What a stream is to a file.
pub(super) enum Role {
    /// Its first.
    First(mpsc::Receiver<Lane>),
    /// A further one, which has a place.
    Another(mpsc::OwnedPermit<Lane>),
    /// None that is wanted.
    Refused(Code),
}

impl LaneBook {
    /// Says what a stream of this file is, where several are allowed.
    pub(super) fn place(&mut self, index: FileIndex, opener: &TransferOpener) -> Role {
        match self.0.get(&index).filter(|lanes| !lanes.is_closed()) {
            Some(lanes) => match lanes.clone().try_reserve_owned() {
                Ok(permit) => Role::Another(permit),
                Err(_) => Role::Refused(Code::Protocol),
            },
            // All of it is here, and the sender has not heard of that yet.
            None if opener.has_opened(index) => Role::Refused(Code::NotNeeded),
            None => self.first(index),
        }
    }

    /// Takes a stream for the first of its file: a second one is refused where it is opened.
    pub(super) fn first(&mut self, index: FileIndex) -> Role {
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, lanes| !lanes.is_closed());
        }
        let (sender, lanes) = mpsc::channel(WAITING);
        self.0.insert(index, sender);
        Role::First(lanes)
    }
}

/// Reads the beginning of a further stream, and gives it to its file.
pub(super) async fn hand_over(mut stream: FileReceiver, place: mpsc::OwnedPermit<Lane>) {
    let beginning = async {
        let head = read_head(&mut stream).await?;
        let first = read_frame(&mut stream, &Buffers::default()).await?;
        Ok::<_, FileError>((head, first))
    };
    match beginning.await {
        Ok((head, first)) => drop(place.send(Lane {
            stream,
            head,
            first,
        })),
        Err(error) => stream.stop(error.code),
    }
}

/// What comes of waiting for a frame.
enum Next {
    Frame(Result<Option<Frame>, StreamError>),
    Overtaken,
}

impl Lanes {
    pub(super) fn new(
        index: FileIndex,
        stream: FileReceiver,
        more: mpsc::Receiver<Lane>,
        progress: FileProgress,
    ) -> Self {
        progress.on(stream.road());
        Self {
            index,
            current: stream,
            more,
            waiting: None,
            head: Vec::new(),
            next: None,
            overlaps: false,
            whole: false,
            progress,
        }
    }

    /// The first frame, which must be a head: its header, and its payload, sealed.
    pub(super) async fn head(&mut self) -> Result<(FrameHeader, Vec<u8>), FileError> {
        self.head = read_head(&mut self.current).await?;
        let (header, payload) = self
            .head
            .split_first_chunk()
            .expect("a head begins with its header");
        let header = FrameHeader::decode(*header).expect("it was decoded when it came");
        Ok((header, payload.to_vec()))
    }

    /// The next frame; `None` at the end.
    pub(super) async fn next_frame(
        &mut self,
        context: &Context,
        buffers: &Buffers,
    ) -> Result<Option<Frame>, FileError> {
        loop {
            if let Some(lane) = self
                .waiting
                .take_if(|lane| overtakes(&self.current, self.next, lane))
                && let Some(frame) = self.switch(lane)?
            {
                return Ok(Some(frame));
            }
            let direct = self.current.is_direct();
            let next = {
                let mut reading = std::pin::pin!(stream_frame(&mut self.current, buffers));
                loop {
                    tokio::select! {
                        biased;
                        frame = &mut reading => break Next::Frame(frame),
                        Some(lane) = self.more.recv() => {
                            let now = direct && may_follow(self.next, &lane);
                            self.waiting = Some(lane);
                            if now {
                                break Next::Overtaken;
                            }
                        }
                    }
                }
            };
            match next {
                Next::Overtaken => {}
                Next::Frame(Ok(Some(frame))) => {
                    if self.takes(&frame) {
                        return Ok(Some(frame));
                    }
                }
                Next::Frame(ended) => {
                    if let Some(end) = self.ended(context, ended).await? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Tells the sender to stop, and why.
    pub(super) fn stop(self, code: Code) {
        self.current.stop(code);
        if let Some(lane) = self.waiting {
            lane.stream.stop(code);
        }
    }

    /// The current lane has ended: `Some` where the file has, else the next lane is the current one.
    async fn ended(
        &mut self,
        context: &Context,
        ended: Result<Option<Frame>, StreamError>,
    ) -> Result<Option<Option<Frame>>, FileError> {
        let direct = self.current.is_direct();
        match ended {
            Ok(_) if self.whole => return Ok(Some(None)),
            // The trailer says that nothing follows; it is sealed.
            Err(StreamError::Link(_)) if self.whole && direct => return Ok(Some(None)),
            Err(StreamError::Link(_)) if direct => {
                let (file, chunk) = (self.index, self.next.unwrap_or(0));
                context.send(PeerMessage::Again { file, chunk }).await;
            }
            Ok(_) if context.has_lanes() => {}
            Ok(_) => return Ok(Some(None)),
            Err(error) => return Err(error.into()),
        }
        let lane = match self.waiting.take() {
            Some(lane) => Some(lane),
            None => timeout(LANE_LIMIT, self.more.recv()).await.ok().flatten(),
        };
        let lane = lane.ok_or_else(lost)?;
        if !may_follow(self.next, &lane) {
            return Err(lost());
        }
        Ok(self.switch(lane)?.map(Some))
    }

    /// Goes on with a lane; its first frame, where that is wanted.
    fn switch(&mut self, lane: Lane) -> Result<Option<Frame>, FileError> {
        if lane.head != self.head {
            lane.stream.stop(Code::Protocol);
            return Err(lost());
        }
        self.progress.on(lane.stream.road());
        self.current = lane.stream;
        self.overlaps = true;
        Ok(lane.first.filter(|frame| self.takes(frame)))
    }

    /// Whether a frame has not come before; it has, from now on.
    fn takes(&mut self, (header, _): &Frame) -> bool {
        match header.kind {
            FrameKind::Chunk | FrameKind::ChunkZstd => {
                if self.overlaps && self.next.is_some_and(|next| header.index < next) {
                    return false;
                }
                // From here on each is the next one, or refused where it is opened.
                self.overlaps = false;
                self.next = Some(header.index.saturating_add(1));
                true
            }
            kind => {
                self.whole |= kind == FrameKind::Trailer;
                true
            }
        }
    }
}

/// Whether a lane goes on before the current one has ended.
///
/// From the relay's, no: that ends where the other begins. From a direct one, yes: the sender has found out
/// first that it is dead.
fn overtakes(current: &FileReceiver, next: Option<u32>, lane: &Lane) -> bool {
    current.is_direct() && may_follow(next, lane)
}

/// Whether nothing is missing between the chunks that have come and those of a lane.
fn may_follow(next: Option<u32>, lane: &Lane) -> bool {
    match (&lane.first, next) {
        (Some((header, _)), Some(next)) => {
            header.kind == FrameKind::Trailer || header.index <= next
        }
        _ => true,
    }
}

/// Nobody's fault: a later attempt goes on from here.
fn lost() -> FileError {
    FileError::new(Code::PeerGone, "a direct connection ended within the file")
}

/// Reads a head: its header and its payload.
async fn read_head(stream: &mut FileReceiver) -> Result<Vec<u8>, FileError> {
    let header = stream.frame_header().await?;
    let header =
        header.ok_or_else(|| FileError::new(Code::Verification, StreamError::Truncated))?;
    if header.len > HEAD_MAX + TAG_LEN || header.kind != FrameKind::Head {
        // No honest sender begins otherwise: this was changed on the way.
        let reason = "the file does not begin with its head";
        return Err(FileError::new(Code::Verification, reason));
    }
    let bytes = header.encode();
    let mut head = vec![0; bytes.len() + header.len];
    head[..bytes.len()].copy_from_slice(&bytes);
    stream.fill(&mut head[bytes.len()..]).await?;
    Ok(head)
}

async fn read_frame(
    stream: &mut FileReceiver,
    buffers: &Buffers,
) -> Result<Option<Frame>, FileError> {
    Ok(stream_frame(stream, buffers).await?)
}

async fn stream_frame(
    stream: &mut FileReceiver,
    buffers: &Buffers,
) -> Result<Option<Frame>, StreamError> {
    let Some(header) = stream.frame_header().await? else {
        return Ok(None);
    };
    let mut payload = buffers.take();
    payload.resize(header.len, 0);
    stream.fill(&mut payload).await?;
    Ok(Some((header, payload)))
}

/// Reads a stream's header in a task of its own: a slow one delays no other.
pub(super) async fn read_header(mut stream: FileReceiver) -> Option<(FileReceiver, FileHeader)> {
    match timeout(HEADER_LIMIT, stream.header()).await {
        Ok(Ok(header)) => Some((stream, header)),
        Ok(Err(error)) => {
            stream.stop(error.code());
            None
        }
        Err(_) => {
            stream.stop(Code::Timeout);
            None
        }
    }
}
