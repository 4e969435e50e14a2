//! A file's unidirectional stream, whose end is never mistaken for success.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::StreamError;
use crate::protocol::{Code, FILE_HEADER_LEN, FRAME_HEADER_LEN, FileHeader, FrameHeader};

/// The sending half: dropping it resets the stream.
///
/// quinn finishes a stream that is dropped, which the far end could not tell from a complete one;
/// only [`FileSender::finish`] finishes here.
#[derive(Debug)]
pub struct FileSender {
    stream: quinn::SendStream,
    over: bool,
}

impl FileSender {
    pub(super) fn new(stream: quinn::SendStream) -> Self {
        Self {
            stream,
            over: false,
        }
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
#[derive(Debug)]
pub struct FileReceiver {
    stream: quinn::RecvStream,
    over: bool,
}

impl FileReceiver {
    pub(super) fn new(stream: quinn::RecvStream) -> Self {
        Self {
            stream,
            over: false,
        }
    }

    /// Reads the clear header that every file begins with.
    ///
    /// # Errors
    /// When the stream ends or holds something else.
    pub async fn header(&mut self) -> Result<FileHeader, StreamError> {
        let mut bytes = [0; FILE_HEADER_LEN];
        self.stream.read_exact(&mut bytes).await?;
        Ok(FileHeader::decode(&bytes)?)
    }

    /// Reads the next frame's header; `None` where the stream was finished before it.
    ///
    /// # Errors
    /// When the stream was reset, ends inside the header, or announces an impossible frame.
    pub async fn frame_header(&mut self) -> Result<Option<FrameHeader>, StreamError> {
        let mut bytes = [0; FRAME_HEADER_LEN];
        match self.stream.read_exact(&mut bytes).await {
            Err(quinn::ReadExactError::FinishedEarly(0)) => {
                self.over = true;
                return Ok(None);
            }
            other => other?,
        }
        Ok(Some(FrameHeader::decode(bytes)?))
    }

    /// Fills `buffer`, whose length a frame header has bounded.
    ///
    /// # Errors
    /// When the stream was reset or ends before the buffer is full.
    pub async fn fill(&mut self, buffer: &mut [u8]) -> Result<(), StreamError> {
        Ok(self.stream.read_exact(buffer).await?)
    }

    /// Appends what is there, at least one byte, to `buffer`'s spare capacity; 0 at the end.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the stream was reset or the connection is gone.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize, StreamError> {
        match self.stream.read_buf(buffer).await {
            Ok(0) => {
                self.over = true;
                Ok(0)
            }
            Ok(count) => Ok(count),
            // quinn hides its error inside the I/O error that tokio's trait asks for.
            Err(error) => match error.downcast::<quinn::ReadError>() {
                Ok(error) => Err(error.into()),
                Err(error) => Err(StreamError::Malformed(error.to_string())),
            },
        }
    }

    /// Tells the sender to stop, and why.
    pub fn stop(mut self, code: Code) {
        self.over = true;
        let _ = self.stream.stop(code.number().into());
    }
}

impl Drop for FileReceiver {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.stream.stop(Code::Cancelled.number().into());
        }
    }
}
