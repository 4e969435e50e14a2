//! Files read from and written to disk. Blocking: call it from threads that may wait.
//!
//! Outgoing: a [`Source`] is walked, each file is an [`OpenSource`]. Incoming: a [`Target`] directory
//! gives out [`Partial`] files, which [`store_all`] makes durable and visible under their names, in
//! this order:
//!
//! ```text
//! begin     .p2p-<key>.part in the file's own directory, locked    (a kill leaves it, to resume)
//! write     append only; the prefix can be hashed again
//! store     1. sync the data   2. rename without replacing   3. sync the directory
//! ```
//! So at every moment the final name holds the old file, nothing, or the complete new one.

mod claim;
mod conflict;
mod content;
mod crash;
mod directory;
mod error;
mod existing;
mod filter;
mod hard_links;
mod incoming;
mod job_directories;
mod journal;
mod link;
mod local;
mod open_source;
mod os;
mod partial;
mod source;
mod sync;
mod target;
#[cfg(test)]
mod testing;
mod time;
mod walk;

pub use conflict::{Conflict, Outcome, Stored};
pub use crash::crash_point;
pub use error::{Change, StorageError};
pub use existing::Existing;
pub use filter::{Filter, FilterError};
pub use hard_links::{HARD_LINK_PATHS_MAX, HardLinks, Linked};
pub use incoming::IncomingFile;
pub use journal::{
    Cleaned, Done, Journal, Named, News, PARTIAL_MAX_AGE, Pending, Telling, Ticket, claim, pending,
};
pub use local::LocalPath;
pub use open_source::OpenSource;
pub use partial::Partial;
pub use source::{Source, Totals};
pub use sync::{batch_size, store_all};
pub use target::Target;
pub use time::Modified;
pub use walk::{Entry, EntryKind, Walk};
