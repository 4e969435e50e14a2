//! What this side has of a file before any content arrives, and what the sender is told of it.
//!
//! A hash of a file that this sender never sent would let it guess at the content, so it is told of
//! one only where it has shown that it knows it: by sending this very file in an earlier attempt, or
//! by its hash in the head.

use super::{
    context::Context,
    outcome::{FileError, FileProgress, Whole},
};
use crate::{
    protocol::{CHUNK_SIZE, RelativePath},
    sealing::{FileOpener, Head},
    storage::{Conflict, LocalPath, Partial, Target},
};

/// What this side has of a file before any content arrives.
pub(super) enum LocalCopy {
    /// Nothing that the sender may know of.
    Missing,
    /// What an interrupted attempt of the same sender has left.
    Part(Partial),
    /// All of it: where, what, and how that is known.
    Whole(LocalPath, Whole, Known),
    /// A file of that name that is to be kept, and is not this one.
    Other,
}

/// How it is known that a whole file is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// An earlier attempt has stored it and noted that.
    Noted,
    /// An earlier attempt was about to give it its name.
    Named,
    /// The sender says its hash.
    Compared,
}

/// Looks for the file in the journal, in the directory, and among the partial files. Blocking.
pub(super) fn probe(
    context: &Context,
    target: &Target,
    head: &Head,
    path: &RelativePath,
    progress: &FileProgress,
) -> Result<LocalCopy, FileError> {
    let whole = |len, hash| Whole {
        len,
        hash,
        resumed_from: 0,
        road: progress.road(),
    };
    let reached = |bytes| progress.reached(bytes);
    // What was stored may have been moved or changed since: it is hashed again.
    if let Some(done) = context.stored_before(path, head)
        && let Some(existing) = target.existing_at(&done.stored)?
        && existing.len == done.len
        && existing.hash(reached)? == done.blake3
    {
        return Ok(LocalCopy::Whole(
            done.stored,
            whole(done.len, done.blake3),
            Known::Noted,
        ));
    }
    let conflict = context.shared.config.conflict;
    if let Some((len, hash)) = context.named_before(path, head)
        && let Some(found) = target.find_identical(path, len, &hash, conflict, reached)?
    {
        return Ok(LocalCopy::Whole(found, whole(len, hash), Known::Named));
    }
    if let (Some(len), Some(blake3)) = (head.size, head.blake3) {
        let hash = blake3.into();
        if let Some(found) = target.find_identical(path, len, &hash, conflict, reached)? {
            return Ok(LocalCopy::Whole(found, whole(len, hash), Known::Compared));
        }
        if conflict == Conflict::Skip && target.has(path) {
            return Ok(LocalCopy::Other);
        }
    }
    progress.reached(0);
    if head.size.is_some_and(|size| size <= CHUNK_SIZE as u64) {
        return Ok(LocalCopy::Missing);
    }
    let partial = target.begin(&context.incoming(head, path))?;
    Ok(LocalCopy::Part(partial))
}

/// What is to be said of it, sealed; nothing where the file is refused. Blocking: hashes a part.
pub(super) fn negotiate_start(
    copy: &LocalCopy,
    opener: &mut FileOpener,
    progress: &FileProgress,
) -> Result<Option<Vec<u8>>, FileError> {
    Ok(Some(match copy {
        LocalCopy::Other => return Ok(None),
        LocalCopy::Whole(_, whole, _) => opener.have(*whole.hash.as_bytes())?,
        LocalCopy::Missing => opener.start_at(0, blake3::Hasher::new())?,
        LocalCopy::Part(partial) => {
            let chunks = partial.len() / CHUNK_SIZE as u64;
            let chunks = u32::try_from(chunks).unwrap_or(u32::MAX - 1);
            let prefix = u64::from(chunks) * CHUNK_SIZE as u64;
            let hasher = partial.hash_prefix(prefix, |bytes| progress.reached(bytes))?;
            opener.start_at(chunks, hasher)?
        }
    }))
}
