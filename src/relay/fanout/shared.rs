//! One file's ring, shared by its ingest, its spooler and its recipients.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{
    super::budget::{Counted, Share},
    FanoutConfig,
    allocations::{Allocation, Allocations},
    destination::Start,
    fetch::{Fetch, Skip, Source},
    ring::{Admit, NextWrite, Ring},
};
use crate::protocol::{Code, PlanEntry};

/// A ring behind a lock that is held for microseconds, and who is woken when.
///
/// No wake is lost: `room`, `work` and `stops` have one waiter each and keep a permit; whoever
/// waits for `news` registers before it looks.
#[derive(Debug)]
pub(super) struct Shared {
    ring: Mutex<Ring>,
    share: Share,
    /// To the recipients that have had everything: there is more, or nothing further comes.
    news: Notify,
    /// To the ingest: memory may have become free.
    room: Notify,
    /// To the spooler: memory is short.
    work: Notify,
    /// To each recipient: it is to stop.
    stops: Vec<Notify>,
}

impl Shared {
    pub(super) fn new(recipients: usize, config: &FanoutConfig, share: &Share) -> Self {
        let ring = Ring::new(recipients, config, share, Instant::now());
        Self {
            ring: Mutex::new(ring),
            share: share.clone(),
            news: Notify::new(),
            room: Notify::new(),
            work: Notify::new(),
            stops: std::iter::repeat_with(Notify::new)
                .take(recipients)
                .collect(),
        }
    }

    /// Waits until another block may be filled, and gives it.
    pub(super) async fn room(&self, allocations: &mut Allocations) -> Allocation {
        let budget = self.share.budget();
        loop {
            let began = Instant::now();
            let freed = budget.memory_freed();
            if budget.is_short() {
                allocations.release();
            }
            let admit = self.ring().admit(began, |size| allocations.reuse(size));
            match admit {
                Admit::Block(block) => {
                    self.work.notify_one();
                    return block;
                }
                Admit::AfterLead => self.room.notified().await,
                Admit::AfterMemory => tokio::select! {
                    () = self.room.notified() => {}
                    () = freed => {}
                },
                // Who has not made room by then is no longer waited for.
                Admit::Grace(left) => drop(timeout(left, self.room.notified()).await),
                Admit::AfterSpool(left) => {
                    self.work.notify_one();
                    if timeout(left, self.room.notified()).await.is_err() {
                        let slots = self.ring().give_up_on_spool();
                        debug!(recipients = slots.len(), "the spool is too slow");
                        slots.into_iter().for_each(|slot| self.tell_stop(slot));
                    }
                }
            }
            self.ring().waited(&admit, began.elapsed());
        }
    }

    /// Gives a piece of the last block to the recipients; whether the block takes more pieces.
    pub(super) fn publish(&self, piece: Bytes) -> bool {
        let mut ring = self.ring();
        ring.push(piece);
        let more = !ring.block_is_full();
        drop(ring);
        self.news.notify_waiters();
        more
    }

    /// Applies a plan to the recipient in each slot that `slot_of` finds.
    pub(super) fn plan(&self, plan: impl IntoIterator<Item = (usize, Start)>) {
        for (slot, start) in plan {
            if start.first_chunk == PlanEntry::NOTHING {
                self.stop(slot, Code::NotNeeded);
            } else {
                self.ring().skip(slot, start);
            }
        }
    }

    /// Nothing further comes: all there is goes out, or with a code nothing does.
    pub(super) fn close(&self, end: Result<(), Code>) {
        match end {
            Ok(()) => self.ring().finish(),
            Err(code) => {
                self.ring().stop_all(code);
                self.stops.iter().for_each(Notify::notify_one);
            }
        }
        self.news.notify_waiters();
    }

    /// Moves blocks to the spool for as long as it is polled.
    pub(super) async fn spool(&self) -> std::convert::Infallible {
        let file = self.ring().spool_file();
        loop {
            let freed = self.share.budget().spool_freed();
            let next = self.ring().next_write();
            match next {
                NextWrite::Nothing => tokio::select! {
                    () = self.work.notified() => {}
                    () = file.shed() => {
                        let slot = self.ring().stop_last();
                        debug!(?slot, "others need the disk more");
                        slot.into_iter().for_each(|slot| self.tell_stop(slot));
                    }
                },
                NextWrite::AfterOthers => drop(timeout(SHED_LIMIT, freed).await),
                NextWrite::Stopped(slot) => {
                    debug!(slot, "a recipient is behind by more than the spool takes");
                    self.tell_stop(slot);
                }
                NextWrite::Write(write) => {
                    match write.run().await {
                        Ok(segment) => self.ring().written(segment),
                        Err(error) => {
                            warn!(%error, "cannot write to the spool");
                            let slots = self.ring().give_up_on_spool();
                            slots.into_iter().for_each(|slot| self.tell_stop(slot));
                        }
                    }
                    self.room.notify_one();
                }
            }
        }
    }

    /// Waits for bytes for the recipient in `slot`; `None` is the end.
    ///
    /// # Errors
    /// The code with which the recipient is to be reset.
    pub(super) async fn next(&self, slot: usize) -> Result<Option<(Source, Option<Skip>)>, Code> {
        loop {
            let news = self.news.notified();
            let fetch = self.ring().fetch(slot);
            match fetch {
                Fetch::Bytes(source, skip) => return Ok(Some((source, skip))),
                Fetch::Wait => news.await,
                Fetch::End => return Ok(None),
                Fetch::Stop(code) => return Err(code),
            }
        }
    }

    /// Waits until the recipient in `slot` is told to stop, and why.
    pub(super) async fn stopped(&self, slot: usize) -> Code {
        loop {
            self.stops[slot].notified().await;
            if let Fetch::Stop(code) = self.ring().fetch(slot) {
                return code;
            }
        }
    }

    /// Completes when the recipient in `slot` has had something to write for as long as `limit`.
    pub(super) async fn stalled(&self, slot: usize, limit: Duration) {
        drop(self.next(slot).await);
        tokio::time::sleep(limit).await;
    }

    /// Notes what a recipient has read from the spool, for others that are where it is.
    pub(super) fn keep(&self, position: u64, piece: &Counted) {
        self.ring().keep(position, piece);
    }

    /// Moves the recipient in `slot` on.
    pub(super) fn advance(&self, slot: usize, bytes: usize) {
        if self.ring().advance(slot, bytes, Instant::now()) {
            self.room.notify_one();
        }
    }

    /// The recipient in `slot` is gone.
    pub(super) fn leave(&self, slot: usize) {
        self.ring().leave(slot);
        self.room.notify_one();
    }

    /// Bytes that went through the spool.
    pub(super) fn spooled(&self) -> u64 {
        self.ring().spooled()
    }

    fn stop(&self, slot: usize, code: Code) {
        self.ring().stop(slot, code);
        self.tell_stop(slot);
    }

    fn tell_stop(&self, slot: usize) {
        self.stops[slot].notify_one();
        self.room.notify_one();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().expect("nothing panics under the lock")
    }
}

/// How long a spooler waits for room that another file was asked to give.
const SHED_LIMIT: Duration = Duration::from_millis(100);
