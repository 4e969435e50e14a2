//! What an operator or a test may set.

use std::{path::PathBuf, time::Duration};

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
