//! The files of an attempt that are under way, and the places for more.

use std::collections::HashMap;

use crate::protocol::{FileClass, FileIndex};

/// So many times the places of small files there are while those under way hold little: over a long way,
/// it is how many there are that decides how fast they arrive. Fewer than there are streams, so that bulk has
/// a place.
pub(super) const SMALL_TIMES: (usize, usize) = (7, 4);
/// What little is, in bytes.
pub(super) const SMALL_BYTES: u64 = 8 << 20;

/// How many files may be under way at once.
#[derive(Debug, Clone, Copy)]
pub(in crate::transfer::send) struct Places {
    /// Of one chunk.
    pub(in crate::transfer::send) small: usize,
    /// Larger ones.
    pub(in crate::transfer::send) bulk: usize,
}

impl Places {
    /// Of the first attempt. Small files stay below the stream limit, so that bulk has a place; of larger
    /// ones, few finish sooner than many, and keep the send window free for small ones.
    pub(in crate::transfer::send) const FIRST: Self = Self {
        small: 128,
        bulk: 3,
    };
    /// Of attempts beside the first.
    pub(in crate::transfer::send) const BESIDE: Self = Self { small: 16, bulk: 2 };
}

/// The files that are under way.
pub(super) struct UnderWay {
    places: Places,
    /// The sizes of the small ones.
    small: HashMap<FileIndex, u64>,
    bulk: usize,
}

impl UnderWay {
    pub(super) fn new(places: Places) -> Self {
        Self {
            places,
            small: HashMap::new(),
            bulk: 0,
        }
    }

    pub(super) fn has_room_for(&self, class: FileClass) -> bool {
        let places = self.places;
        match class {
            FileClass::Small => {
                let few = self.small.len() < places.small;
                few || (self.small.len() < places.small * SMALL_TIMES.0 / SMALL_TIMES.1
                    && self.small.values().sum::<u64>() < SMALL_BYTES)
            }
            FileClass::Bulk => self.bulk < places.bulk,
        }
    }

    pub(super) fn begin(&mut self, index: FileIndex, class: FileClass, size: u64) {
        match class {
            FileClass::Small => drop(self.small.insert(index, size)),
            FileClass::Bulk => self.bulk += 1,
        }
    }

    pub(super) fn end(&mut self, index: FileIndex, class: FileClass) {
        match class {
            FileClass::Small => drop(self.small.remove(&index)),
            FileClass::Bulk => self.bulk -= 1,
        }
    }
}
