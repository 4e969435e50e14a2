//! A file's frames, sealed in place.

use std::sync::Arc;

use super::{
    Compression, TAG_LEN,
    aead::{AeadKey, Stage},
    compress::Compressor,
    trailer::{CONTEXT, FileDigest, FileStatement, Trailer},
};
use crate::{
    identity::Identity,
    protocol::{
        CHUNK_SIZE, FRAME_HEADER_LEN, FileIndex, FrameHeader, FrameKind, PlanEntry, TransferId,
    },
};

/// Seals one file: chunk after chunk, then [`FileSealer::finish`].
///
/// One that is dropped without `finish` has sealed a file that no recipient accepts.
pub struct FileSealer {
    key: AeadKey,
    statement: FileStatement,
    size: Option<u64>,
    next: u32,
    len: u64,
    ended: bool,
    begun: bool,
    hasher: blake3::Hasher,
    signer: Option<Arc<Identity>>,
    compressor: Compressor,
}

/// Why content is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A chunk is empty or too long.
    #[error("a chunk of {got} bytes, expected 1 to {CHUNK_SIZE}")]
    ChunkLength {
        /// Its bytes.
        got: usize,
    },
    /// A chunk that is no full one was the last.
    #[error("a chunk after the last one")]
    AfterLast,
    /// More chunks than can be numbered: a file of 1 PiB.
    #[error("more than {} chunks", PlanEntry::NOTHING)]
    TooManyChunks,
    /// The content is not as long as the head says: the file changed meanwhile.
    #[error("{got} bytes of content, where the head says {expected}")]
    Size {
        /// Bytes that the head says.
        expected: u64,
        /// Bytes so far.
        got: u64,
    },
    /// A start that the sealer cannot take any more, or that its hash does not fit.
    #[error("cannot begin at chunk {chunk} here")]
    Start {
        /// The chunk.
        chunk: u32,
    },
}

impl FileSealer {
    /// The file's number.
    #[must_use]
    pub fn file(&self) -> FileIndex {
        self.statement.file
    }

    /// Bytes of content so far, those before the start included.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.len
    }

    /// Begins at a later chunk, with what is before it already hashed.
    ///
    /// # Errors
    /// After the first chunk, or when `prefix` has hashed anything but the chunks before.
    pub fn start_at(&mut self, chunk: u32, prefix: blake3::Hasher) -> Result<(), SealError> {
        let len = u64::from(chunk) * CHUNK_SIZE as u64;
        let in_size = self.size.is_none_or(|size| len <= size);
        if self.begun || chunk == PlanEntry::NOTHING || prefix.count() != len || !in_size {
            return Err(SealError::Start { chunk });
        }
        self.begun = true;
        self.next = chunk;
        self.len = len;
        self.hasher = prefix;
        Ok(())
    }

    /// Seals the next chunk in place: `frame` has [`FRAME_HEADER_LEN`] bytes of anything, then the
    /// content; it becomes the whole frame.
    ///
    /// Nothing is copied when there is room for [`TAG_LEN`] bytes more, as in a [`chunk_frame`].
    /// Every chunk but the last has [`CHUNK_SIZE`] bytes.
    ///
    /// # Errors
    /// When the chunk cannot be the next; `frame` is left as it was.
    ///
    /// # Panics
    /// If `frame` is shorter than a frame's header.
    pub fn seal_chunk(
        &mut self,
        frame: &mut Vec<u8>,
        compression: Compression,
    ) -> Result<(), SealError> {
        let content = &frame[FRAME_HEADER_LEN..];
        self.check_next(content.len())?;
        self.begun = true;
        self.hasher.update(content);
        self.len += content.len() as u64;
        self.ended = content.len() < CHUNK_SIZE;
        let index = self.next;
        self.next += 1;

        let mut kind = FrameKind::Chunk;
        if compression == Compression::Auto
            && let Some(compressed) = self.compressor.compress(content)
        {
            kind = FrameKind::ChunkZstd;
            frame.truncate(FRAME_HEADER_LEN + compressed.len());
            frame[FRAME_HEADER_LEN..].copy_from_slice(compressed);
        }
        let header = FrameHeader {
            kind,
            len: frame.len() - FRAME_HEADER_LEN + TAG_LEN,
            index,
        }
        .encode();
        let (front, content) = frame.split_at_mut(FRAME_HEADER_LEN);
        front.copy_from_slice(&header);
        let tag = self.key.seal(Stage::Chunk, index.into(), &header, content);
        frame.extend_from_slice(&tag);
        Ok(())
    }

    /// Seals the trailer: the last frame, and what the whole file came to.
    ///
    /// Signs where several recipients have the secret (about 20 µs).
    ///
    /// # Errors
    /// [`SealError::Size`] when the content is shorter than the head says.
    pub fn finish(self) -> Result<(Vec<u8>, FileDigest), SealError> {
        if let Some(expected) = self.size
            && expected != self.len
        {
            let got = self.len;
            return Err(SealError::Size { expected, got });
        }
        let digest = FileDigest {
            len: self.len,
            blake3: *self.hasher.finalize().as_bytes(),
        };
        let sign = |signer: Arc<Identity>| signer.sign(CONTEXT, &self.statement.encode(&digest));
        let trailer = Trailer {
            digest,
            signature: self.signer.map(sign),
        };
        let frame = seal_frame(
            &self.key,
            FrameKind::Trailer,
            Stage::Trailer,
            &trailer.encode(),
        );
        Ok((frame, digest))
    }

    fn check_next(&self, content: usize) -> Result<(), SealError> {
        if content == 0 || content > CHUNK_SIZE {
            return Err(SealError::ChunkLength { got: content });
        }
        if self.ended {
            return Err(SealError::AfterLast);
        }
        if self.next == PlanEntry::NOTHING {
            return Err(SealError::TooManyChunks);
        }
        let got = self.len + content as u64;
        match self.size {
            Some(expected) if got > expected => Err(SealError::Size { expected, got }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
impl FileSealer {
    pub(super) fn forget_size(&mut self) {
        self.size = None;
    }
}

impl std::fmt::Debug for FileSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSealer")
            .field("file", &self.statement.file)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// A buffer to read a chunk into: a frame's header of zeros, and room for content and tag.
#[must_use]
pub fn chunk_frame() -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEADER_LEN + CHUNK_SIZE + TAG_LEN);
    frame.resize(FRAME_HEADER_LEN, 0);
    frame
}

/// Seals the head, which begins a file.
pub(super) fn start_file(
    key: AeadKey,
    transfer: TransferId,
    file: FileIndex,
    size: Option<u64>,
    head: &[u8],
    signer: Option<Arc<Identity>>,
) -> (FileSealer, Vec<u8>) {
    let frame = seal_frame(&key, FrameKind::Head, Stage::Head, head);
    let sealer = FileSealer {
        key,
        statement: FileStatement {
            transfer,
            file,
            head: *blake3::hash(head).as_bytes(),
        },
        size,
        next: 0,
        len: 0,
        ended: false,
        begun: false,
        hasher: blake3::Hasher::new(),
        signer,
        compressor: Compressor::default(),
    };
    (sealer, frame)
}

fn seal_frame(key: &AeadKey, kind: FrameKind, stage: Stage, plaintext: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        kind,
        len: plaintext.len() + TAG_LEN,
        index: 0,
    }
    .encode();
    let mut frame = header.to_vec();
    frame.extend_from_slice(&key.seal_copy(stage, 0, &header, plaintext));
    frame
}
