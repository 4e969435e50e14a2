//! What follows once a file is stored: the event, and the program that is run on it.
//!
//! What was not told before a kill, and what found no room in the queue to the program, stands in the
//! journals, and is told from there. The program is never waited for where files are stored.

use std::sync::Arc;

use tokio::{sync::mpsc::error::TrySendError, task::spawn_blocking};

use super::{Destination, ReceivedFile, Shared};
use crate::{
    protocol::Road,
    storage::{Pending, pending},
    transfer::{Event, PeerRef},
};

/// Files that are read from the journals at once.
const AT_ONCE: usize = 256;

impl Shared {
    /// Tells whoever watches, unless that was done before.
    pub(super) fn tell(&self, event: Event) {
        if self.observer.claims() || event.claim() {
            self.observer.event(event);
        }
    }

    /// Hands a file to what is done next; never waits.
    pub(super) fn see_to(&self, file: ReceivedFile) {
        let Some(after) = &self.config.after else {
            return;
        };
        match after.try_send(file) {
            Ok(()) => {}
            Err(TrySendError::Full(file)) if file.ticket.is_some() => self.behind.notify_one(),
            Err(TrySendError::Full(file)) => {
                tracing::debug!(path = %file.path.display(), "not shown: too many at once");
            }
            // This listener is told to stop: the next one finds it in the journal.
            Err(TrySendError::Closed(_)) => {}
        }
    }

    /// Tells everything that is noted as stored and not as told; returns once the program has been
    /// handed all of it.
    pub(super) async fn catch_up(self: &Arc<Self>) {
        let mut before = Vec::new();
        loop {
            // All of the queue, so that what still waits there is not found a second time.
            if let Some(after) = &self.config.after
                && after.reserve_many(after.max_capacity()).await.is_err()
            {
                return;
            }
            let shared = self.clone();
            let found = spawn_blocking(move || shared.pending()).await;
            let found = found.unwrap_or_default();
            let these: Vec<_> = found.iter().map(|file| file.done.stored.clone()).collect();
            // What cannot be marked as told is told once all the same.
            if these.is_empty() || these == before {
                return;
            }
            before = these;
            for file in found {
                self.tell_late(file).await;
            }
        }
    }

    fn pending(&self) -> Vec<Pending> {
        let Destination::Directory(target) = &self.config.destination else {
            return Vec::new();
        };
        let Some(out) = target.path().to_str() else {
            return Vec::new();
        };
        let mut found = pending(&self.config.journal, out, AT_ONCE);
        for file in &mut found {
            // Without a program there is nobody to run it; the mark stays open.
            file.program.take_if(|_| !self.config.runs_program);
        }
        found.retain(|file| file.event.is_some() || file.program.is_some());
        found
    }

    async fn tell_late(&self, file: Pending) {
        let Pending {
            path,
            done,
            news,
            event,
            program,
        } = file;
        let from = PeerRef::new(news.from, news.from_name);
        let place = self.config.out.join(done.stored.to_path_buf());
        if event.is_some() {
            self.tell(Event::Received {
                transfer: news.transfer,
                path: place.clone(),
                file: path.as_str().to_owned(),
                bytes: done.len,
                blake3: done.blake3,
                from: from.clone(),
                resumed_from: news.resumed_from,
                already_there: news.already_there,
                road: Road::Relay,
                ticket: event,
            });
        }
        if let (Some(after), true) = (&self.config.after, program.is_some()) {
            let file = ReceivedFile {
                path: place,
                bytes: done.len,
                blake3: done.blake3,
                from,
                transfer: news.transfer,
                files: None,
                ticket: program,
            };
            let _ = after.send(file).await;
        }
    }
}

/// Tells what an earlier listener has left untold, and then brings the program what found no room in
/// its queue, once there is some.
pub(super) async fn backlog(shared: Arc<Shared>) {
    loop {
        shared.catch_up().await;
        shared.behind.notified().await;
    }
}
