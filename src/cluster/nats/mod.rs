//! Discovery over NATS: what relays of a cluster tell each other, and what of it is believed.
//!
//! | subject, below `p2p1.CLUSTER.` | content |
//! |---|---|
//! | `beat` | every two seconds: who a relay is and where; signed by its node key |
//! | `room.KEY` | members of a room came to a relay, or have all left it; subscribed to while there are some |
//! | `ctl.INSTANCE` | the answers to who asks for these |
//!
//! NATS need not be trusted: everything is authenticated, counted up per run of a relay, and no more
//! than a hint, since a trunk admits by a token. Who controls NATS can hide relays and rooms from each
//! other, and can see how many there are.

mod beat;
mod freshness;
mod interest;
mod link;
mod note;
mod servers;
mod task;

use std::io;

use tokio_util::sync::{CancellationToken, DropGuard};

pub use servers::{NatsServers, NatsServersError};

use super::Directory;

/// Fills a directory for as long as it lives.
#[derive(Debug)]
pub struct Discovery {
    stop: Option<DropGuard>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Discovery {
    /// Starts a thread that connects to NATS, and again whenever the connection is lost.
    ///
    /// A thread of its own, so that no flood from NATS takes the turns of the relay's transfers.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be had.
    pub fn start(directory: Directory, servers: NatsServers) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("p2p-cluster".to_owned())
            .spawn(move || {
                runtime.block_on(task::run(directory, servers, stopped));
                runtime.shutdown_background();
            })?;
        Ok(Self {
            stop: Some(stop.drop_guard()),
            thread: Some(thread),
        })
    }
}

impl Drop for Discovery {
    /// Says that the relay is gone, which takes half a second at the most.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
