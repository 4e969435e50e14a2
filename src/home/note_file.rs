//! Files of notes on what was found out about relays: a few, and none that anything depends on.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, de::DeserializeOwned};

use super::private_file::{self, PrivateFileError};

/// Notes that are kept; the oldest go first.
pub(super) const NOTES_MAX: usize = 32;
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 64 << 10;

/// The notes in a file; none where there is no such file, or none that can be read.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = private_file::read(path, FILE_MAX).ok().flatten();
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

/// Lets go of the oldest notes beyond [`NOTES_MAX`].
pub(super) fn keep_newest<T>(notes: &mut Vec<T>) {
    let excess = notes.len().saturating_sub(NOTES_MAX);
    notes.drain(..excess);
}

/// Puts these notes in place of those in the file.
///
/// # Errors
/// When it cannot be written.
pub(super) fn replace<T: Serialize>(path: &Path, notes: &[T]) -> Result<(), PrivateFileError> {
    let text = serde_json::to_string(notes).expect("strings and numbers");
    private_file::replace(path, text.as_bytes())
}

/// Seconds since 1970.
pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
