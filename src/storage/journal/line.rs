//! One line of a journal.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
};

use serde::{Deserialize, Serialize};

use crate::{
    protocol::{PeerId, PeerName, RelativePath, TransferId},
    storage::{LocalPath, Modified},
};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    Partial(PartialLine),
    Done(DoneLine),
    Top(TopLine),
    Named(NamedLine),
    Finished(FinishedLine),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PartialLine {
    pub(super) out: String,
    pub(super) path: String,
    /// What it is a part of, as the sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<RelativePath>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TopLine {
    pub(super) out: String,
    pub(super) sent: String,
    pub(super) stored: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DoneLine {
    pub(super) path: RelativePath,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Modified>,
    pub(super) stored: LocalPath,
    pub(super) len: u64,
    pub(super) blake3: String,
    /// What there is to tell of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) news: Option<News>,
}

/// A verified file that is about to get its name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NamedLine {
    pub(super) path: RelativePath,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Modified>,
    pub(super) len: u64,
    pub(super) blake3: String,
}

/// Nothing more comes of the job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FinishedLine {}

/// What whoever watches is told of a stored file, beside the file itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The target directory.
    pub out: String,
    /// The sender.
    pub from: PeerId,
    /// Its name.
    pub from_name: PeerName,
    /// The transfer.
    pub transfer: TransferId,
    /// Bytes that an earlier attempt had stored.
    pub resumed_from: u64,
    /// Whether it was there before the job.
    pub already_there: bool,
    /// Whether a program is to be run on it.
    pub runs_program: bool,
}

/// Calls `act` for every line that can be read, with its place; says where the last whole one ends.
pub(super) fn each_line(file: &File, mut act: impl FnMut(u64, Line)) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(LINE_MAX, file);
    let mut line = Vec::new();
    let mut at = 0;
    loop {
        line.clear();
        let read = reader.by_ref().take(LINE_MAX as u64);
        let read = { read }.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(at);
        }
        // A line of a later version, or a spoilt one, is skipped.
        if let Ok(line) = serde_json::from_slice(&line) {
            act(at, line);
        }
        at += read as u64;
    }
}

/// The longest line: two paths of 4 KiB, each character escaped, and room.
pub(super) const LINE_MAX: usize = 64 * 1024;

/// A file that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Where, below the target directory.
    pub stored: LocalPath,
    /// How many bytes.
    pub len: u64,
    /// The hash of its content.
    pub blake3: blake3::Hash,
}

/// A verified file that is about to get its name: what the sender says of it, and what it is.
#[derive(Debug)]
pub struct Named<'a> {
    /// What the sender calls it.
    pub path: &'a RelativePath,
    /// Its announced length.
    pub size: Option<u64>,
    /// When it was last modified, by the sender's word.
    pub modified: Option<Modified>,
    /// How many bytes.
    pub len: u64,
    /// The hash of its content.
    pub blake3: blake3::Hash,
}
