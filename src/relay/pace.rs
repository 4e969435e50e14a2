//! How fast one connection may speak.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock, clock::DefaultClock};

use crate::protocol::ClientToServer;

/// Messages a second, and at once after a pause: more than a sender of many small files has cause for.
const MESSAGES: NonZeroU32 = NonZeroU32::new(4_000).unwrap();
const MESSAGES_AT_ONCE: NonZeroU32 = NonZeroU32::new(8_000).unwrap();
/// Bundles a minute, and at once: one is made every few hours, and goes to everyone who watches.
const BUNDLES: NonZeroU32 = NonZeroU32::new(30).unwrap();
const BUNDLES_AT_ONCE: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// Lists of who is there, a minute, and at once: a short question with a long answer.
const LISTS: NonZeroU32 = NonZeroU32::new(120).unwrap();
const LISTS_AT_ONCE: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// Makes a connection that says too much wait: its next message is read later.
#[derive(Debug)]
pub(super) struct Pace {
    messages: DefaultDirectRateLimiter,
    bundles: DefaultDirectRateLimiter,
    lists: DefaultDirectRateLimiter,
}

impl Pace {
    pub(super) fn new() -> Self {
        let limiter = |quota: Quota, at_once| RateLimiter::direct(quota.allow_burst(at_once));
        Self {
            messages: limiter(Quota::per_second(MESSAGES), MESSAGES_AT_ONCE),
            bundles: limiter(Quota::per_minute(BUNDLES), BUNDLES_AT_ONCE),
            lists: limiter(Quota::per_minute(LISTS), LISTS_AT_ONCE),
        }
    }

    /// Waits until this message may be acted on.
    pub(super) async fn keep(&self, message: &ClientToServer) {
        wait(&self.messages).await;
        match message {
            ClientToServer::Publish { .. } => wait(&self.bundles).await,
            ClientToServer::Peers { .. } => wait(&self.lists).await,
            _ => {}
        }
    }
}

async fn wait(limiter: &DefaultDirectRateLimiter) {
    while let Err(until) = limiter.check() {
        tokio::time::sleep(until.wait_time_from(DefaultClock::default().now())).await;
    }
}
