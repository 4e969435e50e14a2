//! Where a file's content is written.

use std::{
    fmt,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Destination, context::Context};
use crate::{
    protocol::RelativePath,
    sealing::Head,
    storage::{Partial, StorageError},
};

/// What bytes of one file are written to in place of a directory: standard output, or a test's buffer.
#[derive(Clone)]
pub struct SharedWriter(Arc<Mutex<dyn Write + Send>>);

impl SharedWriter {
    /// Writes to this.
    #[must_use]
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    pub(super) fn write(&self, content: &[u8]) -> Result<(), StorageError> {
        self.with(|writer| writer.write_all(content))
    }

    pub(super) fn flush(&self) -> Result<(), StorageError> {
        self.with(|writer| writer.flush())
    }

    fn with(
        &self,
        f: impl FnOnce(&mut (dyn Write + Send)) -> std::io::Result<()>,
    ) -> Result<(), StorageError> {
        f(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|error| {
            StorageError::Io {
                action: "write to",
                path: "standard output".into(),
                error,
            }
        })
    }
}

impl fmt::Debug for SharedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedWriter(..)")
    }
}

/// Where the content of one file is written.
#[derive(Debug)]
pub(super) enum FileSink {
    Partial(Partial),
    Writer(SharedWriter),
}

impl FileSink {
    /// Opens what an interrupted attempt has left, or begins anew.
    pub(super) fn open(
        context: &Context,
        head: &Head,
        path: &RelativePath,
    ) -> Result<Self, StorageError> {
        Ok(match &context.destination {
            Destination::Directory(target) => {
                Self::Partial(target.begin(&context.incoming(head, path))?)
            }
            Destination::Writer(writer) => Self::Writer(writer.clone()),
        })
    }

    pub(super) fn write_all(&mut self, content: &[u8]) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) => partial.write_all(content),
            Self::Writer(writer) => writer.write(content),
        }
    }

    pub(super) fn truncate(&mut self, len: u64) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) if len < partial.len() => partial.truncate(len),
            Self::Partial(_) | Self::Writer(_) => Ok(()),
        }
    }

    /// Removes what was written: it is of no use to a later attempt.
    pub(super) fn discard(self) {
        if let Self::Partial(partial) = self {
            let _ = partial.discard();
        }
    }
}
