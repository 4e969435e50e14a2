//! A larger file on its way from opened frames to its sink, on a thread of its own.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    Destination,
    context::Context,
    outcome::{FileError, FileProgress, NO_SPACE, Whole},
    sink::FileSink,
    store::Frame,
};
use crate::{
    protocol::{Code, FrameKind},
    sealing::{FileOpener, OpenError},
};

/// What a file of unknown size leaves free on the disk: so much, or a sixteenth of what was free.
const RESERVE: u64 = 64 * 1024 * 1024;

/// Why a larger file could not be written whole.
pub(super) enum WriteError {
    /// Frames ended before the trailer.
    Incomplete,
    Failed(FileError),
}

impl<E: Into<FileError>> From<E> for WriteError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A larger file on its way to its sink.
pub(super) struct Writing {
    context: Arc<Context>,
    /// What has announced its size was counted by it.
    is_counted: bool,
    /// Bytes that must stay free; 0 where the size was looked at beforehand.
    reserve: u64,
    progress: FileProgress,
    sink: FileSink,
}

impl Writing {
    pub(super) fn new(
        context: Arc<Context>,
        is_counted: bool,
        progress: FileProgress,
        sink: FileSink,
    ) -> Self {
        let mut writing = Self {
            context,
            is_counted,
            reserve: 0,
            progress,
            sink,
        };
        if !is_counted {
            writing.reserve = writing
                .free_bytes()
                .map_or(0, |free| RESERVE.min(free / 16));
        }
        writing
    }

    /// Opens and writes frames until the trailer; what is written is what was opened.
    ///
    /// Returns what may be gone on with. A pipe cannot be sent again, nor a source that has changed: their
    /// parts are removed here, where no cancelled task leaves them behind.
    pub(super) fn run(
        mut self,
        opener: FileOpener,
        frames: mpsc::Receiver<Frame>,
    ) -> (Option<FileSink>, Result<Whole, WriteError>) {
        let result = self.write(opener, frames);
        if result.is_err() && (!self.is_counted || self.progress.is_worthless()) {
            self.sink.discard();
            return (None, result);
        }
        (Some(self.sink), result)
    }

    fn write(
        &mut self,
        mut opener: FileOpener,
        mut frames: mpsc::Receiver<Frame>,
    ) -> Result<Whole, WriteError> {
        let mut resumed_from = None;
        while let Some((header, mut payload)) = frames.blocking_recv() {
            if header.kind == FrameKind::Trailer {
                let digest = opener.finish(header, &mut payload)?;
                if frames.blocking_recv().is_some() {
                    return Err(OpenError::AfterLast.into());
                }
                self.sink.truncate(digest.len)?;
                return Ok(Whole {
                    len: digest.len,
                    hash: digest.blake3.into(),
                    resumed_from: resumed_from.unwrap_or(digest.len),
                    road: self.progress.road(),
                });
            }
            let chunk = opener.open_chunk(header, &mut payload)?;
            if resumed_from.is_none() {
                // Not where this side asked, if the sender found that the prefix is not its own.
                resumed_from = Some(chunk.offset);
                self.take(chunk.offset)?;
                self.progress.resumed_from(chunk.offset);
                self.sink.truncate(chunk.offset)?;
            }
            let len = chunk.content.len() as u64;
            self.take(len)?;
            self.sink.write_all(chunk.content)?;
            self.progress.reached(chunk.offset + len);
        }
        Err(WriteError::Incomplete)
    }

    fn take(&self, bytes: u64) -> Result<(), FileError> {
        if self.is_counted {
            return Ok(());
        }
        self.context.allowance.take(bytes)?;
        let needed = self.reserve.saturating_add(bytes);
        match self.free_bytes() {
            Some(free) if needed > free => Err(FileError::of_all(Code::Storage, NO_SPACE)),
            _ => Ok(()),
        }
    }

    fn free_bytes(&self) -> Option<u64> {
        match &self.context.destination {
            Destination::Directory(target) => target.free_bytes().ok(),
            Destination::Writer(_) => None,
        }
    }
}
