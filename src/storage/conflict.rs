//! What happens when a name is taken.

use std::io;

use super::{LocalPath, StorageError, content, directory::Directory, os};
use crate::protocol::{FileName, RelativePath};

/// What to do when the name of a file that arrives is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conflict {
    /// Keep both: the new one becomes `name (1).ext`.
    #[default]
    Rename,
    /// Replace the old one at once; never a directory.
    Overwrite,
    /// Keep the old one.
    Skip,
}

/// How a file got, or did not get, its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The name was free.
    Created,
    /// The name was taken: both are kept.
    Renamed,
    /// The old file was replaced.
    Replaced,
    /// The old file was kept and the new one dropped.
    Skipped,
    /// The same content is there already, under the name given: nothing was stored.
    Identical,
}

/// Something that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is now, below the target directory.
    pub path: LocalPath,
    /// How it came to this name.
    pub outcome: Outcome,
}

/// Gives what is in `directory` under the name `from` its final name, as the policy says.
///
/// With [`Outcome::Skipped`] and [`Outcome::Identical`], `from` is still there.
pub(super) fn place(
    directory: &Directory,
    from: &str,
    path: &LocalPath,
    conflict: Conflict,
) -> Result<Stored, StorageError> {
    let handle = directory.handle();
    let how = Placing {
        create: |name: &str| os::rename_no_replace(handle, from, name),
        replace: |name: &str| handle.rename(from, handle, name),
        is_same: |name: &str| content::have_same_content(handle, from, name).unwrap_or(false),
    };
    settle(directory, path, conflict, how)
}

/// How something gets a name, and whether what has it already is the same.
pub(super) struct Placing<C, R, S> {
    /// Fails with `AlreadyExists` when the name is taken: only the file system knows which names are
    /// one (case, Unicode normalisation), and only it can decide a race.
    pub(super) create: C,
    pub(super) replace: R,
    pub(super) is_same: S,
}

/// Tries names until one is free, or does what the policy says when the first is not.
///
/// What is there with the same content is never stored a second time, whatever the policy.
pub(super) fn settle<C, R, S>(
    directory: &Directory,
    path: &LocalPath,
    conflict: Conflict,
    how: Placing<C, R, S>,
) -> Result<Stored, StorageError>
where
    C: Fn(&str) -> io::Result<()>,
    R: Fn(&str) -> io::Result<()>,
    S: Fn(&str) -> bool,
{
    let Placing {
        create,
        replace,
        is_same,
    } = how;
    let name = path.file_name();
    let fail = |name: &str| StorageError::io("store", directory.place(name));
    let done = |outcome| {
        Ok(Stored {
            path: path.clone(),
            outcome,
        })
    };
    match create(name) {
        Ok(()) => return done(Outcome::Created),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(fail(name)(error)),
    }
    if is_same(name) {
        return done(Outcome::Identical);
    }
    if conflict == Conflict::Rename {
        for candidate in numbers(path) {
            match create(candidate.file_name()) {
                Ok(()) => {
                    return Ok(Stored {
                        path: candidate,
                        outcome: Outcome::Renamed,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if is_same(candidate.file_name()) {
                        return Ok(Stored {
                            path: candidate,
                            outcome: Outcome::Identical,
                        });
                    }
                }
                Err(error) => return Err(fail(candidate.file_name())(error)),
            }
        }
        return Err(StorageError::NamesTaken {
            path: directory.place(name),
        });
    }
    if is_directory(directory, name) {
        return Err(StorageError::IsADirectory {
            path: directory.place(name),
        });
    }
    if conflict == Conflict::Skip {
        return done(Outcome::Skipped);
    }
    replace(name).map_err(fail(name))?;
    done(Outcome::Replaced)
}

fn is_directory(directory: &Directory, name: &str) -> bool {
    let found = directory.handle().symlink_metadata(name);
    found.is_ok_and(|found| found.is_dir())
}

/// The most files of one name that are kept side by side.
///
/// Each new one tries all numbers before it: 10,000 tries take some 10 ms.
const NUMBERS_MAX: u32 = 9_999;

/// The names that are tried when `path` is taken.
pub(super) fn numbers(path: &LocalPath) -> impl Iterator<Item = LocalPath> {
    (1..=NUMBERS_MAX).map_while(|number| numbered(path, number))
}

/// `name (1).ext`, shortened before the number if it would be too long; `None` if even so it is.
fn numbered(path: &LocalPath, number: u32) -> Option<LocalPath> {
    let (stem, extension) = split(path.file_name());
    let suffix = format!(" ({number}){extension}");
    let above = path.parent().map_or(0, |parent| parent.len() + 1);
    let room = FileName::MAX_BYTES
        .min(RelativePath::MAX_BYTES - above)
        .checked_sub(suffix.len())?;
    let end = (1..=stem.len().min(room))
        .rev()
        .find(|end| stem.is_char_boundary(*end))?;
    path.with_file_name(&format!("{}{suffix}", &stem[..end]))
        .ok()
}

/// The name before its extension, and the extension with its dot.
fn split(name: &str) -> (&str, &str) {
    let (stem, extension) = split_last(name);
    // `a.tar.gz` has one extension in two parts.
    match split_last(stem) {
        (inner, ".tar") if !extension.is_empty() => name.split_at(inner.len()),
        _ => (stem, extension),
    }
}

fn split_last(name: &str) -> (&str, &str) {
    // A long or spaced tail is part of a sentence: `Mr. Smith`, `1. introduction and overview`.
    const EXTENSION_MAX: usize = 16;
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_MAX && !name[dot..].contains(' ') => {
            name.split_at(dot)
        }
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(path: &str) -> String {
        let path = path.parse::<LocalPath>().unwrap();
        numbered(&path, 1).unwrap().as_str().to_owned()
    }

    #[test]
    fn a_number_goes_before_the_extension() {
        for (name, expected) in [
            ("a.txt", "a (1).txt"),
            ("a", "a (1)"),
            ("a.tar.gz", "a (1).tar.gz"),
            ("v1.2.zip", "v1.2 (1).zip"),
            ("d/.bashrc", "d/.bashrc (1)"),
            ("d/.config.json", "d/.config (1).json"),
            ("d/.tar.gz", "d/.tar (1).gz"),
            ("Mr. Smith", "Mr. Smith (1)"),
            ("文.png", "文 (1).png"),
            ("a (1).txt", "a (1) (1).txt"),
        ] {
            assert_eq!(second(name), expected);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_extension() {
        let name = format!("{}.tar.gz", "文".repeat(82));
        let cut = second(&name);
        assert!(cut.len() <= FileName::MAX_BYTES, "{}", cut.len());
        assert!(cut.ends_with("文 (1).tar.gz"));
        let long = "x".repeat(255);
        assert_eq!(second(&long), format!("{} (1)", "x".repeat(251)));
    }

    #[test]
    fn a_path_that_cannot_grow_has_no_other_name_and_no_panic() {
        let dirs = vec!["d".repeat(255); 15].join("/");
        let path = format!("{dirs}/{}/{}", "e".repeat(252), "f".repeat(3));
        let path: LocalPath = path.parse().unwrap();
        assert_eq!(path.as_str().len(), RelativePath::MAX_BYTES);
        assert_eq!(numbered(&path, 1), None);
    }

    #[test]
    fn names_that_the_file_system_makes_one_are_both_kept() {
        use std::{cell::RefCell, collections::HashMap};
        use unicode_normalization::UnicodeNormalization;

        let temp = tempfile::tempdir().unwrap();
        let handle =
            cap_std::fs::Dir::open_ambient_dir(temp.path(), cap_std::ambient_authority()).unwrap();
        let directory = Directory::new(handle, temp.path().to_owned()).unwrap();
        let entries = RefCell::new(HashMap::new());
        for (sent, kept) in [
            ("Readme.md", "Readme.md"),
            ("README.md", "README (1).md"),
            ("Zoë", "Zoë"),
            ("zoe\u{308}", "zoe\u{308} (1)"),
        ] {
            let create = |name: &str| {
                let folded: String = name.to_lowercase().nfd().collect();
                match entries.borrow_mut().insert(folded, sent) {
                    None => Ok(()),
                    Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
                }
            };
            let path = sent.parse().unwrap();
            let how = Placing {
                create,
                replace: |_: &str| panic!(),
                is_same: |_: &str| false,
            };
            let stored = settle(&directory, &path, Conflict::Rename, how).unwrap();
            assert_eq!(stored.path.as_str(), kept);
        }
        assert_eq!(entries.borrow().len(), 4);
    }

    proptest::proptest! {
        #[test]
        fn a_numbered_name_is_a_name_and_another(
            name in r"[a.\-é文 \u{200d}]{1,60}(\.tar)?(\.[a-z]{1,20})?",
            number in 1..=NUMBERS_MAX,
        ) {
            if let Ok(path) = format!("dir/{name}").parse::<LocalPath>() {
                let other = numbered(&path, number).unwrap();
                proptest::prop_assert_ne!(&other, &path);
                proptest::prop_assert_eq!(other.parent(), path.parent());
            }
        }
    }
}
