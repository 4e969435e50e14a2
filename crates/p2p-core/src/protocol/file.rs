//! What precedes the sealed bytes on a file's stream: one header, then frames.
//!
//! ```text
//! stream  = header frame*
//! header  = transfer (16) file (8) class (1)                    25 bytes
//! frame   = kind (1) length (3) index (4) payload (length)      8 bytes and payload
//! frames  = head [plan] chunk* trailer
//! ```
//! Integers are big-endian. The relay reads the header, and the plan that is addressed to it; every
//! other payload is sealed (see `sealing`).

use super::{FileIndex, PeerId, TransferId};

/// Bytes of a file header.
pub const FILE_HEADER_LEN: usize = 25;
/// Bytes of a frame header.
pub const FRAME_HEADER_LEN: usize = 8;
/// Content bytes in every chunk but a file's last.
///
/// Chosen by `cargo bench --bench sealing`: larger ones gain nothing measurable, smaller ones cost
/// the send buffer (which is scanned segment by segment) and the AEAD's per-call set-up.
pub const CHUNK_SIZE: usize = 256 * 1024;
/// The longest frame payload: a chunk and what sealing adds to it.
pub const FRAME_PAYLOAD_MAX: usize = CHUNK_SIZE + 64;

/// How a file's stream competes with the others of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileClass {
    /// Fits into one chunk: goes before the bulk.
    Small,
    /// Anything larger, or of unknown length.
    Bulk,
}

/// The clear header of a file's stream: all that the relay needs to route it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// The transfer that the file belongs to.
    pub transfer: TransferId,
    /// Its number in the transfer.
    pub file: FileIndex,
    /// How it competes.
    pub class: FileClass,
}

/// Why bytes are no header, frame or plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A class or kind byte that this version does not know.
    #[error("unknown {what} {got}")]
    Unknown {
        /// Which byte.
        what: &'static str,
        /// Its value.
        got: u8,
    },
    /// A payload longer than [`FRAME_PAYLOAD_MAX`].
    #[error("a frame of {got} bytes, where {FRAME_PAYLOAD_MAX} are allowed")]
    TooLong {
        /// Bytes announced.
        got: usize,
    },
    /// A plan that is no whole number of entries.
    #[error("a plan of {got} bytes is no whole number of entries")]
    Plan {
        /// Bytes of the payload.
        got: usize,
    },
}

impl FileHeader {
    /// The header as it goes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; FILE_HEADER_LEN] {
        let mut out = [0; FILE_HEADER_LEN];
        out[..16].copy_from_slice(self.transfer.as_bytes());
        out[16..24].copy_from_slice(&self.file.0.to_be_bytes());
        out[24] = match self.class {
            FileClass::Small => 0,
            FileClass::Bulk => 1,
        };
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`FrameError::Unknown`] for a class of a later version.
    pub fn decode(bytes: &[u8; FILE_HEADER_LEN]) -> Result<Self, FrameError> {
        let (transfer, rest) = bytes.split_first_chunk::<16>().expect("25 bytes");
        let (file, class) = rest.split_first_chunk::<8>().expect("9 bytes");
        let class = match class[0] {
            0 => FileClass::Small,
            1 => FileClass::Bulk,
            got => {
                return Err(FrameError::Unknown {
                    what: "file class",
                    got,
                });
            }
        };
        Ok(Self {
            transfer: TransferId::from_bytes(*transfer),
            file: FileIndex(u64::from_be_bytes(*file)),
            class,
        })
    }
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Sealed: name, size, mode, time. First on the stream, once.
    Head = 0,
    /// In clear, for the relay, which takes it out: recipients that do not start at chunk 0.
    Plan = 1,
    /// Sealed: content as it is.
    Chunk = 2,
    /// Sealed: content compressed with zstd (RFC 8878).
    ChunkZstd = 3,
    /// Sealed: length and hash of the whole, signed. Last on the stream, once.
    Trailer = 4,
}

/// What stands before every payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the payload is.
    pub kind: FrameKind,
    /// Bytes of payload.
    pub len: usize,
    /// The chunk's number in the file, from 0; 0 in other kinds.
    pub index: u32,
}

impl FrameHeader {
    /// The header as it goes on the wire, and as sealing authenticates it.
    ///
    /// # Panics
    /// If `len` is over [`FRAME_PAYLOAD_MAX`]: no caller builds such a frame.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_HEADER_LEN] {
        assert!(
            self.len <= FRAME_PAYLOAD_MAX,
            "a frame of {} bytes",
            self.len
        );
        let mut out = [0; FRAME_HEADER_LEN];
        let len = u32::try_from(self.len)
            .expect("at most 256 KiB")
            .to_be_bytes();
        out[0] = self.kind as u8;
        out[1..4].copy_from_slice(&len[1..]);
        out[4..].copy_from_slice(&self.index.to_be_bytes());
        out
    }

    /// Reads a frame's header, before anything is allocated for its payload.
    ///
    /// # Errors
    /// An unknown kind, or a payload over [`FRAME_PAYLOAD_MAX`].
    pub fn decode(bytes: [u8; FRAME_HEADER_LEN]) -> Result<Self, FrameError> {
        let [kind, l2, l1, l0, i3, i2, i1, i0] = bytes;
        let kind = match kind {
            0 => FrameKind::Head,
            1 => FrameKind::Plan,
            2 => FrameKind::Chunk,
            3 => FrameKind::ChunkZstd,
            4 => FrameKind::Trailer,
            got => {
                return Err(FrameError::Unknown {
                    what: "frame kind",
                    got,
                });
            }
        };
        let len = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        if len > FRAME_PAYLOAD_MAX {
            return Err(FrameError::TooLong { got: len });
        }
        Ok(Self {
            kind,
            len,
            index: u32::from_be_bytes([i3, i2, i1, i0]),
        })
    }
}

/// One line of a plan: a recipient that does not start at the first chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanEntry {
    /// The recipient.
    pub peer: PeerId,
    /// The first chunk that it gets; [`PlanEntry::NOTHING`] when it has the file already.
    pub first_chunk: u32,
}

impl PlanEntry {
    /// As `first_chunk`: the recipient needs nothing further of this file.
    pub const NOTHING: u32 = u32::MAX;

    const LEN: usize = 36;

    /// The most entries that one plan holds.
    pub const MAX: usize = FRAME_PAYLOAD_MAX / Self::LEN;
}

/// The payload of a [`FrameKind::Plan`].
#[must_use]
pub fn encode_plan(entries: &[PlanEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * PlanEntry::LEN);
    for entry in entries {
        out.extend_from_slice(entry.peer.as_bytes());
        out.extend_from_slice(&entry.first_chunk.to_be_bytes());
    }
    out
}

/// Reads the payload of a [`FrameKind::Plan`].
///
/// # Errors
/// [`FrameError::Plan`] when the payload is no whole number of entries.
pub fn decode_plan(payload: &[u8]) -> Result<Vec<PlanEntry>, FrameError> {
    let (entries, rest) = payload.as_chunks::<{ PlanEntry::LEN }>();
    if !rest.is_empty() {
        return Err(FrameError::Plan { got: payload.len() });
    }
    let entry = |bytes: &[u8; PlanEntry::LEN]| {
        let (peer, first) = bytes.split_first_chunk::<32>().expect("36 bytes");
        PlanEntry {
            peer: PeerId::from_bytes(*peer),
            first_chunk: u32::from_be_bytes(first.try_into().expect("4 bytes")),
        }
    };
    Ok(entries.iter().map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_file_header_are_fixed() {
        let header = FileHeader {
            transfer: TransferId::from_bytes([0xab; 16]),
            file: FileIndex(258),
            class: FileClass::Bulk,
        };
        let mut golden = [0xab; FILE_HEADER_LEN];
        golden[16..].copy_from_slice(&[0, 0, 0, 0, 0, 0, 1, 2, 1]);
        assert_eq!(header.encode(), golden);
        assert_eq!(FileHeader::decode(&golden), Ok(header));
        golden[24] = 9;
        assert_eq!(
            FileHeader::decode(&golden),
            Err(FrameError::Unknown {
                what: "file class",
                got: 9
            })
        );
    }

    #[test]
    fn the_bytes_of_a_frame_header_are_fixed() {
        let header = FrameHeader {
            kind: FrameKind::Chunk,
            len: 0x01_02_03,
            index: 0x0405_0607,
        };
        assert_eq!(header.encode(), [2, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(FrameHeader::decode(header.encode()), Ok(header));
    }

    #[test]
    fn an_oversize_frame_is_refused_by_its_header() {
        assert_eq!(
            FrameHeader::decode([2, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
            Err(FrameError::TooLong { got: 0xff_ffff })
        );
        assert!(FrameHeader::decode([5, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn a_plan_reads_back_and_a_torn_one_is_refused() {
        let plan = vec![
            PlanEntry {
                peer: PeerId::from_bytes([1; 32]),
                first_chunk: 7,
            },
            PlanEntry {
                peer: PeerId::from_bytes([2; 32]),
                first_chunk: PlanEntry::NOTHING,
            },
        ];
        let bytes = encode_plan(&plan);
        assert_eq!(decode_plan(&bytes), Ok(plan));
        assert_eq!(decode_plan(&bytes[1..]), Err(FrameError::Plan { got: 71 }));
    }
}
