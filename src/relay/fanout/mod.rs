//! The relay's data path for one file: taken in once, handed to every recipient at its own pace.
//!
//! ```text
//!            ingest                       recipient (one each)
//!   Inlet ───────────► ring of blocks ──────────────────────────► Outlet
//!           one read,    │   ▲   Bytes: clones, never copies
//!           one piece    ▼   │
//!                       spool (disk), for recipients that are behind
//! ```
//! - [`relay_file`] is the way in; [`Inlet`] and [`Outlet`] are all it knows of a network.
//! - **Pace.** The first recipient's alone: the sender may be a window ahead of it, no more. A lone
//!   recipient thus is plain backpressure, and nothing touches the disk.
//! - **Behind.** A recipient that would keep more than the window in memory is no longer waited for.
//!   What it needs is written to an unlinked file before it leaves memory; it reads on from there,
//!   and from memory again once it has caught up. It delays nobody, also when it never moves at all.
//!   All recipients together may hold a file up by [`FanoutConfig::grace`], so that a hiccup costs
//!   no disk.
//! - **Bounds.** [`Budget`] bounds memory and disk over all files. An identity may hold half of the
//!   memory, and is guaranteed a little, so transfers that stall cannot stop those of others. Bytes
//!   count until the recipient's transport lets go of them. Over the disk's limit, whoever holds most
//!   of it, over all files, loses the recipient that is furthest behind: it is reset with
//!   [`Code::Behind`](crate::protocol::Code::Behind), and may resume.
//! - **Plan.** The relay takes the sender's plan out of the stream; recipients that need not all
//!   chunks get theirs through a filter, all others get bytes that nobody has looked at.
//! - **Another relay** is one recipient, whoever is behind it: it gets the file once, from the first chunk
//!   that any of them needs, with its part of the plan, and does all of this again.
//!
//! Everything for one file is polled by the one task that awaits [`relay_file`]. Recipients as tasks
//! of their own would gain no parallelism that matters (the work is in the connections' drivers,
//! which are tasks), and cost a spawn each, which ten thousand small files would feel; as it is,
//! dropping the future ends everything before the drop returns.

mod allocations;
mod block;
mod blocks;
mod cursor;
mod destination;
mod fetch;
mod filter;
mod ingest;
mod patience;
mod ports;
mod preamble;
mod recent;
mod recipient;
mod relay;
mod report;
mod ring;
mod shared;
mod spool;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

pub use super::budget::Budget;
pub use destination::Destination;
pub use ports::{Inlet, Outlet};
pub use relay::relay_file;
pub use report::{Delivery, Outcome, Report};

/// How files are fanned out.
#[derive(Debug, Clone)]
pub struct FanoutConfig {
    /// How many bytes of a file with several recipients are kept in memory, budget allowing.
    pub window: usize,
    /// How many bytes of a file with one recipient are.
    pub solo_window: usize,
    /// How long a file's recipients may hold it up in all, besides a small share of its duration,
    /// before they are served from the spool.
    pub grace: Duration,
    /// A recipient that takes nothing for so long, although there is something for it, is reset.
    pub stall_limit: Duration,
    /// Where the spool's files are made; they have no names there.
    pub spool_dir: PathBuf,
}

impl FanoutConfig {
    /// The defaults, with the spool in this directory.
    #[must_use]
    pub fn new(spool_dir: PathBuf) -> Self {
        Self {
            // What eight equal recipients drift apart on a shared link.
            window: 4 * 1024 * 1024,
            // The transport buffers as well: more only adds delay between sender and recipient.
            solo_window: 1024 * 1024,
            grace: Duration::from_millis(50),
            stall_limit: Duration::from_secs(60),
            spool_dir,
        }
    }
}
