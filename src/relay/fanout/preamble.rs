//! The start of a file's stream: a head, and perhaps a plan that is meant for the relay.

use bytes::{Bytes, BytesMut};

use crate::protocol::{
    FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind, PlanEntry, decode_plan,
};

/// Reads a stream's frames until it is known whether a plan follows the head.
///
/// From there on the stream is nobody's business here, and is not looked at.
#[derive(Debug)]
pub(super) struct Preamble {
    stage: Stage,
}

/// What comes next out of the start of a stream.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Bytes for the recipients.
    Content(Bytes),
    /// The plan; all content so far was the head.
    Plan(Vec<PlanEntry>),
}

/// Why a stream does not start as a file's does.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PreambleError {
    /// A frame that cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The first frame is no head.
    #[error("expected a head as the first frame, got {got:?}")]
    NoHead {
        /// What it is.
        got: FrameKind,
    },
    /// The stream ended inside its first frames.
    #[error("the stream ended inside its first frames")]
    Truncated,
}

#[derive(Debug)]
enum Stage {
    /// Inside the head's header, or the one after it.
    Header {
        of: Frame,
        have: [u8; FRAME_HEADER_LEN],
        len: usize,
    },
    /// Inside the head's payload.
    Head { left: usize },
    /// Inside the plan's payload.
    Plan { have: BytesMut, len: usize },
    /// Past all that.
    Body,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Frame {
    First,
    Second,
}

const fn header_of(of: Frame) -> Stage {
    Stage::Header {
        of,
        have: [0; FRAME_HEADER_LEN],
        len: 0,
    }
}

impl Preamble {
    /// At the start of a stream.
    pub(super) fn new() -> Self {
        Self {
            stage: header_of(Frame::First),
        }
    }

    /// Takes bytes off the front of `piece` and gives what they hold; `None` when more are needed.
    ///
    /// The head goes on as it comes, the header after it once it is whole.
    ///
    /// # Errors
    /// Frames that no file's stream starts with.
    pub(super) fn next(&mut self, piece: &mut Bytes) -> Result<Option<Found>, PreambleError> {
        while !piece.is_empty() {
            match &mut self.stage {
                Stage::Body => return Ok(Some(Found::Content(piece.split_off(0)))),
                Stage::Head { left: 0 } => self.stage = header_of(Frame::Second),
                Stage::Head { left } => {
                    let taken = piece.split_to((*left).min(piece.len()));
                    *left -= taken.len();
                    return Ok(Some(Found::Content(taken)));
                }
                Stage::Plan { have, len } => {
                    // Grows with what has come, not with what was announced.
                    let taken = piece.split_to((*len - have.len()).min(piece.len()));
                    have.extend_from_slice(&taken);
                    if have.len() == *len {
                        let plan = decode_plan(have)?;
                        self.stage = Stage::Body;
                        return Ok(Some(Found::Plan(plan)));
                    }
                }
                Stage::Header { of, have, len } => {
                    let of = *of;
                    let taken = piece.split_to((FRAME_HEADER_LEN - *len).min(piece.len()));
                    have[*len..*len + taken.len()].copy_from_slice(&taken);
                    *len += taken.len();
                    if *len < FRAME_HEADER_LEN {
                        continue;
                    }
                    let bytes = *have;
                    let header = FrameHeader::decode(bytes)?;
                    let whole = if taken.len() == FRAME_HEADER_LEN {
                        taken
                    } else {
                        Bytes::copy_from_slice(&bytes)
                    };
                    self.stage = match (of, header.kind) {
                        (Frame::First, FrameKind::Head) => Stage::Head { left: header.len },
                        (Frame::First, got) => return Err(PreambleError::NoHead { got }),
                        (Frame::Second, FrameKind::Plan) if header.len == 0 => {
                            self.stage = Stage::Body;
                            return Ok(Some(Found::Plan(Vec::new())));
                        }
                        (Frame::Second, FrameKind::Plan) => {
                            self.stage = Stage::Plan {
                                have: BytesMut::new(),
                                len: header.len,
                            };
                            continue;
                        }
                        (Frame::Second, _) => Stage::Body,
                    };
                    return Ok(Some(Found::Content(whole)));
                }
            }
        }
        Ok(None)
    }

    /// Whether a stream may end here, as far as this reads it.
    ///
    /// # Errors
    /// [`PreambleError::Truncated`] inside the head, the plan or a header.
    pub(super) fn finish(&self) -> Result<(), PreambleError> {
        match self.stage {
            Stage::Body
            | Stage::Head { left: 0 }
            | Stage::Header {
                of: Frame::Second,
                len: 0,
                ..
            } => Ok(()),
            _ => Err(PreambleError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{PeerId, encode_plan};

    fn frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader {
            kind,
            len: payload.len(),
            index: 0,
        };
        [&header.encode()[..], payload].concat()
    }

    /// Content and plans in order, content joined up.
    fn read(stream: &[u8], cut: usize) -> Result<Vec<Found>, PreambleError> {
        let mut preamble = Preamble::new();
        let mut all: Vec<Found> = Vec::new();
        for piece in stream.chunks(cut) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(found) = preamble.next(&mut piece)? {
                match (all.last_mut(), found) {
                    (Some(Found::Content(so_far)), Found::Content(more)) => {
                        *so_far = [&so_far[..], &more[..]].concat().into();
                    }
                    (_, found) => all.push(found),
                }
            }
            assert!(piece.is_empty());
        }
        preamble.finish().map(|()| all)
    }

    #[test]
    fn the_plan_is_taken_out_and_everything_else_goes_on_unchanged() {
        let plan = vec![PlanEntry {
            peer: PeerId::from_bytes([1; 32]),
            first_chunk: 3,
        }];
        let head = frame(FrameKind::Head, &[5; 70]);
        let body = [frame(FrameKind::Chunk, &[6; 50]), vec![0xff; 30]].concat();
        for plan in [plan, Vec::new()] {
            let middle = frame(FrameKind::Plan, &encode_plan(&plan));
            let stream = [&head[..], &middle, &body].concat();
            let expected = [
                Found::Content(head.clone().into()),
                Found::Plan(plan.clone()),
                Found::Content(body.clone().into()),
            ];
            for cut in 1..=stream.len() {
                assert_eq!(read(&stream, cut).unwrap(), expected, "cut every {cut}");
            }
        }
        let stream = [head, body].concat();
        for cut in 1..=stream.len() {
            let all = Found::Content(stream.clone().into());
            assert_eq!(read(&stream, cut).unwrap(), [all]);
        }
    }

    #[test]
    fn the_head_goes_on_before_anything_follows_it() {
        let head = frame(FrameKind::Head, &[5; 9]);
        let [Found::Content(got)] = &read(&head, 4).unwrap()[..] else {
            panic!("content alone")
        };
        assert_eq!(got[..], head);
    }

    #[test]
    fn garbage_and_torn_starts_are_refused() {
        let head = frame(FrameKind::Head, b"x");
        let torn_plan = [&head[..], &frame(FrameKind::Plan, &[0; 37])].concat();
        for (stream, wrong) in [
            (vec![], "nothing at all"),
            (vec![0x47; 64], "another protocol"),
            (frame(FrameKind::Chunk, b"x"), "no head"),
            (vec![0, 255, 255, 255, 0, 0, 0, 0], "an oversize head"),
            (head[..8].to_vec(), "half a head"),
            ([&head[..], &[2, 0]].concat(), "half a header"),
            ([&head[..], &[9; 8]].concat(), "an unknown second frame"),
            (torn_plan.clone(), "a plan of one entry and a byte"),
            (torn_plan[..40].to_vec(), "half a plan"),
        ] {
            for cut in [1, 5, 64] {
                assert!(read(&stream, cut).is_err(), "{wrong}");
            }
        }
    }
}
