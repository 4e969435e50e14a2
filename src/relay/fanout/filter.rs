//! What is left of a file's frames for a recipient that holds its beginning already.

use bytes::{Buf, Bytes};

use super::destination::Start;
use crate::protocol::{FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind};

/// Takes the chunks before a first one out of a stream of frames, without copying the others, and puts
/// a plan in after the head.
#[derive(Debug)]
pub(super) struct FrameFilter {
    start: Start,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Inside a header, of which `len` bytes were in earlier pieces.
    Header {
        have: [u8; FRAME_HEADER_LEN],
        len: usize,
    },
    /// Inside a payload.
    Payload { left: u64, passes: bool },
}

const AT_HEADER: State = State::Header {
    have: [0; FRAME_HEADER_LEN],
    len: 0,
};

impl FrameFilter {
    /// A filter whose next `unparsed` bytes pass as they are: the rest of a head.
    pub(super) fn new(start: Start, unparsed: u64) -> Self {
        Self {
            start,
            state: State::Payload {
                left: unparsed,
                passes: true,
            },
        }
    }

    /// Takes bytes off the front of `piece` and gives the next run of them that passes; `None`
    /// once all of `piece` is taken.
    ///
    /// # Errors
    /// A header that is none, or a second plan.
    pub(super) fn next(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>, FrameError> {
        let mut run = 0;
        while run < piece.len() {
            let rest = &piece[run..];
            match &mut self.state {
                State::Payload { left: 0, .. } => match self.start.plan.take() {
                    Some(plan) if run == 0 => return Ok(Some(plan)),
                    // After what of the head is in this piece.
                    Some(plan) => {
                        self.start.plan = Some(plan);
                        break;
                    }
                    None => self.state = AT_HEADER,
                },
                State::Payload { left, passes: true } => {
                    let taken = at_most(*left, rest.len());
                    *left -= taken as u64;
                    run += taken;
                }
                // What passes before something that does not goes out first.
                State::Payload { passes: false, .. } | State::Header { len: 1.., .. }
                    if run > 0 =>
                {
                    break;
                }
                State::Payload { left, .. } => {
                    let taken = at_most(*left, rest.len());
                    *left -= taken as u64;
                    piece.advance(taken);
                }
                State::Header { len: 0, .. } if rest.len() >= FRAME_HEADER_LEN => {
                    let header = rest.first_chunk().expect("as long as a header");
                    let payload = self.payload_of(*header)?;
                    if matches!(payload, State::Payload { passes: true, .. }) {
                        run += FRAME_HEADER_LEN;
                    } else if run > 0 {
                        break;
                    } else {
                        piece.advance(FRAME_HEADER_LEN);
                    }
                    self.state = payload;
                }
                State::Header { .. } if run > 0 => break,
                State::Header { have, len } => {
                    let taken = rest.len().min(FRAME_HEADER_LEN - *len);
                    have[*len..*len + taken].copy_from_slice(&rest[..taken]);
                    *len += taken;
                    let whole = (*len == FRAME_HEADER_LEN).then_some(*have);
                    piece.advance(taken);
                    if let Some(header) = whole {
                        self.state = self.payload_of(header)?;
                        if matches!(self.state, State::Payload { passes: true, .. }) {
                            return Ok(Some(Bytes::copy_from_slice(&header)));
                        }
                    }
                }
            }
        }
        Ok((run > 0).then(|| piece.split_to(run)))
    }

    fn payload_of(&self, header: [u8; FRAME_HEADER_LEN]) -> Result<State, FrameError> {
        let header = FrameHeader::decode(header)?;
        let passes = match header.kind {
            FrameKind::Head | FrameKind::Trailer => true,
            FrameKind::Chunk | FrameKind::ChunkZstd => header.index >= self.start.first_chunk,
            FrameKind::Plan => {
                return Err(FrameError::Unknown {
                    what: "second plan, of kind",
                    got: header.kind as u8,
                });
            }
        };
        Ok(State::Payload {
            left: header.len as u64,
            passes,
        })
    }
}

fn at_most(left: u64, len: usize) -> usize {
    usize::try_from(left).map_or(len, |left| left.min(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: FrameKind, index: u32, len: usize) -> Vec<u8> {
        let mut out = FrameHeader { kind, len, index }.encode().to_vec();
        out.extend((0..len).map(|i| (i as u8).wrapping_mul(7) ^ index as u8));
        out
    }

    fn from_chunk(first_chunk: u32) -> FrameFilter {
        let plan = None;
        FrameFilter::new(Start { first_chunk, plan }, 0)
    }

    fn passed(filter: &mut FrameFilter, mut piece: Bytes) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(run) = filter.next(&mut piece).unwrap() {
            assert!(!run.is_empty());
            out.extend_from_slice(&run);
        }
        assert!(piece.is_empty());
        out
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_same_frames_pass(
            lens in prop::collection::vec(0usize..40, 0..12),
            first in 0u32..14,
            head_left in 0usize..20,
            has_plan in any::<bool>(),
            cuts in prop::collection::vec(1usize..30, 1..40),
        ) {
            let head = vec![9; head_left];
            let (mut sent, mut wanted) = (head.clone(), head);
            for (index, len) in lens.iter().enumerate() {
                let kind = if index % 2 == 0 { FrameKind::Chunk } else { FrameKind::ChunkZstd };
                let frame = frame(kind, index as u32, *len);
                sent.extend_from_slice(&frame);
                if index as u32 >= first {
                    wanted.extend_from_slice(&frame);
                }
            }
            let trailer = frame(FrameKind::Trailer, 0, 5);
            sent.extend_from_slice(&trailer);
            wanted.extend_from_slice(&trailer);

            let plan: Option<Bytes> = has_plan.then(|| frame(FrameKind::Plan, 0, 36).into());
            wanted.splice(head_left..head_left, plan.clone().unwrap_or_default());

            let mut filter = FrameFilter::new(Start { first_chunk: first, plan }, head_left as u64);
            let (mut sent, mut got) = (Bytes::from(sent), Vec::new());
            for cut in cuts.into_iter().cycle() {
                if sent.is_empty() {
                    break;
                }
                let piece = sent.split_to(cut.min(sent.len()));
                got.extend(passed(&mut filter, piece));
            }
            prop_assert_eq!(got, wanted);
        }
    }

    #[test]
    fn frames_that_pass_together_stay_one_slice_of_the_piece() {
        let mut sent = frame(FrameKind::Chunk, 4, 100);
        sent.extend(frame(FrameKind::Chunk, 5, 100));
        sent.extend(frame(FrameKind::Trailer, 0, 9));
        let mut piece = Bytes::from(sent);
        let (at, len) = (piece.as_ptr(), piece.len());
        let run = from_chunk(4).next(&mut piece).unwrap().unwrap();
        assert_eq!((run.as_ptr(), run.len()), (at, len));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bad in [
            [9; 8],
            [2, 255, 255, 255, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let mut piece = Bytes::copy_from_slice(&bad);
            assert!(from_chunk(1).next(&mut piece).is_err());
        }
    }
}
