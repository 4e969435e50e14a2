//! The end of a relay, announced: what is under way goes on, nothing begins.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use super::RelayHandle;
use crate::protocol::ServerToClient;

/// How often it is looked whether all transfers are over.
const LOOK: Duration = Duration::from_millis(50);

impl RelayHandle {
    /// Begins no more transfers, lets nobody else in, and tells every peer so; completes when what is
    /// under way is over, after `limit` at the latest.
    ///
    /// Cancel-safe; that the relay is draining stays so.
    pub async fn drain(&self, limit: Duration) {
        let end = Instant::now() + limit;
        self.shared.draining.store(true, Relaxed);
        if let Some(directory) = &self.shared.directory {
            directory.set_draining();
        }
        if self.is_idle() {
            return;
        }
        let message = ServerToClient::Draining {
            within_secs: Some(limit.as_secs()),
            relays: self.shared.other_places(),
        };
        for (_, _, sessions) in self.shared.rooms.all() {
            for session in sessions {
                session.mailbox.send(message.clone());
            }
        }
        let idle = async {
            while !self.is_idle() {
                sleep(LOOK).await;
            }
        };
        if timeout_at(end, idle).await.is_err() {
            let transfers = self.shared.meters.transfers_active();
            tracing::warn!(transfers, "ends although transfers are under way");
        }
    }

    /// Whether nothing is under way.
    fn is_idle(&self) -> bool {
        self.shared.meters.transfers_active() == 0 && self.shared.meters.files_active() == 0
    }
}
