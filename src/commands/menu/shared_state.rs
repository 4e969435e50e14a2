//! What is on the screen, as all who have news for it share it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use crate::{
    display::menu::{Effect, Input, News, State, update},
    transfer::{Event, Observer},
};

/// The menu's state, and what it asks for.
///
/// News changes the state where it arises: nothing queues up that a busy or hostile peer could
/// make grow, since the state itself has bounds everywhere.
pub(super) struct SharedState {
    inner: Mutex<Inner>,
    changed: Notify,
    opened: Instant,
}

struct Inner {
    state: State,
    effects: Vec<Effect>,
    /// The last file that was to be shown; those before it are no longer looked at.
    preview: Option<PathBuf>,
}

impl SharedState {
    pub(super) fn new(state: State) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                state,
                effects: Vec::new(),
                preview: None,
            }),
            changed: Notify::new(),
            opened: Instant::now(),
        })
    }

    /// Changes the state by a key or by news.
    pub(super) fn put(&self, input: Input) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.state.now = self.opened.elapsed();
        for effect in update(&mut inner.state, input) {
            match effect {
                Effect::Preview(path) => inner.preview = Some(path),
                effect => inner.effects.push(effect),
            }
        }
        self.changed.notify_one();
    }

    /// Tells what happened elsewhere.
    pub(super) fn notify(&self, news: News) {
        self.put(Input::News(news));
    }

    /// Waits until something has changed since this was last waited for; cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is to be carried out.
    pub(super) fn take_effects(&self) -> Vec<Effect> {
        let mut inner = self.lock();
        let preview = inner.preview.take().map(Effect::Preview);
        let mut effects = std::mem::take(&mut inner.effects);
        effects.extend(preview);
        effects
    }

    /// Looks at the state as it is now.
    pub(super) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        let mut inner = self.lock();
        inner.state.now = self.opened.elapsed();
        read(&inner.state)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whatever panicked has ended the menu; it is only looked at once more.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the shared what happens in one of its sends, or in what it receives.
pub(super) struct Observed(pub(super) Option<u64>, pub(super) Arc<SharedState>);

impl Observer for Observed {
    fn event(&self, event: Event) {
        self.1.notify(News::Transfer(self.0, event));
    }
}
