//! The sends that the menu runs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    room::Room,
    shared_state::{Observed, SharedState},
};
use crate::{
    display::menu::{Audience, Content, News, Served},
    home::Home,
    storage::Filter,
    transfer::{
        Observer,
        send::{Recipient, SendRequest, SourceSpec, Status, To, send},
    },
};

/// How long a send may stand still, as of `p2p send`.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends under way.
pub(super) struct Sends {
    tasks: TaskTracker,
    end: CancellationToken,
    running: HashMap<u64, CancellationToken>,
}

impl Sends {
    /// None yet; all of them end with this token.
    pub(super) fn new(tasks: TaskTracker, end: CancellationToken) -> Self {
        Self {
            tasks,
            end,
            running: HashMap::new(),
        }
    }

    /// Begins one.
    pub(super) fn begin(
        &mut self,
        number: u64,
        to: Audience,
        content: Content,
        home: &Home,
        room: &Room,
        shared: &Arc<SharedState>,
    ) {
        let request = SendRequest {
            source: match content {
                Content::Paths(roots) => SourceSpec::Paths {
                    roots,
                    filter: Filter::default().without(home.secrets()),
                },
                Content::Text(text) => SourceSpec::Text(text),
            },
            to: match to {
                Audience::Everyone => To::Everyone,
                Audience::Peers(peers) => {
                    To::Peers(peers.iter().map(|(id, _)| id.to_string()).collect())
                }
            },
            wait: Duration::ZERO,
            timeout: PATIENCE,
            limit: None,
            compress: true,
            jobs: home.jobs(),
        };
        let (member, known, shared) = (room.member.clone(), room.known.clone(), shared.clone());
        let end = self.end.child_token();
        self.running.retain(|_, end| !end.is_cancelled());
        self.running.insert(number, end.clone());
        self.tasks.spawn(async move {
            let observer: Arc<dyn Observer> = Arc::new(Observed(Some(number), shared.clone()));
            let (served, failure) = match send(&member, &known, request, &observer, &end).await {
                Ok(summary) => (
                    summary.recipients.iter().map(served).collect(),
                    summary.failure(),
                ),
                Err(error) => (Vec::new(), Some(error)),
            };
            let failure = failure.map(|failure| format!("{failure:#}"));
            shared.notify(News::Sent(number, served, failure));
            end.cancel();
        });
    }

    /// Stops one, if it still runs.
    pub(super) fn stop(&self, number: u64) {
        if let Some(end) = self.running.get(&number) {
            end.cancel();
        }
    }
}

fn served(recipient: &Recipient) -> Served {
    let why = match (&recipient.status, recipient.failed_files.as_slice()) {
        (Status::Done, []) => None,
        (Status::Done, [(_, failure), ..]) => {
            let failed = recipient.failed_files.len();
            Some(format!("{failed} failed: {failure:#}"))
        }
        (Status::Failed(failure) | Status::Pending(failure), _) => Some(format!("{failure:#}")),
    };
    (recipient.id, recipient.name.clone(), why)
}
