//! A way through everything that is sent.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    sync::Arc,
};

use walkdir::{DirEntry, WalkDir};

use super::{Filter, Modified, SourceError, claim::is_partial_name, filter::FilterWalk, os, time};
use crate::protocol::{LinkTarget, RelativePath};

/// A way through everything that is sent, one [`Entry`] at a time. Blocking.
#[derive(Debug)]
pub struct Walk {
    roots: Arc<[Root]>,
    filter: Filter,
    next_root: usize,
    below: Option<(walkdir::IntoIter, FilterWalk)>,
}

/// One of the paths that were given.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) disk: PathBuf,
    pub(super) path: RelativePath,
}

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub disk: PathBuf,
    /// What it is called.
    pub path: RelativePath,
    /// What it is.
    pub kind: EntryKind,
    /// Whether it is a file that may be executed.
    pub executable: bool,
    /// Its permission bits, where they are sent; not for links.
    pub mode: Option<u32>,
    /// The bytes of a file that take room on a disk: fewer than it has if there are holes in it.
    pub room: u64,
    /// When it was last modified; not for links.
    pub modified: Option<Modified>,
    /// Which file it is, by device and number, if it has further names.
    pub(super) inode: Option<(u64, u64)>,
    /// A root may be a link, and is followed: it was named by whoever sends.
    pub(super) is_root: bool,
}

/// What kind of thing is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its bytes when it was found. What counts is how many there are when it is opened.
        size: u64,
    },
    /// A directory; what is in it follows.
    Directory,
    /// A symbolic link that stays in its tree.
    Symlink {
        /// Where it points.
        target: LinkTarget,
    },
}

impl Walk {
    pub(super) fn new(roots: Arc<[Root]>, filter: Filter) -> Self {
        Self {
            roots,
            filter,
            next_root: 0,
            below: None,
        }
    }

    /// What to make of something found; `None` to leave it out.
    fn visit(&mut self, found: DirEntry) -> Option<Result<Entry, SourceError>> {
        let root = &self.roots[self.next_root - 1];
        let (_, filter) = self.below.as_mut()?;
        let is_root = found.depth() == 0;
        // Not through a link, except at the root.
        let is_dir = found.file_type().is_dir();
        let below = found
            .path()
            .strip_prefix(&root.disk)
            .unwrap_or(Path::new(""));
        let partial = found.file_name().to_str().is_some_and(is_partial_name);
        if partial || filter.leaves_out(below, found.depth(), is_dir) {
            self.leave(is_dir);
            return None;
        }
        let entry = name(root, &found).and_then(|path| {
            let metadata = match is_root {
                true => std::fs::metadata(found.path()),
                false => std::fs::symlink_metadata(found.path()),
            };
            let metadata = metadata.map_err(SourceError::io("read", found.path()))?;
            describe(found, path, &metadata, is_root)
        });
        let entry = entry.map(|entry| Entry {
            mode: entry.mode.filter(|_| self.filter.sends_modes()),
            ..entry
        });
        if matches!(entry, Err(SourceError::Name { .. })) {
            // Nothing below a directory has a name if it has none.
            self.leave(is_dir);
        }
        Some(entry)
    }

    fn leave(&mut self, is_dir: bool) {
        if let Some((below, _)) = self.below.as_mut().filter(|_| is_dir) {
            below.skip_current_dir();
        }
    }
}

impl Iterator for Walk {
    type Item = Result<Entry, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((below, _)) = &mut self.below else {
                let root = self.roots.get(self.next_root)?;
                self.next_root += 1;
                let walk = WalkDir::new(&root.disk).max_open(RelativePath::MAX_COMPONENTS + 1);
                let filter = self.filter.walk(&root.disk, root.path.as_str());
                self.below = Some((walk.into_iter(), filter));
                continue;
            };
            let visited = match below.next() {
                None => {
                    self.below = None;
                    continue;
                }
                Some(Ok(found)) => self.visit(found),
                Some(Err(error)) => Some(Err(failed(&self.roots[self.next_root - 1], error))),
            };
            if visited.is_some() {
                return visited;
            }
        }
    }
}

fn name(root: &Root, found: &DirEntry) -> Result<RelativePath, SourceError> {
    let below = found.path().strip_prefix(&root.disk).into_iter().flatten();
    below
        .into_iter()
        .try_fold(root.path.clone(), |path, name| path.child(name))
        .map_err(|error| SourceError::Name {
            path: found.path().to_owned(),
            error,
        })
}

fn describe(
    found: DirEntry,
    path: RelativePath,
    metadata: &Metadata,
    is_root: bool,
) -> Result<Entry, SourceError> {
    let disk = found.into_path();
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        EntryKind::File {
            size: metadata.len(),
        }
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_symlink() {
        let target = std::fs::read_link(&disk).map_err(SourceError::io("read", &disk))?;
        match LinkTarget::for_sending(&path, target.as_os_str()) {
            Ok(target) => EntryKind::Symlink { target },
            Err(error) => return Err(SourceError::Symlink { path: disk, error }),
        }
    } else {
        return Err(SourceError::Special { path: disk });
    };
    let is_link = matches!(kind, EntryKind::Symlink { .. });
    Ok(Entry {
        executable: matches!(kind, EntryKind::File { .. }) && os::is_executable(metadata),
        room: os::room(metadata),
        inode: os::shared_inode(metadata),
        mode: match is_link {
            true => None,
            false => os::mode(metadata),
        },
        modified: match is_link {
            true => None,
            false => metadata.modified().ok().and_then(time::from_system),
        },
        disk,
        path,
        kind,
        is_root,
    })
}

fn failed(root: &Root, error: walkdir::Error) -> SourceError {
    let path = error.path().unwrap_or(&root.disk).to_owned();
    let error = error
        .into_io_error()
        .unwrap_or_else(|| std::io::ErrorKind::Other.into());
    SourceError::io("read", path)(error)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::storage::{Source, Totals, testing::scale};

    fn filter(patterns: &[&str]) -> Filter {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        Filter::new(&patterns, &[]).unwrap()
    }

    /// A tree with the files named, each holding its name.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for file in files {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        temp
    }

    fn walk(roots: &[&Path], exclude: &[&str]) -> (Vec<Entry>, Vec<SourceError>) {
        let roots: Vec<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
        let mut entries = Vec::new();
        let mut errors = Vec::new();
        for entry in Source::new(&roots, filter(exclude)).unwrap().walk() {
            match entry {
                Ok(entry) => entries.push(entry),
                Err(error) => errors.push(error),
            }
        }
        (entries, errors)
    }

    fn paths(entries: &[Entry]) -> Vec<&str> {
        let mut paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        paths.sort_unstable();
        paths
    }

    #[test]
    fn a_tree_is_found_whole_each_directory_before_its_content() {
        let temp = tree(&["t/a", "t/d/b", "t/d/.hidden", "t/文/ü.txt", "f"]);
        fs::create_dir(temp.path().join("t/empty")).unwrap();
        let (root, file) = (temp.path().join("t/"), temp.path().join("f"));
        let (entries, errors) = walk(&[&root, &file], &[]);
        assert!(errors.is_empty());
        assert_eq!(
            paths(&entries),
            [
                "f",
                "t",
                "t/a",
                "t/d",
                "t/d/.hidden",
                "t/d/b",
                "t/empty",
                "t/文",
                "t/文/ü.txt"
            ]
        );
        for (i, entry) in entries.iter().enumerate() {
            if let Some(parent) = entry.path.parent() {
                let before = entries[..i].iter().any(|e| e.path.as_str() == parent);
                assert!(before, "{} before {parent}", entry.path);
            }
            assert!(entry.modified.is_some());
        }
        let b = entries.iter().find(|e| e.path.as_str() == "t/d/b").unwrap();
        assert_eq!(b.kind, EntryKind::File { size: 5 });
        assert_eq!(b.disk, temp.path().join("t/d/b"));
    }

    #[test]
    fn a_root_without_a_name_goes_by_the_one_that_it_has() {
        let temp = tree(&["t/d/a"]);
        for (root, expected) in [("t/.", "t"), ("t/d/..", "t"), ("t/d/../d", "d")] {
            let (entries, _) = walk(&[&temp.path().join(root)], &[]);
            assert_eq!(entries[0].path.as_str(), expected, "{root}");
        }
        assert!(Source::new(&["/".into()], Filter::default()).is_err());
    }

    #[test]
    fn what_cannot_be_sent_is_known_before_anything_is() {
        let temp = tree(&["a/f", "b/f", ".hidden"]);
        let new = |roots: &[&str]| {
            let roots: Vec<PathBuf> = roots.iter().map(|r| temp.path().join(r)).collect();
            Source::new(&roots, Filter::default()).unwrap_err()
        };
        assert!(matches!(new(&["a", "none"]), SourceError::Io { .. }));
        assert!(matches!(new(&["a/f", "b/f"]), SourceError::SameName { .. }));
        assert!(matches!(new(&[".hidden"]), SourceError::Name { .. }));
        #[cfg(unix)]
        assert!(matches!(
            Source::new(&["/dev/null".into()], Filter::default()),
            Err(SourceError::Special { .. })
        ));
    }

    #[test]
    fn globs_exclude_by_name_and_by_path_with_all_below() {
        let temp = tree(&[
            "t/a.o",
            "t/src/b.o",
            "t/src/c.rs",
            "t/node_modules/x/y",
            "t/src/out/z",
        ]);
        let root = temp.path().join("t");
        for (exclude, expected) in [
            (
                &["*.o", "node_modules"][..],
                &["t", "t/src", "t/src/c.rs", "t/src/out", "t/src/out/z"][..],
            ),
            (
                &["src/out", "t/node_modules"],
                &["t", "t/a.o", "t/src", "t/src/b.o", "t/src/c.rs"],
            ),
            (&["t"], &[]),
        ] {
            assert_eq!(paths(&walk(&[&root], exclude).0), expected);
        }
    }

    #[test]
    fn patterns_are_those_of_gitignore() {
        let temp = tree(&[
            "t/a.o",
            "t/keep.o",
            "t/target/x",
            "t/src/target/y",
            "t/src/e/z",
            "t/src/deep/er/e/z",
            "t/e",
        ]);
        let root = temp.path().join("t");
        let all = |but: &[&str]| {
            let everything = paths(&walk(&[&root], &[]).0.clone())
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>();
            let left = |path: &&String| {
                !but.iter()
                    .any(|b| path == b || path.starts_with(&format!("{b}/")))
            };
            everything.iter().filter(left).cloned().collect::<Vec<_>>()
        };
        for (patterns, left_out) in [
            (&["e/"][..], &["t/src/e", "t/src/deep/er/e"][..]),
            (&["/e"], &["t/e"]),
            (&["/target"], &["t/target"]),
            (&["target/"], &["t/target", "t/src/target"]),
            (&["*.o", "!keep.o"], &["t/a.o"]),
            (&["!keep.o", "*.o"], &["t/a.o", "t/keep.o"]),
            (&["src/**/e"], &["t/src/e", "t/src/deep/er/e"]),
            (&["# a comment", ""], &[]),
        ] {
            assert_eq!(
                paths(&walk(&[&root], patterns).0),
                all(left_out),
                "{patterns:?}"
            );
        }
        let list = temp.path().join("list");
        fs::write(&list, "*.o\ntarget/\n").unwrap();
        let both = Filter::new(&["!keep.o".to_owned()], std::slice::from_ref(&list)).unwrap();
        let source = Source::new(std::slice::from_ref(&root), both).unwrap();
        let found: Vec<Entry> = source.walk().map(Result::unwrap).collect();
        assert_eq!(paths(&found), all(&["t/a.o", "t/target", "t/src/target"]));
        let wrong = Filter::new(&["a[".to_owned()], &[]).unwrap_err();
        assert!(
            wrong.to_string().starts_with("\"a[\" is not a pattern"),
            "{wrong}"
        );
        assert!(Filter::new(&[], &[temp.path().join("none")]).is_err());
    }

    #[test]
    fn what_git_ignores_can_be_left_out() {
        let temp = tree(&[
            "repo/sub/t/a.log",
            "repo/sub/t/b.tmp",
            "repo/sub/t/keep.log",
            "repo/sub/t/d/x.bin",
            "repo/sub/t/d/c.log",
            "repo/sub/t/z/x.bin",
            "repo/sub/t/secret",
            "repo/.git/info/exclude",
        ]);
        let at = |path: &str| temp.path().join("repo").join(path);
        fs::write(at(".gitignore"), "*.log\n").unwrap();
        fs::write(at(".git/info/exclude"), "/sub/t/secret\n").unwrap();
        fs::write(at("sub/t/.gitignore"), "!keep.log\n*.tmp\n").unwrap();
        fs::write(at("sub/t/d/.gitignore"), "/x.bin\n").unwrap();
        let found = |filter: Filter| {
            let source = Source::new(&[at("sub/t")], filter).unwrap();
            let entries: Vec<Entry> = source.walk().map(Result::unwrap).collect();
            paths(&entries).join(" ")
        };
        assert_eq!(
            found(Filter::default().with_gitignore()),
            "t t/.gitignore t/d t/d/.gitignore t/keep.log t/z t/z/x.bin"
        );
        // What was asked for by name comes before what git says.
        let filter = Filter::new(&["!a.log".to_owned(), "z".to_owned()], &[]).unwrap();
        assert_eq!(
            found(filter.with_gitignore()),
            "t t/.gitignore t/a.log t/d t/d/.gitignore t/keep.log"
        );
    }

    #[test]
    fn what_is_ours_is_left_out_wherever_the_tree_begins() {
        let temp = tree(&["home/u/p2p/key", "home/u/p2p/relay/key", "home/u/f"]);
        let at = |path: &str| temp.path().join(path);
        let own = || [at("home/u/p2p/key"), at("home/u/p2p/relay"), at("none")];
        let filter = Filter::default().without(own());
        for (root, expected, left_out) in [
            ("home", "home home/u home/u/f home/u/p2p", 2),
            ("home/u/p2p", "p2p", 2),
            ("home/u/f", "f", 0),
        ] {
            let source = Source::new(&[at(root)], filter.clone()).unwrap();
            let entries: Vec<Entry> = source.walk().map(Result::unwrap).collect();
            assert_eq!(paths(&entries).join(" "), expected, "{root}");
            assert_eq!(filter.own_below(&[at(root)]).len(), left_out, "{root}");
        }
        for root in ["home/u/p2p/key", "home/u/p2p/relay", "home/u/p2p/relay/key"] {
            let named = Source::new(&[at(root)], filter.clone());
            assert!(matches!(named, Err(SourceError::Secret { .. })), "{root}");
        }
    }

    #[test]
    fn our_own_partial_files_are_not_sent() {
        let temp = tree(&["t/a", "t/.p2p-00112233445566778899aabbccddeeff.part"]);
        let (entries, errors) = walk(&[&temp.path().join("t")], &[]);
        assert_eq!(paths(&entries), ["t", "t/a"]);
        assert!(errors.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn only_links_that_stay_inside_are_sent_and_none_is_followed() {
        use std::os::unix::fs::symlink;
        let temp = tree(&["t/d/a", "other/secret"]);
        let root = temp.path().join("t");
        symlink("d/a", root.join("good")).unwrap();
        symlink("../d", root.join("d/up")).unwrap();
        symlink(".", root.join("loop")).unwrap();
        symlink("../other", root.join("out")).unwrap();
        symlink(temp.path().join("other"), root.join("absolute")).unwrap();
        symlink("d/../../other", root.join("sly")).unwrap();
        let (entries, errors) = walk(&[&root], &[]);
        assert_eq!(
            paths(&entries),
            ["t", "t/d", "t/d/a", "t/d/up", "t/good", "t/loop"]
        );
        let target = |path: &str| {
            let entry = entries.iter().find(|e| e.path.as_str() == path).unwrap();
            entry.kind.clone()
        };
        let link = |target: &str| EntryKind::Symlink {
            target: target.parse().unwrap(),
        };
        assert_eq!(target("t/good"), link("d/a"));
        assert_eq!(target("t/d/up"), link("../d"));
        let mut refused: Vec<_> = errors
            .iter()
            .map(|error| match error {
                SourceError::Symlink { path, .. } => path.file_name().unwrap(),
                other => panic!("{other}"),
            })
            .collect();
        refused.sort();
        assert_eq!(refused, ["absolute", "out", "sly"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_root_that_is_a_link_is_followed_under_its_own_name() {
        let temp = tree(&["t/a", "f"]);
        for (link, to) in [("dir", "t"), ("file", "f")] {
            std::os::unix::fs::symlink(to, temp.path().join(link)).unwrap();
        }
        let (entries, errors) = walk(&[&temp.path().join("dir"), &temp.path().join("file")], &[]);
        assert!(errors.is_empty());
        assert_eq!(paths(&entries), ["dir", "dir/a", "file"]);
        assert_eq!(entries[0].kind, EntryKind::Directory);
        assert_eq!(entries[2].kind, EntryKind::File { size: 1 });
    }

    #[cfg(unix)]
    #[test]
    fn special_files_and_special_bits_are_not_sent() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        use std::os::unix::fs::PermissionsExt;
        let temp = tree(&["t/a", "t/suid"]);
        let root = temp.path().join("t");
        fs::set_permissions(root.join("suid"), fs::Permissions::from_mode(0o6755)).unwrap();
        mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        let (entries, errors) = walk(&[&root], &[]);
        assert_eq!(paths(&entries), ["t", "t/a", "t/suid"]);
        let executable: Vec<&str> = entries
            .iter()
            .filter(|entry| entry.executable)
            .map(|entry| entry.path.as_str())
            .collect();
        assert_eq!(executable, ["t/suid"]);
        assert_eq!(errors.len(), 2);
        assert!(
            errors
                .iter()
                .all(|e| matches!(e, SourceError::Special { .. }))
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_cannot_be_sent_is_told_and_does_not_stop_the_rest() {
        use std::os::unix::ffi::OsStrExt;
        let temp = tree(&["t/a", "t/b:c/aux.", "t/d\u{1b}[2J/below", "t/z"]);
        let latin1 = std::ffi::OsStr::from_bytes(b"Gr\xfcn");
        fs::write(temp.path().join("t").join(latin1), "").unwrap();
        let (entries, errors) = walk(&[&temp.path().join("t")], &[]);
        assert_eq!(paths(&entries), ["t", "t/a", "t/b:c", "t/b:c/aux.", "t/z"]);
        let mut texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        texts.sort();
        assert_eq!(texts.len(), 2);
        assert!(texts.iter().all(|t| !t.contains('\u{1b}')), "{texts:?}");
        assert!(texts.iter().any(|t| t.contains(r"Gr\xFCn")), "{texts:?}");
    }

    #[test]
    fn totals_are_counted_within_bounds() {
        let temp = tree(&["t/a", "t/d/b", "t/d/c"]);
        let source = Source::new(&[temp.path().join("t")], Filter::default()).unwrap();
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(
            source.totals(100, later, true),
            Totals {
                files: 3,
                bytes: 3 + 5 + 5,
                room: 3 + 5 + 5,
                has_links: false,
                complete: true
            }
        );
        assert!(!source.totals(2, later, true).complete);
        assert!(!source.totals(100, Instant::now(), true).complete);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_does_not_grow_with_the_number_of_files() {
        // 100,000 files at scale 100.
        let (dirs, per_dir) = (10 * scale(), 100);
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("t");
        for dir in 0..dirs {
            let dir = root.join(format!("a directory with some name {dir}"));
            fs::create_dir_all(&dir).unwrap();
            for file in 0..per_dir {
                fs::write(dir.join(format!("a file with some name {file}")), "").unwrap();
            }
        }
        let resident = || {
            let statm = fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
        };
        let source = Source::new(&[root], Filter::default()).unwrap();
        let count = dirs * per_dir + dirs + 1;
        let mut after_first_tenth = 0;
        for (i, entry) in source.walk().enumerate() {
            entry.unwrap();
            if i == count / 10 {
                after_first_tenth = resident();
            }
            assert!(i < count);
        }
        // The other tests run in the same process: a list of all would be 20 MiB at scale 100.
        let grown = resident().saturating_sub(after_first_tenth);
        assert!(grown < 8 * 1024, "{grown} KiB more");
    }
}
