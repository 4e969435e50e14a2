use std::fs;

use super::*;
use crate::storage::{
    Outcome,
    testing::{Place, incoming, names},
    time,
};

fn path(text: &str) -> RelativePath {
    text.parse().unwrap()
}

#[test]
fn a_tree_is_made_as_it_is_named() {
    let place = Place::new();
    place.target.create_dir(&path("t/empty")).unwrap();
    place.target.create_dir(&path("t/empty")).unwrap();
    for name in ["t/a", "t/.hidden/b", "t/x/y/z/c"] {
        let partial = place.arrived(name, name.as_bytes());
        partial.finish(Conflict::Rename).unwrap();
        assert_eq!(fs::read(place.out().join(name)).unwrap(), name.as_bytes());
    }
    assert_eq!(
        names(&place.out().join("t")),
        [".hidden", "a", "empty", "x"]
    );
    assert!(place.target.free_bytes().unwrap() > 0);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_known_at_once() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("file"), "").unwrap();
    assert!(Target::open(&temp.path().join("file")).is_err());
    #[cfg(target_os = "linux")]
    assert!(Target::open(Path::new("/proc/self")).is_err());
}

#[test]
fn a_file_in_the_way_of_a_directory_is_named_and_kept() {
    let place = Place::new();
    let partial = place.arrived("a", b"file");
    partial.finish(Conflict::Rename).unwrap();
    for below in ["a/b", "a/b/c"] {
        let error = place.target.begin(&incoming(below, 0)).unwrap_err();
        assert!(
            matches!(&error, StorageError::NotADirectory { path } if path.ends_with("a")),
            "{error}"
        );
    }
    assert!(place.target.create_dir(&path("a")).is_err());
    assert_eq!(fs::read(place.out().join("a")).unwrap(), b"file");
}

#[test]
fn a_directory_in_the_way_of_a_file_is_kept() {
    let place = Place::new();
    place.target.create_dir(&path("d")).unwrap();
    for conflict in [Conflict::Overwrite, Conflict::Skip] {
        let error = place.arrived("d", b"file").finish(conflict).unwrap_err();
        assert!(
            matches!(error, StorageError::IsADirectory { .. }),
            "{error}"
        );
    }
    let stored = place.arrived("d", b"file").finish(Conflict::Rename);
    assert_eq!(stored.unwrap().path.as_str(), "d (1)");
    assert!(place.out().join("d").is_dir());
}

#[cfg(unix)]
#[test]
fn a_link_planted_in_the_target_leads_nothing_outside() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    symlink(place.outside(), place.out().join("dir")).unwrap();
    symlink(place.outside().join("x"), place.out().join("file")).unwrap();
    fs::write(place.outside().join("x"), "old").unwrap();

    for below in ["dir/f", "dir/e/f"] {
        let error = place.target.begin(&incoming(below, 0)).unwrap_err();
        assert!(matches!(error, StorageError::NotADirectory { .. }));
        assert!(place.target.create_dir(&path(below)).is_err());
        assert!(place.target.existing(&path(below)).unwrap().is_none());
    }
    assert!(place.target.existing(&path("file")).unwrap().is_none());

    let stored = place.arrived("file", b"new").finish(Conflict::Skip);
    assert_eq!(stored.unwrap().outcome, Outcome::Skipped);
    let stored = place.arrived("file", b"new").finish(Conflict::Rename);
    assert_eq!(stored.unwrap().path.as_str(), "file (1)");
    let stored = place.arrived("file", b"new").finish(Conflict::Overwrite);
    assert_eq!(stored.unwrap().outcome, Outcome::Replaced);
    let replaced = fs::symlink_metadata(place.out().join("file")).unwrap();
    assert!(replaced.is_file());
    assert_eq!(names(&place.outside()), ["x"]);
    assert_eq!(fs::read(place.outside().join("x")).unwrap(), b"old");
}

#[cfg(unix)]
#[test]
fn a_directory_that_becomes_a_link_leads_nothing_outside() {
    let place = Place::new();
    let partial = place.arrived("d/e/a", b"1");
    partial.finish(Conflict::Rename).unwrap();
    fs::remove_dir_all(place.out().join("d/e")).unwrap();
    std::os::unix::fs::symlink(place.outside(), place.out().join("d/e")).unwrap();
    let error = place.target.begin(&incoming("d/e/b", 1)).unwrap_err();
    assert!(
        matches!(error, StorageError::NotADirectory { .. }),
        "{error}"
    );
    assert_eq!(names(&place.outside()), [""; 0]);
}

#[test]
fn what_a_file_system_cannot_hold_is_replaced_or_refused_and_never_lost() {
    let mut place = Place::new();
    #[cfg(target_os = "linux")]
    assert_eq!(place.target.holds, Holds::All);
    place.target.holds = Holds::Windows;
    let target = place.target.clone();
    let arrived = |name: &str, content: &str| {
        let partial = place.arrived(name, content.as_bytes());
        partial.finish(Conflict::Rename).unwrap().path.to_string()
    };
    assert_eq!(arrived("d:/aux.c", "one"), "d%3A/%61ux.c");
    assert_eq!(arrived("d:/aux.c", "two"), "d%3A/%61ux (1).c");
    assert_eq!(arrived("plain 20%.txt", "three"), "plain 20%.txt");
    assert_eq!(
        target.create_dir(&path("d:/e.")).unwrap().as_str(),
        "d%3A/e%2E"
    );
    let there = target.existing(&path("d:/aux.c")).unwrap().unwrap();
    assert_eq!(there.local.as_str(), "d%3A/%61ux.c");
    // What is written down of it leads to it again.
    assert!(target.existing_at(&there.local).unwrap().is_some());
    assert_eq!(place.names(), ["d%3A", "plain 20%.txt"]);

    let strict = target.strict_names();
    let error = strict.begin(&incoming("a:b", 0)).unwrap_err();
    assert!(matches!(error, StorageError::Name { .. }), "{error}");
    assert!(error.reason().contains("colon"), "{}", error.reason());
    assert!(strict.begin(&incoming("a b", 0)).is_ok());
}

#[test]
fn a_target_that_is_removed_and_made_again_is_stored_in() {
    let place = Place::new();
    let aside = place.temp.path().join("aside");
    for (round, gone) in [true, false].into_iter().enumerate() {
        match gone {
            true => fs::remove_dir_all(place.out()).unwrap(),
            false => fs::rename(place.out(), &aside).unwrap(),
        }
        fs::create_dir(place.out()).unwrap();
        let job = place
            .target
            .for_job(Conflict::Rename, HashMap::new(), |_, _| ());
        for name in ["f", "t/f"] {
            let name = format!("{round}{name}");
            let target = match gone {
                true => &place.target,
                false => &job,
            };
            let mut partial = target.begin(&incoming(&name, 1)).unwrap();
            partial.write_all(b"x").unwrap();
            partial.finish(Conflict::Rename).unwrap();
            assert!(place.out().join(&name).exists(), "{name}");
        }
    }
}

#[test]
fn a_directory_removed_meanwhile_is_made_again() {
    let place = Place::new();
    let partial = place.arrived("d/e/a", b"1");
    partial.finish(Conflict::Rename).unwrap();
    fs::remove_dir_all(place.out().join("d")).unwrap();
    let partial = place.arrived("d/e/b", b"2");
    partial.finish(Conflict::Rename).unwrap();
    assert_eq!(fs::read(place.out().join("d/e/b")).unwrap(), b"2");
}

#[test]
fn what_is_there_can_be_compared() {
    let place = Place::new();
    assert!(place.target.existing(&path("none/a")).unwrap().is_none());
    let partial = place.arrived("a", b"content");
    partial.finish(Conflict::Rename).unwrap();
    let existing = place.target.existing(&path("a")).unwrap().unwrap();
    assert_eq!(existing.len, 7);
    let hash = existing.hash(|_| ()).unwrap();
    assert_eq!(hash, blake3::hash(b"content"));
    place.target.create_dir(&path("d")).unwrap();
    assert!(place.target.existing(&path("d")).unwrap().is_none());
}

#[test]
fn a_directory_gets_its_time_back() {
    let place = Place::new();
    let partial = place.arrived("t/d/a", b"");
    partial.finish(Conflict::Rename).unwrap();
    for (dir, time) in [("t/d", (1_000_000_000, 7_000)), ("t", (-5, 0))] {
        place.target.set_dir_modified(&path(dir), time).unwrap();
        let found = fs::metadata(place.out().join(dir)).unwrap();
        assert_eq!(time::from_system(found.modified().unwrap()), Some(time));
    }
    place
        .target
        .set_dir_modified(&path("t"), (i64::MAX, u32::MAX))
        .unwrap();
}

#[test]
fn many_and_deep_directories_hold_few_handles() {
    let place = Place::new();
    for i in 0..300 {
        let name = format!("t/{}{i}", "d/".repeat(40));
        place.target.create_dir(&path(&name)).unwrap();
    }
    let partials: Vec<Partial> = (0..50)
        .map(|i| place.arrived(&format!("u{i}/{}f", "d/".repeat(40)), b"1"))
        .collect();
    #[cfg(target_os = "linux")]
    {
        let open = fs::read_dir("/proc/self/fd").unwrap().count();
        assert!(open < 500, "{open} open files");
    }
    for stored in crate::storage::store_all(partials, Conflict::Rename) {
        stored.unwrap();
    }
}
