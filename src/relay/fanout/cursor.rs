//! How far each recipient of a file is.

use std::{ops::Range, time::Duration};

use tokio::time::Instant;

use super::destination::Start;
use crate::protocol::Code;

/// The cursors of a file's recipients, each in its slot.
#[derive(Debug)]
pub(super) struct Cursors {
    seats: Vec<Seat>,
    remaining: usize,
    lead: u64,
}

/// How far one recipient is.
#[derive(Debug)]
pub(super) struct Cursor {
    position: u64,
    pinned: bool,
    moved_at: Option<Instant>,
    /// Where its part begins, if it does not get all chunks.
    pub(super) start: Option<Start>,
}

#[derive(Debug)]
enum Seat {
    Taken(Cursor),
    Stopped(Code),
    Left,
}

impl Cursors {
    /// All at the start, and pinned.
    pub(super) fn new(recipients: usize) -> Self {
        let seat = || {
            Seat::Taken(Cursor {
                position: 0,
                pinned: true,
                moved_at: None,
                start: None,
            })
        };
        Self {
            seats: std::iter::repeat_with(seat).take(recipients).collect(),
            remaining: recipients,
            lead: 0,
        }
    }

    /// How many there are.
    pub(super) fn remaining(&self) -> usize {
        self.remaining
    }

    /// The first one's position.
    pub(super) fn lead(&self) -> u64 {
        self.lead
    }

    /// The last one's position.
    pub(super) fn tail(&self) -> Option<u64> {
        self.iter().map(|(_, cursor)| cursor.position).min()
    }

    /// What no pinned cursor needs is before this; at most the lead.
    pub(super) fn floor(&self) -> u64 {
        let pinned = self.iter().filter(|(_, cursor)| cursor.pinned);
        let floor = pinned.map(|(_, cursor)| cursor.position).min();
        floor.unwrap_or(self.lead)
    }

    /// How many are before `position`.
    pub(super) fn count_before(&self, position: u64) -> usize {
        let before = |(_, cursor): &(usize, &Cursor)| cursor.position < position;
        self.iter().filter(before).count()
    }

    /// The slots of the unpinned ones before `position`.
    pub(super) fn unpinned_before(&self, position: u64) -> Vec<usize> {
        let behind = |(_, cursor): &(usize, &Cursor)| !cursor.pinned && cursor.position < position;
        self.iter().filter(behind).map(|(slot, _)| slot).collect()
    }

    /// The slot of the unpinned one that is last.
    pub(super) fn last_unpinned(&self) -> Option<usize> {
        let unpinned = self.iter().filter(|(_, cursor)| !cursor.pinned);
        let last = unpinned.min_by_key(|(_, cursor)| cursor.position);
        last.map(|(slot, _)| slot)
    }

    /// All that are there.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Cursor> {
        self.seats.iter_mut().filter_map(|seat| match seat {
            Seat::Taken(cursor) => Some(cursor),
            Seat::Stopped(_) | Seat::Left => None,
        })
    }

    /// The one in `slot`, if it is there.
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Cursor> {
        self.seat_mut(slot).ok()
    }

    /// The one in `slot`, or the code with which it was stopped.
    pub(super) fn seat_mut(&mut self, slot: usize) -> Result<&mut Cursor, Code> {
        match &mut self.seats[slot] {
            Seat::Taken(cursor) => Ok(cursor),
            Seat::Stopped(code) => Err(*code),
            Seat::Left => Err(Code::Internal),
        }
    }

    /// Moves the one in `slot` on, and gives where from and to.
    pub(super) fn advance(&mut self, slot: usize, bytes: u64, now: Instant) -> Option<Range<u64>> {
        let cursor = self.get_mut(slot)?;
        let from = cursor.position;
        cursor.position += bytes;
        cursor.moved_at = Some(now);
        let to = cursor.position;
        self.lead = self.lead.max(to);
        Some(from..to)
    }

    /// Takes the one in `slot` out, and leaves word why.
    pub(super) fn stop(&mut self, slot: usize, code: Code) -> Option<Cursor> {
        self.replace(slot, Seat::Stopped(code))
    }

    /// Takes the one in `slot` out.
    pub(super) fn leave(&mut self, slot: usize) -> Option<Cursor> {
        self.replace(slot, Seat::Left)
    }

    /// Takes all out, and leaves word why.
    pub(super) fn stop_all(&mut self, code: Code) {
        for seat in &mut self.seats {
            if matches!(seat, Seat::Taken(_)) {
                *seat = Seat::Stopped(code);
            }
        }
        self.remaining = 0;
        self.lead = 0;
    }

    fn replace(&mut self, slot: usize, seat: Seat) -> Option<Cursor> {
        if !matches!(self.seats[slot], Seat::Taken(_)) {
            return None;
        }
        let Seat::Taken(cursor) = std::mem::replace(&mut self.seats[slot], seat) else {
            unreachable!("taken, as was just seen");
        };
        self.remaining -= 1;
        if cursor.position == self.lead {
            let positions = self.iter().map(|(_, cursor)| cursor.position);
            self.lead = positions.max().unwrap_or(0);
        }
        Some(cursor)
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &Cursor)> {
        let seats = self.seats.iter().enumerate();
        seats.filter_map(|(slot, seat)| match seat {
            Seat::Taken(cursor) => Some((slot, cursor)),
            Seat::Stopped(_) | Seat::Left => None,
        })
    }
}

impl Cursor {
    /// The bytes of the stream that it has passed.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Whether what it needs is kept in memory.
    pub(super) fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Keeps what it needs in memory from now on; it is there.
    pub(super) fn pin(&mut self) {
        self.pinned = true;
    }

    /// Lets what it needs leave memory, once that is in the spool.
    pub(super) fn unpin(&mut self) {
        self.pinned = false;
    }

    /// Whether it moved not longer ago than `recent`.
    pub(super) fn moved_within(&self, recent: Duration, now: Instant) -> bool {
        self.moved_at
            .is_some_and(|at| now.duration_since(at) <= recent)
    }
}
