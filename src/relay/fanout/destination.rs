//! Who is behind one outlet.

use bytes::Bytes;

use crate::protocol::{FrameHeader, FrameKind, PeerId, PlanEntry, encode_plan};

/// Who is behind one outlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A recipient.
    Peer(PeerId),
    /// Another relay, which fans the file out to these recipients of its own.
    Relay {
        /// Its key's hash.
        node: PeerId,
        /// Whom it serves.
        peers: Vec<PeerId>,
    },
}

/// What a plan makes of one outlet's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    /// The first chunk that goes there; [`PlanEntry::NOTHING`] where nothing does.
    pub(super) first_chunk: u32,
    /// The frame that says the same to another relay of each of its recipients.
    pub(super) plan: Option<Bytes>,
}

impl From<PeerId> for Destination {
    fn from(peer: PeerId) -> Self {
        Self::Peer(peer)
    }
}

impl Destination {
    /// Who is at the other end of the outlet.
    #[must_use]
    pub fn id(&self) -> PeerId {
        match self {
            Self::Peer(peer) | Self::Relay { node: peer, .. } => *peer,
        }
    }

    /// What a plan makes of it, where the plan names anybody of it.
    ///
    /// Another relay gets whatever any of its recipients needs, and the part of the plan that is about them.
    pub(super) fn start(&self, first_of: impl Fn(&PeerId) -> Option<u32>) -> Option<Start> {
        match self {
            Self::Peer(peer) => first_of(peer)
                .filter(|first| *first > 0)
                .map(|first| Start {
                    first_chunk: first,
                    plan: None,
                }),
            Self::Relay { peers, .. } => {
                let entry = |peer: &PeerId| {
                    let (peer, first_chunk) = (*peer, first_of(peer)?);
                    Some(PlanEntry { peer, first_chunk })
                };
                let entries: Vec<_> = peers.iter().filter_map(entry).collect();
                let all_are_named = entries.len() == peers.len();
                let least = entries.iter().map(|entry| entry.first_chunk).min()?;
                Some(Start {
                    first_chunk: if all_are_named { least } else { 0 },
                    plan: Some(plan_frame(&entries)),
                })
            }
        }
    }
}

fn plan_frame(entries: &[PlanEntry]) -> Bytes {
    let payload = encode_plan(entries);
    let header = FrameHeader {
        kind: FrameKind::Plan,
        len: payload.len(),
        index: 0,
    };
    [&header.encode()[..], &payload].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn another_relay_gets_what_any_of_its_recipients_needs() {
        let relay = Destination::Relay {
            node: peer(9),
            peers: vec![peer(1), peer(2)],
        };
        let first = |plan: &[(u8, u32)]| {
            let plan = plan.to_vec();
            let of = move |peer_: &PeerId| {
                let found = plan.iter().find(|(n, _)| peer(*n) == *peer_);
                found.map(|(_, first)| *first)
            };
            relay.start(of).map(|start| start.first_chunk)
        };
        assert_eq!(first(&[(3, 7)]), None, "nobody of it is named");
        assert_eq!(first(&[(1, 7)]), Some(0), "the other needs all");
        assert_eq!(first(&[(1, 7), (2, 5)]), Some(5));
        assert_eq!(first(&[(1, PlanEntry::NOTHING), (2, 5)]), Some(5));
        let nothing = PlanEntry::NOTHING;
        assert_eq!(first(&[(1, nothing), (2, nothing)]), Some(nothing));
    }
}
