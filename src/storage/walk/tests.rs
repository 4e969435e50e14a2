use std::{fs, path::Path, time::Duration, time::Instant};

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

fn walk(roots: &[&Path], exclude: &[&str]) -> (Vec<Entry>, Vec<StorageError>) {
    let roots: Vec<PathBuf> = roots.iter().map(|root| root.to_path_buf()).collect();
    walk_with(&roots, filter(exclude))
}

fn walk_with(roots: &[PathBuf], filter: Filter) -> (Vec<Entry>, Vec<StorageError>) {
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for entry in Source::new(roots, filter).unwrap().walk() {
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
    assert!(matches!(new(&["a", "none"]), StorageError::Io { .. }));
    assert!(matches!(
        new(&["a/f", "b/f"]),
        StorageError::SameName { .. }
    ));
    assert!(matches!(new(&[".hidden"]), StorageError::Unsendable { .. }));
    #[cfg(unix)]
    assert!(matches!(
        Source::new(&["/dev/null".into()], Filter::default()),
        Err(StorageError::Special { .. })
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
    let (everything, _) = walk(&[&root], &[]);
    let all = |but: &[&str]| {
        let is_left_out = |path: &str, b: &str| path == b || path.starts_with(&format!("{b}/"));
        let mut left = paths(&everything);
        left.retain(|path| !but.iter().any(|b| is_left_out(path, b)));
        left
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
    let (found, errors) = walk_with(&[root], both);
    assert!(errors.is_empty());
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
        let (entries, errors) = walk_with(&[at("sub/t")], filter);
        assert!(errors.is_empty());
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
        let (entries, errors) = walk_with(&[at(root)], filter.clone());
        assert!(errors.is_empty());
        assert_eq!(paths(&entries).join(" "), expected, "{root}");
        assert_eq!(filter.own_below(&[at(root)]).len(), left_out, "{root}");
    }
    for root in ["home/u/p2p/key", "home/u/p2p/relay", "home/u/p2p/relay/key"] {
        let named = Source::new(&[at(root)], filter.clone());
        assert!(matches!(named, Err(StorageError::Secret { .. })), "{root}");
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
            StorageError::Symlink { path, .. } => path.file_name().unwrap(),
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
    let executable = entries.iter().filter(|entry| entry.executable);
    let executable: Vec<&str> = executable.map(|entry| entry.path.as_str()).collect();
    assert_eq!(executable, ["t/suid"]);
    let is_special = |e: &StorageError| matches!(e, StorageError::Special { .. });
    assert!(errors.len() == 2 && errors.iter().all(is_special));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_cannot_be_shown_is_replaced_or_refused_and_does_not_stop_the_rest() {
    use std::os::unix::ffi::OsStrExt;
    let temp = tree(&["t/a", "t/b:c/aux.", "t/d\u{1b}[2J/below", "t/z"]);
    let latin1 = std::ffi::OsStr::from_bytes(b"Gr\xfcn");
    fs::write(temp.path().join("t").join(latin1), "").unwrap();
    let root = temp.path().join("t");
    let (entries, errors) = walk(&[&root], &[]);
    assert!(errors.is_empty());
    let all = [
        "t",
        "t/Gr%FCn",
        "t/a",
        "t/b:c",
        "t/b:c/aux.",
        "t/d%1B[2J",
        "t/d%1B[2J/below",
        "t/z",
    ];
    assert_eq!(paths(&entries), all);
    let replaced = entries.iter().filter(|entry| entry.replaced).count();
    assert_eq!(replaced, 3);
    let (entries, errors) = walk_with(&[root], Filter::default().with_strict_names());
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
