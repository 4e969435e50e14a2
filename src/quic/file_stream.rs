//! A file's unidirectional stream, whose end is never mistaken for success.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;

use super::{
    StreamError,
    reassembly::{Held, Reassembly},
};
use crate::protocol::{Code, FILE_HEADER_LEN, FRAME_HEADER_LEN, FileHeader, FrameHeader, Road};

/// The sending half: dropping it resets the stream.
///
/// quinn finishes a stream that is dropped, which the far end could not tell from a complete one;
/// only [`FileSender::finish`] finishes here.
#[derive(Debug)]
pub struct FileSender {
    stream: quinn::SendStream,
    over: bool,
    road: Road,
    direct: bool,
}

impl FileSender {
    pub(super) fn new(stream: quinn::SendStream, (road, direct): (Road, bool)) -> Self {
        Self {
            stream,
            over: false,
            road,
            direct,
        }
    }

    /// The road that it takes.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road
    }

    /// Whether it goes to the peer itself, not to a relay.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Writes one piece, whole; 64 KiB and more at a time keep the send buffer cheap.
    ///
    /// Not cancel-safe: a dropped future may have written part of it.
    ///
    /// # Errors
    /// When the recipient stopped the stream or the connection is gone.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StreamError> {
        Ok(self.stream.write_chunk(piece).await?)
    }

    /// Writes the beginning of a piece, as much as there is room for, and cuts it off.
    ///
    /// Cancel-safe: what was written is cut off, the rest is not.
    ///
    /// # Errors
    /// When the recipient stopped the stream or the connection is gone.
    pub async fn write_some(&mut self, piece: &mut Bytes) -> Result<(), StreamError> {
        self.stream
            .write_chunks(std::slice::from_mut(piece))
            .await?;
        Ok(())
    }

    /// Says that the stream is complete; nothing can be written after it.
    ///
    /// It returns before anything is acknowledged: a receipt is the acknowledgement.
    ///
    /// # Errors
    /// When the recipient stopped the stream before.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        self.over = true;
        self.stream
            .finish()
            .map_err(|_| StreamError::Ended(Code::Cancelled))
    }

    /// Ends the stream early and says why.
    pub fn reset(mut self, code: Code) {
        self.over = true;
        let _ = self.stream.reset(code.number().into());
    }

    /// Waits until the recipient stops the stream, or has all of a finished one (`None`).
    ///
    /// Cancel-safe.
    pub async fn stopped(&self) -> Option<Code> {
        match self.stream.stopped().await {
            Ok(code) => code.map(|code| Code::from_number(code.into_inner())),
            Err(_) => Some(Code::PeerGone),
        }
    }

    /// Sets how it competes with other streams of its connection; larger goes first.
    pub fn set_priority(&self, priority: i32) {
        let _ = self.stream.set_priority(priority);
    }
}

impl Drop for FileSender {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.stream.reset(Code::Cancelled.number().into());
        }
    }
}

/// The receiving half: dropping it before its end tells the sender to stop.
///
/// It takes packets as they come and puts them in order itself. So a lost packet does not stop the
/// credit that the sender gets, and windows may be large: the transport closes a whole connection
/// over 1,024 gaps among what one stream was not asked for.
#[derive(Debug)]
pub struct FileReceiver {
    stream: quinn::RecvStream,
    over: bool,
    /// Bytes whose turn it is.
    front: Bytes,
    /// Bytes before their turn, and behind `front`.
    behind: Reassembly,
    road: Road,
    direct: bool,
}

impl FileReceiver {
    pub(super) fn new(
        stream: quinn::RecvStream,
        connection: Held,
        (road, direct): (Road, bool),
    ) -> Self {
        Self {
            stream,
            over: false,
            front: Bytes::new(),
            behind: Reassembly::new(connection),
            road,
            direct,
        }
    }

    /// The road that it takes.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road
    }

    /// Whether it comes from the peer itself, not from a relay.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Reads the clear header that every file begins with.
    ///
    /// # Errors
    /// When the stream ends or holds something else.
    pub async fn header(&mut self) -> Result<FileHeader, StreamError> {
        let mut bytes = [0; FILE_HEADER_LEN];
        self.fill(&mut bytes).await?;
        Ok(FileHeader::decode(&bytes)?)
    }

    /// Reads the next frame's header; `None` where the stream was finished before it.
    ///
    /// # Errors
    /// When the stream was reset, ends inside the header, or announces an impossible frame.
    pub async fn frame_header(&mut self) -> Result<Option<FrameHeader>, StreamError> {
        let mut bytes = [0; FRAME_HEADER_LEN];
        match self.fill_from(&mut bytes).await? {
            0 => {
                self.over = true;
                Ok(None)
            }
            FRAME_HEADER_LEN => Ok(Some(FrameHeader::decode(bytes)?)),
            _ => Err(StreamError::Truncated),
        }
    }

    /// Fills `buffer`, whose length a frame header has bounded.
    ///
    /// # Errors
    /// When the stream was reset or ends before the buffer is full.
    pub async fn fill(&mut self, buffer: &mut [u8]) -> Result<(), StreamError> {
        match self.fill_from(buffer).await? == buffer.len() {
            true => Ok(()),
            false => Err(StreamError::Truncated),
        }
    }

    /// Appends what is there, at least one byte, to `buffer`'s spare capacity; 0 at the end.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError::Ended`] with [`Code::Behind`] when the sender leaves too many gaps; otherwise when the
    /// stream was reset or the connection is gone.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize, StreamError> {
        let before = buffer.len();
        loop {
            let room = buffer.capacity() - buffer.len();
            if room == 0 {
                break;
            }
            let ready = self.ready();
            if !ready.is_empty() {
                let part = ready.len().min(room);
                buffer.extend_from_slice(&ready[..part]);
                self.pass(part);
                continue;
            }
            if buffer.len() == before {
                if !self.more().await? {
                    self.over = true;
                    break;
                }
            } else {
                // Only what is there already; an error or the end comes again with the next call.
                match self.more().now_or_never() {
                    Some(Ok(true)) => {}
                    _ => break,
                }
            }
        }
        Ok(buffer.len() - before)
    }

    /// Tells the sender to stop, and why.
    pub fn stop(mut self, code: Code) {
        self.over = true;
        let _ = self.stream.stop(code.number().into());
    }

    /// Fills as much of `buffer` as the stream has.
    async fn fill_from(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let ready = self.ready();
            if ready.is_empty() {
                if !self.more().await? {
                    break;
                }
                continue;
            }
            let part = ready.len().min(buffer.len() - filled);
            buffer[filled..filled + part].copy_from_slice(&ready[..part]);
            self.pass(part);
            filled += part;
        }
        Ok(filled)
    }

    /// Bytes whose turn it is.
    fn ready(&self) -> &[u8] {
        match self.front.is_empty() {
            true => self.behind.ready(),
            false => &self.front,
        }
    }

    /// Notes that the first `len` of the bytes that are ready were handed on.
    fn pass(&mut self, len: usize) {
        match self.front.is_empty() {
            true => self.behind.take(len),
            false => drop(self.front.split_to(len)),
        }
    }

    /// Waits until bytes are ready where none are; `false` at the end.
    ///
    /// Cancel-safe.
    async fn more(&mut self) -> Result<bool, StreamError> {
        while self.ready().is_empty() {
            let takes = self.behind.takes();
            let most = if takes { PIECE } else { 1 };
            let Some(chunk) = self.stream.read_chunk(most, false).await? else {
                return Ok(false);
            };
            if self.behind.passes(chunk.offset, chunk.bytes.len()) {
                self.front = chunk.bytes;
            } else if self.behind.hold(chunk.offset, &chunk.bytes).is_err() {
                // The stream can be gone on with by another; it is not the connection's fault.
                return Err(StreamError::Ended(Code::Behind));
            } else if !takes {
                // Or one byte after the other of what is there would be taken.
                tokio::time::sleep(PROBE_PAUSE).await;
            }
        }
        Ok(true)
    }
}

/// Between two looks whether the byte that is missing has come, while as much is held as may be.
const PROBE_PAUSE: Duration = Duration::from_millis(5);

/// The most that is taken out of the transport at once, in bytes; a packet has less.
const PIECE: usize = 64 << 10;

impl Drop for FileReceiver {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.stream.stop(Code::Cancelled.number().into());
        }
    }
}
