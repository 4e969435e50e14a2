//! What this side has of a file before any content arrives.

use std::path::Path;

use super::{
    context::Context,
    file::{storage, verification},
    settlement::{Lost, Stored},
};
use crate::{
    protocol::{CHUNK_SIZE, PeerId, RelativePath},
    sealing::{FileOpener, Head, OpenError},
    storage::{Conflict, IncomingFile, Partial, StorageError, Target},
};

/// What this side has of a file before any content arrives.
pub(super) enum Here {
    /// Nothing, or a part of it that is told to the sender.
    Part(Option<Partial>),
    /// All of it, if the sender agrees.
    Whole(Stored),
    /// A file of that name that is to be kept, and is not this one.
    Other,
}

/// Looks for the file in the journal, in the directory, and among the partial files.
///
/// Returns what is to be told to the sender, sealed; nothing where the file is refused.
pub(super) fn look(
    context: &Context,
    target: &Target,
    head: &Head,
    path: &RelativePath,
    opener: &mut FileOpener,
) -> Result<(Here, Option<Vec<u8>>), Lost> {
    let here = |error: StorageError| storage(None, &error);
    let told = |error: OpenError| verification(None, &error);
    let modified = head.mtime.map(|time| (time.0, time.1));
    let whole = |stored: &Path, len, hash: blake3::Hash, opener: &mut FileOpener| {
        let sealed = opener.have(*hash.as_bytes()).map_err(told)?;
        let stored = Stored {
            path: context.shared.config.out.join(stored),
            len,
            hash,
            resumed_from: 0,
            already_there: true,
            text: None,
            notable: true,
        };
        Ok::<_, Lost>((Here::Whole(stored), Some(sealed)))
    };
    // What was stored may have been moved or changed since: it is hashed again.
    if let Some(done) = context.stored_before(path, head.size, modified)
        && let Some(existing) = target.existing_at(&done.stored).map_err(here)?
        && existing.len == done.len
        && existing.hash(|_| ()).map_err(here)? == done.blake3
    {
        return whole(&done.stored.to_path_buf(), done.len, done.blake3, opener);
    }
    if context.shared.config.conflict == Conflict::Skip
        && let Some(existing) = target.existing(path).map_err(here)?
    {
        if head.size.is_some_and(|size| size != existing.len) {
            return Ok((Here::Other, None));
        }
        let hash = existing.hash(|_| ()).map_err(here)?;
        return whole(&existing.local.to_path_buf(), existing.len, hash, opener);
    }
    if head.size.is_some_and(|size| size <= CHUNK_SIZE as u64) {
        let sealed = opener.start_at(0, blake3::Hasher::new()).map_err(told)?;
        return Ok((Here::Part(None), Some(sealed)));
    }
    let partial = target
        .begin(&incoming_file(context.from, head, path))
        .map_err(here)?;
    // Killed after a file got its name and before that was noted: it is there, and whole.
    if partial.is_empty()
        && let Some(existing) = target.existing(path).map_err(here)?
        && head.size == Some(existing.len)
    {
        let hash = existing.hash(|_| ()).map_err(here)?;
        return whole(&existing.local.to_path_buf(), existing.len, hash, opener);
    }
    let chunks = u32::try_from(partial.len() / CHUNK_SIZE as u64).unwrap_or(u32::MAX - 1);
    let hasher = partial
        .hash_prefix(u64::from(chunks) * CHUNK_SIZE as u64, |_| ())
        .map_err(here)?;
    let sealed = opener.start_at(chunks, hasher).map_err(told)?;
    Ok((Here::Part(Some(partial)), Some(sealed)))
}

/// How storage knows the file, so that a later attempt finds its partial file again.
pub(super) fn incoming_file(sender: PeerId, head: &Head, path: &RelativePath) -> IncomingFile {
    let modified = head.mtime.map(|time| (time.0, time.1));
    IncomingFile {
        path: path.clone(),
        size: head.size,
        executable: head.exec,
        mode: head.mode,
        sparse: head.sparse,
        modified,
        resume_key: IncomingFile::resume_key(&sender, path, head.size, modified),
    }
}
