//! What the tests of this room share.

use std::{fs, path::Path};

use super::{IncomingFile, Partial, Target};
use crate::protocol::PeerId;

/// A target directory, and a directory beside it that nothing may get into.
pub(super) struct Place {
    pub(super) temp: tempfile::TempDir,
    pub(super) target: Target,
}

impl Place {
    pub(super) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        let target = Target::open(&temp.path().join("out")).unwrap();
        Self { temp, target }
    }

    pub(super) fn out(&self) -> &Path {
        self.target.path()
    }

    pub(super) fn outside(&self) -> std::path::PathBuf {
        self.temp.path().join("outside")
    }

    /// A file that has arrived and waits to be stored.
    pub(super) fn arrived(&self, path: &str, content: &[u8]) -> Partial {
        let mut partial = self.target.begin(&incoming(path, content.len())).unwrap();
        partial.truncate(0).unwrap();
        partial.write_all(content).unwrap();
        partial
    }

    /// The names in the target directory, sorted, partial files too.
    pub(super) fn names(&self) -> Vec<String> {
        names(self.out())
    }
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a sender says of a file of this name and size.
pub(super) fn incoming(path: &str, size: usize) -> IncomingFile {
    let path = path.parse().unwrap();
    let size = Some(size as u64);
    let sender = PeerId::from_bytes([7; 32]);
    IncomingFile {
        resume_key: IncomingFile::resume_key(&sender, &path, size, None),
        path,
        size,
        executable: false,
        mode: None,
        sparse: false,
        modified: None,
    }
}

/// How much larger than usual the tests that depend on size shall be.
pub(super) fn scale() -> usize {
    std::env::var("P2P_TEST_SCALE").map_or(1, |scale| scale.parse().unwrap())
}
