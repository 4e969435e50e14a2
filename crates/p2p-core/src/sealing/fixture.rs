//! Peers, rooms and files for the tests of this room.

use std::{num::NonZeroU32, sync::Arc};

use super::*;
use crate::{
    identity::{Bundle, Identity, Name, RoomSecret},
    protocol::{
        CHUNK_SIZE, FRAME_HEADER_LEN, FileIndex, FrameError, FrameHeader, SafeText, SignedOffer,
        TransferId,
    },
};

pub(super) struct Peer {
    pub(super) identity: Arc<Identity>,
    pub(super) keys: OpenKeys,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            identity: Arc::new(Identity::generate()),
            keys: OpenKeys::generate(),
        }
    }

    pub(super) fn bundle(&self) -> Bundle {
        Bundle {
            key: self.identity.public_key(),
            name: "bob".parse().unwrap(),
            chosen: true,
            hpke: Some(self.keys.current().public().clone()),
            direct: false,
            hard_links: false,
            expires_unix: u64::MAX,
        }
    }

    pub(super) fn open(
        &self,
        room: &RoomSecret,
        offer: &SignedOffer,
        transfer: TransferId,
        from: &Peer,
    ) -> Result<OpenedOffer, OfferError> {
        let inbox = Inbox {
            me: &self.identity,
            room: room.room_id(),
            member_key: &room.member_key(),
            keys: &self.keys,
        };
        open_offer(offer, transfer, from.identity.id(), &inbox)
    }
}

pub(super) fn room() -> RoomSecret {
    RoomSecret::from_bytes([5; 16])
}

pub(super) fn manifest() -> Manifest {
    Manifest {
        job: JobId([6; 16]),
        files: Some(1),
        bytes: Some(5),
        room: None,
        names: vec![ManifestEntry {
            path: SafeText::new("distinctive name"),
            size: Some(5),
        }],
        text: false,
        renames: false,
    }
}

pub(super) fn sealer(from: &Peer, suite: Suite, recipients: u32) -> TransferSealer {
    TransferSealer::new(&NewTransfer {
        identity: &from.identity,
        name: &name(),
        room: room().room_id(),
        member_key: &room().member_key(),
        suite,
        recipients: NonZeroU32::new(recipients).unwrap(),
        manifest: &manifest(),
    })
}

pub(super) fn name() -> Name {
    Name {
        name: "alice".parse().unwrap(),
        chosen: true,
    }
}

/// A transfer to one peer, offered and opened.
pub(super) fn solo(suite: Suite) -> (TransferSealer, OpenedOffer) {
    let (alice, bob) = (Peer::new(), Peer::new());
    let sealer = sealer(&alice, suite, 1);
    let offer = sealer.offer_to(&bob.bundle()).unwrap();
    let opened = bob
        .open(&room(), &offer, sealer.transfer(), &alice)
        .unwrap();
    (sealer, opened)
}

pub(super) fn head(size: Option<u64>) -> Head {
    Head {
        mtime: Some(ModifiedTime(1, 2)),
        ..Head::new(HeadKind::File, "distinctive name", size)
    }
}

pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

/// All frames of a file.
pub(super) fn seal(
    sealer: &TransferSealer,
    head: &Head,
    content: &[u8],
    compression: Compression,
) -> Vec<Vec<u8>> {
    let (mut file, frame) = sealer.seal_file(head).unwrap();
    let mut frames = vec![frame];
    frames.extend(seal_chunks(&mut file, content, compression));
    frames.push(file.finish().unwrap().0);
    frames
}

pub(super) fn seal_chunks(
    file: &mut FileSealer,
    content: &[u8],
    compression: Compression,
) -> Vec<Vec<u8>> {
    let seal = |chunk: &[u8]| {
        let mut frame = chunk_frame();
        frame.extend_from_slice(chunk);
        let capacity = frame.capacity();
        file.seal_chunk(&mut frame, compression).unwrap();
        assert_eq!(frame.capacity(), capacity, "sealing copied the chunk");
        frame.to_vec()
    };
    content.chunks(CHUNK_SIZE).map(seal).collect()
}

#[derive(Debug, PartialEq)]
pub(super) enum Failure {
    Frame(FrameError),
    Open(OpenError),
    /// The stream ended without a trailer.
    Ended,
    /// Something follows the trailer.
    Trailing,
}

impl From<OpenError> for Failure {
    fn from(e: OpenError) -> Self {
        Self::Open(e)
    }
}

pub(super) fn split(frame: &[u8]) -> Result<(FrameHeader, Vec<u8>), Failure> {
    let (header, payload) = frame.split_first_chunk::<FRAME_HEADER_LEN>().unwrap();
    let header = FrameHeader::decode(*header).map_err(Failure::Frame)?;
    Ok((header, payload.to_vec()))
}

/// Opens a file's stream as a recipient must.
pub(super) fn open<F: AsRef<[u8]>>(
    opener: &TransferOpener,
    file: u64,
    frames: &[F],
) -> Result<(Head, Vec<u8>, FileDigest), Failure> {
    let mut frames = frames.iter();
    let first = frames.next().ok_or(Failure::Ended)?;
    let (header, mut payload) = split(first.as_ref())?;
    let (head, opener) = opener.open_head(FileIndex(file), header, &mut payload)?;
    let (content, digest) = open_rest(opener, frames)?;
    Ok((head, content, digest))
}

pub(super) fn open_rest<F: AsRef<[u8]>>(
    mut opener: FileOpener,
    mut frames: impl Iterator<Item = F>,
) -> Result<(Vec<u8>, FileDigest), Failure> {
    let mut content = Vec::new();
    let mut frame = frames.next().ok_or(Failure::Ended)?;
    loop {
        let (header, mut payload) = split(frame.as_ref())?;
        match opener.open_chunk(header, &mut payload) {
            Ok(chunk) => content.extend_from_slice(chunk.content),
            Err(OpenError::Kind { .. }) => {
                let digest = opener.finish(header, &mut payload)?;
                return match frames.next() {
                    None => Ok((content, digest)),
                    Some(_) => Err(Failure::Trailing),
                };
            }
            Err(e) => return Err(e.into()),
        }
        frame = frames.next().ok_or(Failure::Ended)?;
    }
}
