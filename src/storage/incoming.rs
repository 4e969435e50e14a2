//! What a sender says of a file before its content.

use super::Modified;
use crate::protocol::{PeerId, RelativePath};

/// What a sender says of a file before its content.
#[derive(Debug, Clone)]
pub struct IncomingFile {
    /// Its name and where it belongs.
    pub path: RelativePath,
    /// How many bytes it has; `None` for a pipe.
    pub size: Option<u64>,
    /// Whether it may be executed.
    pub executable: bool,
    /// Permission bits to keep to: they take away what the file would have otherwise, and add nothing.
    pub mode: Option<u32>,
    /// Whether blocks of zeros are to be holes.
    pub sparse: bool,
    /// When it was last modified.
    pub modified: Option<Modified>,
    /// What an earlier attempt at the same file must have had for its bytes to be of use.
    ///
    /// Derive it from who sends, and what: a key that two files share makes one resume the other.
    /// (The prefix is verified by its hash in any case.)
    pub resume_key: [u8; 16],
}

impl IncomingFile {
    /// The key by which another attempt at the same file, in this transfer or a later one, finds
    /// what is here of it.
    #[must_use]
    pub fn resume_key(
        sender: &PeerId,
        path: &RelativePath,
        size: Option<u64>,
        modified: Option<Modified>,
    ) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("p2p 2026-11 resume key");
        hasher.update(sender.as_bytes());
        hash_file(&mut hasher, path, size, modified);
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        key
    }
}

/// Hashes what tells one file that is sent from another.
pub(super) fn hash_file(
    hasher: &mut blake3::Hasher,
    path: &RelativePath,
    size: Option<u64>,
    modified: Option<Modified>,
) {
    // No path holds a NUL, so nothing that follows it can be taken for a part of it.
    hasher.update(path.as_str().as_bytes()).update(&[0]);
    for number in [
        size.map(i128::from),
        modified.map(|(secs, _)| secs.into()),
        modified.map(|(_, nanos)| nanos.into()),
    ] {
        // No number of these kinds is -2^127.
        hasher.update(&number.unwrap_or(i128::MIN).to_le_bytes());
    }
}
