//! How much one connection may send without being read, and queue without being acknowledged.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::budget::{Lease, Purpose, Share};
use crate::{
    protocol::FileClass,
    quic::{HeldMemory, Link, STREAMS_MAX, Tuning},
};

/// What any admitted peer may send before it is read, in bytes: a few messages.
///
/// Not counted as memory for transfers, of which 1,000 idle listeners would take it all: it is a part of
/// what a connection takes at most, as its state is, and bounded by how many there may be.
const CONTROL_WINDOW: u64 = 32 << 10;
/// What one that sends files may, whatever else is held, in bytes.
const SENDER_WINDOW_LEAST: u64 = 48 << 10;
/// What it may to begin with where memory is free, in bytes.
const SENDER_WINDOW_FIRST: u64 = 1 << 20;
/// The same for one far away, while little memory is used: what 300 Mbit/s over 100 ms hold. A start that must
/// wait for its credit to double takes a round trip more for each time.
const FAR_WINDOW_FIRST: u64 = 4 << 20;
/// What a small file may hold unread, in bytes: its one chunk and what is around it. One that holds more only
/// stands in the way of its own sender.
const SMALL_UNREAD: u64 = 288 << 10;
/// What another relay may send before it is read, whatever else is held, in bytes.
const TRUNK_WINDOW_FIRST: u64 = 1 << 20;
/// File streams to begin with: one round trip's worth of small files.
const STREAMS_FIRST: u32 = 128;

/// The windows of one connection, which follow what it does.
///
/// A stranger gets what a `hello` needs (see [`Tuning::unadmitted`]); a member what messages need. Who
/// has offered a transfer gets streams, and a window that doubles whenever it was used up within two
/// round trips, or half of it from afar: a link that can use a large window gets one, and who sends
/// nothing pins nothing. Every byte of a sender's window beyond that counts as memory, and so does every byte
/// of another relay's.
#[derive(Debug)]
pub(super) struct Windows {
    link: Link,
    share: Share,
    is_near: bool,
    /// What the window may grow to, in bytes.
    most: u64,
    /// What one large file may hold unread, in bytes.
    of_file: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sends: bool,
    receives: bool,
    streams: u32,
    /// Files that have ended since there were so many streams.
    ended: u32,
    window: u64,
    /// What is granted beyond it, for files that wait.
    lent: u64,
    /// What was lent and is not any more, but was granted: as much that is read gives no new credit.
    debt: u64,
    lease: Lease,
    /// Bytes that were read since then.
    read: u64,
    since: Instant,
}

impl Windows {
    /// For a peer that was just admitted.
    pub(super) fn new(link: Link, share: &Share) -> Self {
        let of_file = Tuning::stream_window(link.remote().ip());
        let windows = (CONTROL_WINDOW, Tuning::CONNECTION_WINDOW);
        Self::with_windows(link, share, windows, of_file)
    }

    /// For another relay, whose window starts at what it may have whatever else is held, and grows to an eighth of
    /// all memory. All trunks together have one `share`.
    pub(super) fn of_trunk(link: Link, share: &Share) -> Self {
        let most = (share.budget().memory_limit() / 8).max(TRUNK_WINDOW_FIRST);
        let most = most.min(Tuning::CONNECTION_WINDOW);
        let of_file = Tuning::trunk_stream_window(link.remote().ip());
        let windows = Self::with_windows(link, share, (TRUNK_WINDOW_FIRST, most), of_file);
        windows.state().lease.force(TRUNK_WINDOW_FIRST as usize);
        windows
    }

    fn with_windows(link: Link, share: &Share, (window, most): (u64, u64), of_file: u64) -> Self {
        let lease = share.lease(Purpose::Windows);
        link.set_receive_window(window);
        link.count_held(Arc::new(OutOfOrder {
            share: share.clone(),
            lease: Mutex::new(share.lease(Purpose::Windows)),
        }));
        let state = State {
            sends: false,
            receives: false,
            streams: 0,
            ended: 0,
            window,
            lent: 0,
            debt: 0,
            lease,
            read: 0,
            since: Instant::now(),
        };
        Self {
            is_near: link.remote().ip().is_loopback(),
            link,
            share: share.clone(),
            most,
            of_file,
            state: Mutex::new(state),
        }
    }

    /// The peer has offered a transfer: files will come.
    pub(super) fn sends(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.sends, true) {
            let first = match self.is_near || !self.share.budget().is_mostly_free() {
                true => SENDER_WINDOW_FIRST,
                false => FAR_WINDOW_FIRST,
            };
            let all = first - CONTROL_WINDOW;
            if state.lease.try_grow(all as usize) {
                state.window = first;
            } else {
                let least = SENDER_WINDOW_LEAST - CONTROL_WINDOW;
                state.lease.force(least as usize);
                state.window = SENDER_WINDOW_LEAST;
            }
            state.streams = STREAMS_FIRST;
            self.grant(&state);
            self.link.set_file_streams(state.streams);
        }
    }

    /// One of the peer's files waits and is not read meanwhile; `None` if memory is short.
    ///
    /// What it holds unread would use up the window, and leave nothing for the files that do not wait: they
    /// would wait for it to be read, and it for their end. So as much is lent as it may hold.
    pub(super) fn lend(&self, class: FileClass) -> Option<Lent<'_>> {
        let bytes = match class {
            FileClass::Small => SMALL_UNREAD,
            FileClass::Bulk => self.of_file,
        };
        let mut state = self.state();
        state.lease.try_grow(bytes as usize).then(|| {
            state.lent += bytes;
            self.grant(&state);
            Lent {
                windows: self,
                bytes,
            }
        })
    }

    fn grant(&self, state: &State) {
        self.link.set_receive_window(state.window + state.lent);
    }

    /// The peer gets files. What it has not acknowledged of them is counted where they are held.
    pub(super) fn receives(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.receives, true) {
            let remote = self.link.remote().ip();
            self.link.set_send_window(Tuning::send_window(remote));
        }
    }

    /// So many bytes of its files were read.
    pub(super) fn read(&self, bytes: usize) {
        let mut state = self.state();
        let paid = state.debt.min(bytes as u64);
        if paid > 0 {
            state.debt -= paid;
            state.lease.shrink(paid as usize);
        }
        state.read += bytes as u64;
        // A far sender doubles what it has under way in each round trip of its start; what it is granted
        // now reaches it when it has done so twice. From a near one, it is the processor that limits.
        let part = if self.is_near { 1 } else { 2 };
        if state.read < state.window / part {
            return;
        }
        let took = state.since.elapsed();
        state.read = 0;
        state.since = Instant::now();
        let more = state.window.min(self.most - state.window);
        // Below a millisecond it is the processor that limits, not the window.
        let used_up = took < 2 * self.link.rtt().max(Duration::from_millis(1));
        if used_up && more > 0 && state.lease.try_grow(more as usize) {
            state.window += more;
            self.grant(&state);
        }
    }

    /// One of its files has ended, as files do.
    pub(super) fn ended(&self) {
        let mut state = self.state();
        state.ended += 1;
        if state.ended >= state.streams && state.streams < STREAMS_MAX {
            state.ended = 0;
            state.streams = (state.streams * 2).min(STREAMS_MAX);
            self.link.set_file_streams(state.streams);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one file that waits is lent; given back when dropped.
#[derive(Debug)]
pub(super) struct Lent<'a> {
    windows: &'a Windows,
    bytes: u64,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut state = self.windows.state();
        state.lent -= self.bytes;
        // The other end may still use it.
        state.debt += self.bytes;
        self.windows.grant(&state);
    }
}

/// What a connection's files hold out of order.
#[derive(Debug)]
struct OutOfOrder {
    share: Share,
    lease: Mutex<Lease>,
}

impl OutOfOrder {
    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeldMemory for OutOfOrder {
    fn add(&self, bytes: usize) {
        self.lease().force(bytes);
    }

    fn sub(&self, bytes: usize) {
        self.lease().shrink(bytes);
    }

    fn is_short(&self) -> bool {
        self.share.is_used_up()
    }
}
