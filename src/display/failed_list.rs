//! All files of a transfer that failed, where they are too many for a screen.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

use tempfile::NamedTempFile;

use super::show::sanitise;
use crate::transfer::Error;

/// Lines that are written at most: a tree of which everything fails is no reason to fill a disk.
const LINES_MAX: u64 = 1_000_000;

/// The files of one transfer that failed, each on a line with the reason, in a file of the home.
///
/// It is kept only where there are more than the screen shows, and takes the place of the last one.
#[derive(Debug)]
pub(super) struct FailedList {
    directory: Option<PathBuf>,
    file: Option<BufWriter<NamedTempFile>>,
    lines: u64,
}

impl FailedList {
    /// A list in this directory, or none.
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            file: None,
            lines: 0,
        }
    }

    /// Adds a file that failed, and for whom where others have it.
    pub(super) fn add(&mut self, file: &str, peer: Option<&str>, failure: &Error) {
        let Some(directory) = &self.directory else {
            return;
        };
        if self.file.is_none() && self.lines == 0 {
            self.file = NamedTempFile::new_in(directory).ok().map(BufWriter::new);
        }
        self.lines += 1;
        let Some(list) = self.file.as_mut().filter(|_| self.lines <= LINES_MAX) else {
            return;
        };
        let peer = peer.map_or_else(String::new, |peer| format!("{peer}: "));
        let reason = format!("{failure:#}");
        let line = writeln!(list, "{}\t{peer}{}", sanitise(file), sanitise(&reason));
        if line.is_err() {
            self.file = None;
        }
    }

    /// Ends the list of this transfer; where it is, if it is to be kept and could be.
    pub(super) fn finish(&mut self, is_kept: bool, is_sending: bool) -> Option<PathBuf> {
        self.lines = 0;
        let list = self.file.take().filter(|_| is_kept)?.into_inner().ok()?;
        let name = match is_sending {
            true => "not-sent.txt",
            false => "not-received.txt",
        };
        let path = self.directory.as_ref()?.join(name);
        list.persist(&path).ok()?;
        Some(path)
    }
}
