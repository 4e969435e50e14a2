//! The right to tell of a file, once.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    marks::{Telling, claim, marks_of},
    retire::retire,
};

/// The tickets of one journal that are not used yet.
#[derive(Debug, Clone)]
pub(super) struct Told(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: PathBuf,
    marks: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pending: usize,
    /// Nothing more comes of the job.
    is_finished: bool,
    /// A ticket was dropped unused: the next listener makes a new one from the journal.
    is_left: bool,
}

/// The right to tell of one file in one way, once; cheap to clone. Dropped unused, it is made again
/// from the journal when a listener starts.
#[derive(Debug, Clone)]
pub struct Ticket(Arc<TicketInner>);

#[derive(Debug)]
struct TicketInner {
    told: Told,
    at: u64,
    is_used: AtomicBool,
}

/// The journals of which this process has something to tell: a job that goes on in another attempt
/// has the same tickets open.
static OPEN: Mutex<Vec<(PathBuf, Weak<Inner>)>> = Mutex::new(Vec::new());

impl Told {
    pub(super) fn of(journal: &Path) -> Self {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, told)| told.strong_count() > 0);
        let known = open.iter().find(|(path, _)| path == journal);
        if let Some(known) = known.and_then(|(_, told)| told.upgrade()) {
            return Self(known);
        }
        let told = Arc::new(Inner {
            journal: journal.to_owned(),
            marks: marks_of(journal),
            state: Mutex::default(),
        });
        open.push((journal.to_owned(), Arc::downgrade(&told)));
        Self(told)
    }

    /// A ticket for the file whose line begins there.
    pub(super) fn ticket(&self, line: u64, telling: Telling) -> Ticket {
        self.state().pending += 1;
        Ticket(Arc::new(TicketInner {
            told: self.clone(),
            at: line + telling as u64,
            is_used: AtomicBool::new(false),
        }))
    }

    /// Whether a ticket is in use.
    pub(super) fn is_in_use(&self) -> bool {
        self.state().pending > 0
    }

    /// Whether somebody is still to be told of something.
    pub(super) fn has_open(&self) -> bool {
        let state = self.state();
        state.pending > 0 || state.is_left
    }

    /// Nothing more comes of the job; whether everybody was told of everything.
    pub(super) fn finish(&self) -> bool {
        let mut state = self.state();
        state.is_finished = true;
        state.pending == 0 && !state.is_left
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Sets the mark; whether it was not set before. Only then may whoever holds this tell.
    ///
    /// Blocking, but short; see [`claim`](super::claim).
    #[must_use]
    pub fn claim(&self) -> bool {
        self.0.is_used.store(true, Ordering::Relaxed);
        claim(&self.0.told.0.marks, self.0.at)
    }

    /// Another process has been started that claims it.
    pub fn handed_over(&self) {
        self.0.is_used.store(true, Ordering::Relaxed);
    }

    /// The file of marks and the place in it, for [`claim`] in another process.
    #[must_use]
    pub fn place(&self) -> (&Path, u64) {
        (&self.0.told.0.marks, self.0.at)
    }
}

impl Drop for TicketInner {
    fn drop(&mut self) {
        let mut state = self.told.state();
        state.pending -= 1;
        state.is_left |= !self.is_used.load(Ordering::Relaxed);
        let over = state.pending == 0 && state.is_finished && !state.is_left;
        drop(state);
        if over {
            retire(&self.told.0.journal);
        }
    }
}
