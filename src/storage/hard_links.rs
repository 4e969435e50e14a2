//! Which of the files that are sent are one file under several names.

use std::collections::HashMap;

use super::Entry;
use crate::protocol::RelativePath;

/// The files with several names that a walk has come by.
///
/// Their paths take memory, so there is a bound: names beyond it count as files of their own, which costs
/// room and is otherwise right. Two walks over the same files decide alike.
#[derive(Debug, Default)]
pub struct HardLinks {
    first: HashMap<(u64, u64), RelativePath>,
    path_bytes: usize,
}

/// What a file is to the others that are sent with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// It has no other name.
    Alone,
    /// Other names may follow.
    First,
    /// It is the file that was sent under this name.
    To(RelativePath),
}

/// Bytes of paths that are remembered of files with several names.
pub const HARD_LINK_PATHS_MAX: usize = 16 << 20;

impl HardLinks {
    /// What this is to what came before; what is no file is alone.
    pub fn note(&mut self, entry: &Entry) -> Linked {
        let Some(inode) = entry.inode else {
            return Linked::Alone;
        };
        let bytes = self.path_bytes.saturating_add(entry.path.as_str().len());
        if bytes > HARD_LINK_PATHS_MAX {
            return Linked::Alone;
        }
        self.path_bytes = bytes;
        match self.first.get(&inode) {
            Some(first) => Linked::To(first.clone()),
            None => {
                self.first.insert(inode, entry.path.clone());
                Linked::First
            }
        }
    }

    /// Forgets a file that could not be sent: its next name is its first.
    pub fn forget(&mut self, entry: &Entry) {
        if let Some(inode) = entry.inode {
            self.first.remove(&inode);
        }
    }
}
