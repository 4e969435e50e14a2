//! A file's frames, opened in place.

use super::{
    HEAD_MAX, Head, Start, TAG_LEN,
    aead::{AeadKey, Stage},
    compress::Decompressor,
    start,
    trailer::{FileDigest, FileStatement, SIGNED_LEN, Trailer},
};
use crate::{
    identity::PublicKey,
    protocol::{CHUNK_SIZE, FileIndex, FrameHeader, FrameKind, PlanEntry, TransferId},
};

/// Opens one file: chunk after chunk, then [`FileOpener::finish`].
///
/// What a chunk opens to came from someone who has the transfer's secret, in this place of this
/// file; that it is the whole file, and the sender's, only `finish` says. Store nothing under its
/// final name before.
pub struct FileOpener {
    key: AeadKey,
    statement: FileStatement,
    size: Option<u64>,
    /// The chunk that must come next.
    next: u32,
    /// Where I asked the file to begin, until the first chunk shows whether it does.
    asked: Option<(u32, blake3::Hasher)>,
    len: u64,
    ended: bool,
    said_start: bool,
    begun: bool,
    hasher: blake3::Hasher,
    signer: Option<PublicKey>,
    start_key: AeadKey,
    decompressor: Decompressor,
}

/// A chunk's content and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenedChunk<'a> {
    /// Bytes of content before it. 0 after a later start was asked for: the sender begins anew.
    pub offset: u64,
    /// The content: the front of the payload, or of a buffer of the opener.
    pub content: &'a [u8],
}

/// Why a frame is not opened, or a file is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A frame of another kind must come here.
    #[error("expected {expected}, got {got:?}")]
    Kind {
        /// What must come.
        expected: &'static str,
        /// What came.
        got: FrameKind,
    },
    /// A frame that is longer or shorter than its kind can be, or than its header says.
    #[error("{got} bytes in a frame of kind {kind:?}")]
    Length {
        /// Its kind.
        kind: FrameKind,
        /// Its bytes.
        got: usize,
    },
    /// Changed on the way, or of another place, file or transfer.
    #[error("a {what} that was not sealed for this place")]
    NotAuthentic {
        /// Which frame.
        what: &'static str,
    },
    /// Signed and sealed, and yet not understood.
    #[error("a {what} that cannot be read")]
    Malformed {
        /// Which frame.
        what: &'static str,
    },
    /// Another chunk must come here: one was left out, doubled, or moved.
    #[error("expected chunk {expected}, got {got}")]
    Index {
        /// Which must come.
        expected: u32,
        /// Which came.
        got: u32,
    },
    /// A chunk that is no full one was the last.
    #[error("a chunk after the last one")]
    AfterLast,
    /// More chunks than can be numbered: a file of 1 PiB.
    #[error("more than {} chunks", PlanEntry::NOTHING)]
    TooManyChunks,
    /// More or less content than the head says.
    #[error("{got} bytes of content, where the head says {expected}")]
    Size {
        /// Bytes that the head says.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// More or less content than the trailer says.
    #[error("{got} bytes of content, where the trailer says {expected}")]
    Truncated {
        /// Bytes that the trailer says.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// The content is not what was sent.
    #[error("the content is not what the sender hashed")]
    Hash,
    /// The sender did not sign this file: someone else who has the secret made it.
    #[error("the sender has not signed this file")]
    Signature,
    /// The file has come before.
    #[error("file {file} came before")]
    Replayed {
        /// Its number.
        file: FileIndex,
    },
    /// Too many files are missing in between.
    #[error("the numbers of the files leave too many gaps")]
    TooScattered,
    /// A start that the opener cannot take any more, or that its hash does not fit.
    #[error("cannot begin at chunk {chunk} here")]
    Start {
        /// The chunk.
        chunk: u32,
    },
}

impl FileOpener {
    /// The file's number.
    #[must_use]
    pub fn file(&self) -> FileIndex {
        self.statement.file
    }

    /// Says to the sender that I have the chunks before this one, which `prefix` has hashed.
    ///
    /// Chunk 0, with nothing hashed, asks for all. The sender may begin at chunk 0 nevertheless:
    /// watch [`OpenedChunk::offset`].
    ///
    /// # Errors
    /// After the first chunk, a second time, or when `prefix` has hashed anything but these chunks.
    pub fn start_at(&mut self, chunk: u32, prefix: blake3::Hasher) -> Result<Vec<u8>, OpenError> {
        let len = u64::from(chunk) * CHUNK_SIZE as u64;
        let in_size = self.size.is_none_or(|size| len <= size);
        if chunk == PlanEntry::NOTHING || prefix.count() != len || !in_size {
            return Err(OpenError::Start { chunk });
        }
        let hash = *prefix.finalize().as_bytes();
        let sealed = self.say(
            chunk,
            &Start::At {
                chunk,
                prefix: hash,
            },
        )?;
        if chunk > 0 {
            self.asked = Some((chunk, prefix));
        }
        Ok(sealed)
    }

    /// Says to the sender that I may have the whole file already, with this hash.
    ///
    /// The sender sends it from chunk 0 if that is not its own.
    ///
    /// # Errors
    /// After the first chunk, or a second time.
    pub fn have(&mut self, blake3: [u8; 32]) -> Result<Vec<u8>, OpenError> {
        self.say(0, &Start::Have { blake3 })
    }

    /// Opens the next chunk in place.
    ///
    /// # Errors
    /// When it is not the next chunk of this file, unchanged. What is in `payload` is of no use then.
    pub fn open_chunk<'a>(
        &'a mut self,
        header: FrameHeader,
        payload: &'a mut [u8],
    ) -> Result<OpenedChunk<'a>, OpenError> {
        let compressed = match header.kind {
            FrameKind::Chunk => false,
            FrameKind::ChunkZstd => true,
            got => {
                let expected = "a chunk";
                return Err(OpenError::Kind { expected, got });
            }
        };
        check_length(header, payload, CHUNK_SIZE + TAG_LEN)?;
        if self.ended {
            return Err(OpenError::AfterLast);
        }
        let resumes = self.check_index(header.index)?;
        let stage_index = header.index.into();
        let content: &mut [u8] = self
            .key
            .open(Stage::Chunk, stage_index, &header.encode(), payload)
            .map_err(|_| OpenError::NotAuthentic { what: "chunk" })?;
        let content: &[u8] = if compressed {
            self.decompressor
                .decompress(content, CHUNK_SIZE)
                .ok_or(OpenError::Malformed { what: "chunk" })?
        } else {
            content
        };
        if content.is_empty() {
            return Err(OpenError::Malformed { what: "chunk" });
        }
        let asked = self.asked.take();
        let offset = match asked {
            Some((chunk, prefix)) if resumes => {
                self.hasher = prefix;
                u64::from(chunk) * CHUNK_SIZE as u64
            }
            _ => self.len,
        };
        let len = offset + content.len() as u64;
        if let Some(expected) = self.size.filter(|size| len > *size) {
            return Err(OpenError::Size { expected, got: len });
        }
        self.begun = true;
        self.hasher.update(content);
        self.len = len;
        self.next = header.index + 1;
        self.ended = content.len() < CHUNK_SIZE;
        Ok(OpenedChunk { offset, content })
    }

    /// Opens the trailer: whether all that came is the whole file, and the sender's.
    ///
    /// # Errors
    /// In every case in which what came must not be taken for the file.
    pub fn finish(
        mut self,
        header: FrameHeader,
        payload: &mut [u8],
    ) -> Result<FileDigest, OpenError> {
        if header.kind != FrameKind::Trailer {
            return Err(OpenError::Kind {
                expected: "a chunk or the trailer",
                got: header.kind,
            });
        }
        check_length(header, payload, SIGNED_LEN + TAG_LEN)?;
        let plain = self
            .key
            .open(Stage::Trailer, 0, &header.encode(), payload)
            .map_err(|_| OpenError::NotAuthentic { what: "trailer" })?;
        let Trailer { digest, signature } =
            Trailer::decode(plain).ok_or(OpenError::Malformed { what: "trailer" })?;
        // I had every chunk, and only the trailer was missing.
        if let Some((chunk, prefix)) = self.asked.take() {
            self.len = u64::from(chunk) * CHUNK_SIZE as u64;
            self.hasher = prefix;
        }
        let got = self.len;
        if let Some(expected) = self.size.filter(|size| *size != got) {
            return Err(OpenError::Size { expected, got });
        }
        if digest.len != got {
            let expected = digest.len;
            return Err(OpenError::Truncated { expected, got });
        }
        if *self.hasher.finalize().as_bytes() != digest.blake3 {
            return Err(OpenError::Hash);
        }
        if let Some(signer) = &self.signer {
            let signature = signature.ok_or(OpenError::Signature)?;
            if !self.statement.holds(&digest, signer, &signature) {
                return Err(OpenError::Signature);
            }
        }
        Ok(digest)
    }

    /// Whether this chunk takes up where I asked the sender to begin.
    fn check_index(&self, got: u32) -> Result<bool, OpenError> {
        if got == PlanEntry::NOTHING {
            return Err(OpenError::TooManyChunks);
        }
        match &self.asked {
            Some((chunk, _)) if got == *chunk => Ok(true),
            _ if got == self.next => Ok(false),
            asked => Err(OpenError::Index {
                expected: asked.as_ref().map_or(self.next, |(chunk, _)| *chunk),
                got,
            }),
        }
    }

    /// The nonce is the file's number: a second word would break the seal of both.
    fn say(&mut self, chunk: u32, start: &Start) -> Result<Vec<u8>, OpenError> {
        if self.said_start || self.begun {
            return Err(OpenError::Start { chunk });
        }
        self.said_start = true;
        Ok(start::seal(&self.start_key, self.statement.file, start))
    }
}

impl std::fmt::Debug for FileOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileOpener")
            .field("file", &self.statement.file)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Opens the head, which begins a file.
pub(super) fn open_head(
    key: AeadKey,
    transfer: TransferId,
    file: FileIndex,
    header: FrameHeader,
    payload: &mut [u8],
    signer: Option<PublicKey>,
    start_key: AeadKey,
) -> Result<(Head, FileOpener), OpenError> {
    if header.kind != FrameKind::Head {
        return Err(OpenError::Kind {
            expected: "the head",
            got: header.kind,
        });
    }
    check_length(header, payload, HEAD_MAX + TAG_LEN)?;
    let plain = key
        .open(Stage::Head, 0, &header.encode(), payload)
        .map_err(|_| OpenError::NotAuthentic { what: "head" })?;
    let head = Head::decode(plain).ok_or(OpenError::Malformed { what: "head" })?;
    let opener = FileOpener {
        key,
        statement: FileStatement {
            transfer,
            file,
            head: *blake3::hash(plain).as_bytes(),
        },
        size: head.content_size(),
        next: 0,
        asked: None,
        len: 0,
        ended: false,
        said_start: false,
        begun: false,
        hasher: blake3::Hasher::new(),
        signer,
        start_key,
        decompressor: Decompressor::default(),
    };
    Ok((head, opener))
}

fn check_length(header: FrameHeader, payload: &[u8], max: usize) -> Result<(), OpenError> {
    let got = payload.len();
    if got != header.len || got > max {
        let kind = header.kind;
        return Err(OpenError::Length { kind, got });
    }
    Ok(())
}
