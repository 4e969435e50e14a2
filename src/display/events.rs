//! Events on their way from the network's thread to whoever reads them, however slowly.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    protocol::{PeerId, TransferId},
    transfer::{Event, Observer},
};

/// Bytes of events that wait for a slow reader: some 40,000 files. A tree that is larger than that,
/// read by nobody, is no reason to take more of a small machine's memory.
const WAITING_MAX: usize = 16 << 20;

/// Prints events, one after the other, on a thread where it may block.
pub(super) trait Printer: Send + 'static {
    /// Prints one event.
    ///
    /// # Errors
    /// When nothing more can be printed.
    fn print(&mut self, event: Event) -> io::Result<()>;
}

/// An observer that never blocks: a thread of its own prints what it observes.
///
/// While the printing is held up, progress of the same file takes the place of what is queued of it.
/// Everything else is kept, up to a bound; what comes beyond that is dropped, counted, and reported
/// with [`Event::Dropped`] as soon as there is room.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    broken: CancellationToken,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Event>,
    /// How many were taken off the front so far: what [`Queue::progress`] counts from.
    taken: usize,
    /// Where the last progress of each file waits.
    progress: HashMap<ProgressKey, usize>,
    bytes: usize,
    dropped: u64,
    is_printing: bool,
    is_closed: bool,
    is_broken: bool,
    /// Why it is broken, until somebody has asked.
    failure: Option<io::Error>,
}

type ProgressKey = (TransferId, PeerId, String);

impl Observer for Events {
    fn event(&self, event: Event) {
        let mut queue = self.shared.lock();
        if !queue.is_broken {
            queue.push(event);
        }
        drop(queue);
        self.shared.changed.notify_all();
    }

    fn claims(&self) -> bool {
        true
    }
}

impl Events {
    pub(super) fn start(mut printer: impl Printer) -> Self {
        let shared = Arc::new(Shared::default());
        let events = Self {
            shared: shared.clone(),
        };
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                while let Some(event) = shared.next() {
                    // Here and not where it was queued: what a kill takes out of the queue is told
                    // by the next listener.
                    if !event.claim() {
                        continue;
                    }
                    if let Err(error) = printer.print(event) {
                        shared.fail(error);
                        return;
                    }
                }
            })
            .expect("the system gives a small program one more thread");
        events
    }

    /// Waits until everything observed so far is printed, or cannot be; at most for this long, if
    /// there is a limit. Blocks.
    pub fn flush(&self, limit: Option<Duration>) {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let mut queue = self.shared.lock();
        while !queue.is_broken && (queue.is_printing || !queue.is_empty()) {
            let rest = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            queue = match rest {
                Some(Duration::ZERO) => return,
                Some(rest) => {
                    let waited = self.shared.changed.wait_timeout(queue, rest);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .shared
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Cancelled once nothing more can be printed.
    #[must_use]
    pub fn broken(&self) -> CancellationToken {
        self.shared.broken.clone()
    }

    /// Why nothing more can be printed, if so; the first time it is asked for.
    #[must_use]
    pub fn take_failure(&self) -> Option<io::Error> {
        self.shared.lock().failure.take()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Waits for the next event; `None` once there will be none. The one before is printed.
    fn next(&self) -> Option<Event> {
        let mut queue = self.lock();
        queue.is_printing = false;
        self.changed.notify_all();
        loop {
            if let Some(event) = queue.pop() {
                queue.is_printing = true;
                return Some(event);
            }
            if queue.is_closed {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn fail(&self, error: io::Error) {
        let mut queue = self.lock();
        *queue = Queue {
            failure: Some(error),
            is_broken: true,
            ..Queue::default()
        };
        self.broken.cancel();
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0
    }

    fn push(&mut self, event: Event) {
        let key = progress_key(&event);
        if let Some(at) = key.as_ref().and_then(|key| self.progress.get(key)) {
            self.waiting[at - self.taken] = event;
            return;
        }
        let bytes = weight(&event);
        if self.bytes + bytes > WAITING_MAX {
            // A file's next progress says more than the one that is dropped.
            if key.is_none() {
                if self.dropped == 0 {
                    tracing::warn!("nobody reads the events: some are dropped from here on");
                }
                self.dropped += 1;
            }
            return;
        }
        if self.dropped > 0 {
            let events = std::mem::take(&mut self.dropped);
            self.waiting.push_back(Event::Dropped { events });
        }
        if let Some(key) = key {
            self.progress.insert(key, self.taken + self.waiting.len());
        }
        self.bytes += bytes;
        self.waiting.push_back(event);
    }

    fn pop(&mut self) -> Option<Event> {
        let Some(event) = self.waiting.pop_front() else {
            let events = std::mem::take(&mut self.dropped);
            return (events > 0).then_some(Event::Dropped { events });
        };
        self.taken += 1;
        if let Some(key) = progress_key(&event) {
            self.progress.remove(&key);
        }
        self.bytes = self.bytes.saturating_sub(weight(&event));
        Some(event)
    }
}

fn progress_key(event: &Event) -> Option<ProgressKey> {
    match event {
        Event::Progress {
            transfer,
            peer,
            file,
            ..
        } => Some((*transfer, peer.id, file.clone())),
        _ => None,
    }
}

/// Bytes that an event takes while it waits, without its allocations' overhead.
fn weight(event: &Event) -> usize {
    let text = match event {
        // Its path is in the map as well.
        Event::Progress { file, .. } => 2 * file.len() + size_of::<ProgressKey>(),
        Event::Delivered { file, .. } => file.len(),
        Event::Received { path, file, .. } => path.as_os_str().len() + file.len(),
        Event::Message { text, .. } | Event::Notice { text } => text.len(),
        Event::Failed { file, .. } => file.as_ref().map_or(0, String::len),
        Event::Offered { to, .. } => to.len() * size_of::<crate::transfer::PeerRef>(),
        Event::Retrying { reason, .. } | Event::Disconnected { reason, .. } => reason.len(),
        _ => 0,
    };
    size_of::<Event>() + text
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::transfer::PeerRef;

    /// Prints into a channel of no capacity: each event waits until the test takes it.
    struct Reader(mpsc::SyncSender<Event>);

    impl Printer for Reader {
        fn print(&mut self, event: Event) -> io::Result<()> {
            let gone = |_| io::ErrorKind::BrokenPipe.into();
            self.0.send(event).map_err(gone)
        }
    }

    fn held_up() -> (Events, mpsc::Receiver<Event>) {
        let (events, read) = mpsc::sync_channel(0);
        (Events::start(Reader(events)), read)
    }

    fn progress(file: &str, bytes: u64) -> Event {
        Event::Progress {
            transfer: TransferId::from_bytes([0; 16]),
            peer: PeerRef::new(PeerId::from_bytes([1; 32]), "bob".parse().unwrap()),
            file: file.to_owned(),
            bytes,
            total: None,
            resumed_from: 0,
            road: crate::protocol::Road::Relay,
            limited_by: None,
        }
    }

    fn notice(text: String) -> Event {
        Event::Notice { text }
    }

    #[test]
    fn progress_of_a_file_takes_the_place_of_what_waits_of_it() {
        let (events, read) = held_up();
        events.event(notice("first".into()));
        for bytes in 0..10_000 {
            events.event(progress("a", bytes));
            events.event(progress("b", bytes));
        }
        events.event(notice("last".into()));
        let mut printed = Vec::new();
        loop {
            match read.recv().unwrap() {
                Event::Progress { file, bytes, .. } => printed.push((file, bytes)),
                Event::Notice { text } if text == "last" => break,
                _ => {}
            }
        }
        // The printer may have taken one of each before it was held up.
        assert!(printed.len() <= 4, "{printed:?}");
        assert!(printed.ends_with(&[("a".into(), 9999), ("b".into(), 9999)]));
    }

    #[test]
    fn what_comes_beyond_the_bound_is_counted_and_nothing_else_is_lost() {
        let (events, read) = held_up();
        let line = "x".repeat(1 << 16);
        let all = 2 * WAITING_MAX / line.len();
        for n in 0..all {
            events.event(notice(format!("{n} {line}")));
        }
        let bytes = events.shared.lock().bytes;
        assert!(bytes <= WAITING_MAX, "{bytes}");
        let (mut printed, mut dropped) = (0, 0);
        while printed + dropped < all {
            match read.recv().unwrap() {
                Event::Notice { text } => {
                    assert!(text.starts_with(&format!("{printed} ")));
                    printed += 1;
                }
                Event::Dropped { events } => dropped += usize::try_from(events).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        assert!(dropped > 0 && printed > all / 3, "{printed} of {all}");
        events.event(notice("again".into()));
        assert!(matches!(read.recv().unwrap(), Event::Notice { .. }));
        events.flush(None);
        assert_eq!(events.shared.lock().bytes, 0);
    }

    #[test]
    fn a_reader_that_goes_is_noticed_and_nothing_is_kept_for_it() {
        let (events, read) = held_up();
        drop(read);
        events.event(notice("first".into()));
        events.flush(None);
        assert!(events.broken().is_cancelled());
        events.event(notice("second".into()));
        events.flush(None);
        let failure = events.take_failure().unwrap();
        assert_eq!(failure.kind(), io::ErrorKind::BrokenPipe);
    }
}
