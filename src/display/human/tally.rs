//! What is said of a transfer's files at its end, counted while it runs.

use std::path::PathBuf;

use crate::{display::failed_list::FailedList, transfer::Error};

/// Files whose failures are shown one by one, of one transfer.
const FAILED_SHOWN: u64 = 10;

/// Counts what has not a line of its own.
#[derive(Debug)]
pub(super) struct Tally {
    /// Files that failed since the last transfer ended.
    failed: u64,
    /// Those of them that were sent to nobody.
    unsent: u64,
    /// Files that a recipient has under another name.
    renamed: u64,
    /// Where all that failed are listed, where they are many.
    list: FailedList,
}

/// What there is to say at the end.
pub(super) struct Totals {
    pub(super) failed_files: u64,
    /// `, 2 under other names`, if there are any.
    pub(super) renamed: String,
    /// How many failures were not shown, and where they are.
    pub(super) not_shown: Option<String>,
}

impl Tally {
    pub(super) fn new(lists: Option<PathBuf>) -> Self {
        Self {
            failed: 0,
            unsent: 0,
            renamed: 0,
            list: FailedList::new(lists),
        }
    }

    /// A recipient has a file, perhaps under another name.
    pub(super) fn delivered(&mut self, renamed: bool) {
        self.renamed += u64::from(renamed);
    }

    /// A file failed, for one recipient or for all; whether it gets a line of its own.
    pub(super) fn file_failed(&mut self, file: &str, peer: Option<&str>, failure: &Error) -> bool {
        self.failed += 1;
        self.unsent += u64::from(peer.is_none());
        self.list.add(file, peer, failure);
        self.failed <= FAILED_SHOWN
    }

    /// The totals of a transfer with so many delivered files, and begins anew.
    pub(super) fn take(&mut self, files: u64, is_sending: bool) -> Totals {
        let failed = std::mem::take(&mut self.failed);
        let unsent = std::mem::take(&mut self.unsent);
        let is_long = failed > FAILED_SHOWN;
        let list = self.list.finish(is_long, is_sending);
        let not_shown = is_long.then(|| {
            let what = match unsent == failed {
                true => format!("{unsent} of {} not sent", unsent + files),
                false => format!("{} more files failed", failed - FAILED_SHOWN),
            };
            match list {
                Some(list) => format!("{what}; all of them are in {}", list.display()),
                None => format!("{what}; --json lists all of them"),
            }
        });
        let renamed = match std::mem::take(&mut self.renamed) {
            0 => String::new(),
            1 => ", 1 under another name".to_owned(),
            n => format!(", {n} under other names"),
        };
        Totals {
            failed_files: failed,
            renamed,
            not_shown,
        }
    }
}
