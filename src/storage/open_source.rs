//! A file that is being sent.

use std::{fs::File, io, path::PathBuf};

use cap_fs_ext::MetadataExt;
use cap_std::fs::Metadata;

use super::{Change, Entry, Modified, StorageError, os, time, walk::EntryKind};

/// A file that is being sent, and what it was when it was opened.
///
/// Read from front to back, or from where a prefix ends. The bytes read are at most
/// [`OpenSource::len`]; whether they belong to one version of the file, only
/// [`OpenSource::check_unchanged`] says, after the last of them.
#[derive(Debug)]
pub struct OpenSource {
    file: File,
    disk: PathBuf,
    follow: bool,
    sparse: bool,
    opened: Stamp,
    position: u64,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: Option<Modified>,
    /// When its content or attributes changed last, which nobody can set back.
    changed: Option<(i64, i64)>,
}

impl OpenSource {
    /// Opens what a walk found. No link is followed, except at the root.
    ///
    /// # Errors
    /// [`StorageError::Io`], or [`StorageError::Special`] if it is no file (any more).
    pub fn open(entry: &Entry) -> Result<Self, StorageError> {
        let disk = entry.disk.clone();
        let follow = entry.is_root;
        if !matches!(entry.kind, EntryKind::File { .. }) {
            let what = "no file";
            return Err(StorageError::Special { path: disk, what });
        }
        let file =
            os::open_by_path(&disk, follow).map_err(StorageError::io("open", &entry.disk))?;
        let metadata = Metadata::from_file(&file).map_err(StorageError::io("read", &disk))?;
        if !metadata.is_file() {
            let what = "no longer a file";
            return Err(StorageError::Special { path: disk, what });
        }
        os::will_read_all(&file);
        Ok(Self {
            sparse: file
                .metadata()
                .is_ok_and(|found| os::room(&found) < found.len()),
            file,
            disk,
            follow,
            opened: Stamp::of(&metadata),
            position: 0,
        })
    }

    /// Bytes in the file when it was opened: what will be sent.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.opened.len
    }

    /// Whether it was empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When it had been modified last when it was opened.
    #[must_use]
    pub fn modified(&self) -> Option<Modified> {
        self.opened.modified
    }

    /// Whether there are holes in it.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// Fills the buffer from where the last read ended; fewer bytes only at the end, then none.
    ///
    /// Buffers of 256 KiB and more keep the number of calls small.
    ///
    /// # Errors
    /// [`StorageError::Changed`] if the file ends before [`OpenSource::len`].
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, StorageError> {
        let left = self.len() - self.position;
        let wanted = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
        let end = self.position + wanted as u64;
        // A hole is not read: there is nothing of it on the disk or in the cache.
        if self.sparse && os::next_data(&self.file, self.position).is_some_and(|at| at >= end) {
            let left = self
                .file
                .metadata()
                .map_err(StorageError::io("read", &self.disk))?;
            if left.len() < end {
                return Err(self.changed(Change::Truncated));
            }
            buf[..wanted].fill(0);
            self.position = end;
            return Ok(wanted);
        }
        let read = os::read_at(&self.file, &mut buf[..wanted], self.position)
            .map_err(StorageError::io("read", &self.disk))?;
        if read < wanted {
            return Err(self.changed(Change::Truncated));
        }
        self.position += read as u64;
        Ok(read)
    }

    /// A hasher that has been given the first `len` bytes; the next read goes on after them.
    /// `progress` is told how many bytes are hashed, now and then.
    ///
    /// # Errors
    /// [`StorageError::Changed`] if there are not so many.
    pub fn hash_prefix(
        &mut self,
        len: u64,
        progress: impl FnMut(u64),
    ) -> Result<blake3::Hasher, StorageError> {
        if len > self.len() {
            return Err(self.changed(Change::Truncated));
        }
        let (hasher, got) = os::hash_prefix(&self.file, len, progress)
            .map_err(StorageError::io("read", &self.disk))?;
        if got < len {
            return Err(self.changed(Change::Truncated));
        }
        self.position = len;
        Ok(hasher)
    }

    /// Whether what was read is the file: it, and what its name leads to, is what was opened.
    ///
    /// # Errors
    /// [`StorageError::Changed`], or [`StorageError::Io`] if that cannot be found out.
    pub fn check_unchanged(&self) -> Result<(), StorageError> {
        let io = || StorageError::io("read", &self.disk);
        let now = Stamp::of(&Metadata::from_file(&self.file).map_err(io())?);
        if let Some(change) = self.opened.change_to(&now) {
            return Err(self.changed(change));
        }
        // Files that the system makes up as they are read (/proc) are of no size and yet not empty.
        if os::read_at(&self.file, &mut [0], self.len()).map_err(io())? > 0 {
            return Err(self.changed(Change::Grown));
        }
        match os::metadata_by_path(&self.disk, self.follow).map(|found| Stamp::of(&found)) {
            // Looked at last, since a change of the name is also one of the attributes.
            Ok(named) if (named.device, named.inode) == (now.device, now.inode) => {
                match now.changed == self.opened.changed {
                    true => Ok(()),
                    false => Err(self.changed(Change::Modified)),
                }
            }
            Ok(_) => Err(self.changed(Change::Replaced)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.changed(Change::Removed))
            }
            Err(error) => Err(io()(error)),
        }
    }

    fn changed(&self, change: Change) -> StorageError {
        StorageError::Changed {
            path: self.disk.clone(),
            change,
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: MetadataExt::dev(metadata),
            inode: MetadataExt::ino(metadata),
            len: metadata.len(),
            modified: metadata
                .modified()
                .ok()
                .and_then(|modified| time::from_system(modified.into_std())),
            changed: os::changed(metadata),
        }
    }

    fn change_to(&self, now: &Self) -> Option<Change> {
        if now.len < self.len {
            Some(Change::Truncated)
        } else if now.len > self.len {
            Some(Change::Grown)
        } else if now.modified != self.modified {
            Some(Change::Modified)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::Path};

    use super::*;
    use crate::storage::{Filter, Source};

    fn open(path: &Path) -> OpenSource {
        let source = Source::new(&[path.to_owned()], Filter::default()).unwrap();
        let entry = source.walk().next().unwrap().unwrap();
        OpenSource::open(&entry).unwrap()
    }

    /// A file of 1 MiB and something, and a directory to do things to it in.
    fn file() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        let content: Vec<u8> = (0..1_048_576_u32 + 77).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        (temp, path, content)
    }

    fn change(source: &OpenSource) -> Option<Change> {
        match source.check_unchanged() {
            Ok(()) => None,
            Err(StorageError::Changed { change, .. }) => Some(change),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_file_is_read_whole_or_from_a_prefix_on() {
        let (_temp, path, content) = file();
        let mut source = open(&path);
        for start in [0, 300_000, content.len()] {
            let hasher = source.hash_prefix(start as u64, |_| ()).unwrap();
            assert_eq!(hasher.finalize(), blake3::hash(&content[..start]));
            let mut read = content[..start].to_vec();
            let mut buf = vec![0; 256 * 1024];
            loop {
                match source.read(&mut buf).unwrap() {
                    0 => break,
                    n => read.extend_from_slice(&buf[..n]),
                }
            }
            assert_eq!(read, content);
        }
        assert!(
            source
                .hash_prefix(content.len() as u64 + 1, |_| ())
                .is_err()
        );
        assert_eq!(change(&source), None);
    }

    #[test]
    fn a_truncated_source_is_found_while_reading_and_after() {
        let (_temp, path, content) = file();
        let mut source = open(&path);
        let half = content.len() as u64 / 2;
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(half).unwrap();
        let mut buf = vec![0; content.len()];
        assert!(matches!(
            source.read(&mut buf),
            Err(StorageError::Changed {
                change: Change::Truncated,
                ..
            })
        ));
        assert_eq!(change(&source), Some(Change::Truncated));
    }

    #[test]
    fn a_source_that_grew_is_found_and_never_read_beyond_what_it_was() {
        let (_temp, path, content) = file();
        let mut source = open(&path);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"more").unwrap();
        let mut buf = vec![0; content.len() + 100];
        assert_eq!(source.read(&mut buf).unwrap(), content.len());
        assert_eq!(source.read(&mut buf).unwrap(), 0);
        assert_eq!(change(&source), Some(Change::Grown));
    }

    #[test]
    fn a_source_that_was_touched_replaced_or_removed_is_found() {
        let (temp, path, content) = file();
        let source = open(&path);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let past = std::time::SystemTime::now() - std::time::Duration::from_secs(9);
        file.set_modified(past).unwrap();
        assert_eq!(change(&source), Some(Change::Modified));

        // Rewritten in place, with its time and size as they were.
        let source = open(&path);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all(b"another").unwrap();
        file.set_modified(before).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        #[cfg(unix)]
        assert_eq!(change(&source), Some(Change::Modified));

        let source = open(&path);
        let other = temp.path().join("other");
        fs::write(&other, &content).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(change(&source), Some(Change::Replaced));

        let source = open(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(change(&source), Some(Change::Removed));
    }

    #[cfg(unix)]
    #[test]
    fn what_takes_the_place_of_a_file_is_neither_followed_nor_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("t");
        let path = root.join("file");
        let put = |plant: &dyn Fn()| {
            let _ = fs::remove_dir_all(&root);
            fs::create_dir(&root).unwrap();
            fs::write(&path, "content").unwrap();
            let source = Source::new(std::slice::from_ref(&root), Filter::default()).unwrap();
            let entry = source.walk().nth(1).unwrap().unwrap();
            let opened = OpenSource::open(&entry).unwrap();
            fs::remove_file(&path).unwrap();
            plant();
            assert_eq!(change(&opened), Some(Change::Replaced));
            OpenSource::open(&entry).unwrap_err()
        };
        fs::write(temp.path().join("secret"), "secret!").unwrap();
        put(&|| std::os::unix::fs::symlink("../secret", &path).unwrap());
        put(&|| std::os::unix::fs::symlink("file", &path).unwrap());
        put(&|| fs::create_dir(&path).unwrap());
        let error = put(&|| mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap());
        assert!(matches!(error, StorageError::Special { .. }));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_says_it_is_empty_and_is_not_is_no_success() {
        let mut source = open(Path::new("/proc/version"));
        assert_eq!(source.read(&mut [0; 100]).unwrap(), 0);
        assert_eq!(change(&source), Some(Change::Grown));
    }
}
