use std::fs;

use super::*;
use crate::storage::{
    Outcome,
    testing::{Place, incoming, names},
};

#[test]
fn what_an_interrupted_attempt_left_is_resumed() {
    let place = Place::new();
    let file = incoming("d/a.bin", 6);
    let mut first = place.target.begin(&file).unwrap();
    first.write_all(b"abc").unwrap();
    drop(first);
    assert!(!place.out().join("d/a.bin").exists());

    let mut second = place.target.begin(&file).unwrap();
    assert_eq!(second.len(), 3);
    let prefix = second.hash_prefix(2, |_| ()).unwrap().finalize();
    assert_eq!(prefix, blake3::hash(b"ab"));
    second.truncate(2).unwrap();
    second.write_all(b"cdef").unwrap();
    let stored = second.finish(Conflict::Rename).unwrap();
    assert_eq!(stored.outcome, Outcome::Created);
    assert_eq!(fs::read(place.out().join("d/a.bin")).unwrap(), b"abcdef");
    assert_eq!(names(&place.out().join("d")), ["a.bin"]);
}

#[test]
fn another_file_does_not_resume_it() {
    let place = Place::new();
    place.arrived("a", b"abc");
    for other in [incoming("b", 3), incoming("a", 4)] {
        assert!(place.target.begin(&other).unwrap().is_empty());
    }
    assert_eq!(place.target.begin(&incoming("a", 3)).unwrap().len(), 3);
}

#[test]
fn a_partial_that_is_in_use_is_not_shared() {
    let place = Place::new();
    let file = incoming("a", 3);
    let mut first = place.target.begin(&file).unwrap();
    first.write_all(b"abc").unwrap();
    let mut second = place.target.begin(&file).unwrap();
    assert!(first.is_resumable() && !second.is_resumable());
    assert!(second.is_empty());
    second.write_all(b"ABC").unwrap();
    drop(second);
    assert_eq!(names(place.out()).len(), 1, "nobody could resume it");
    first.finish(Conflict::Rename).unwrap();
    assert_eq!(fs::read(place.out().join("a")).unwrap(), b"abc");
}

#[test]
fn an_empty_partial_leaves_nothing_behind() {
    let place = Place::new();
    drop(place.target.begin(&incoming("a", 3)).unwrap());
    assert_eq!(names(place.out()), [""; 0]);
    place.arrived("a", b"abc").discard().unwrap();
    assert_eq!(names(place.out()), [""; 0]);
}

#[test]
fn of_a_pipe_that_was_cut_off_nothing_stays() {
    let place = Place::new();
    let mut pipe = incoming("a", 0);
    pipe.size = None;
    let mut partial = place.target.begin(&pipe).unwrap();
    partial.write_all(b"abc").unwrap();
    assert!(!partial.is_resumable());
    drop(partial);
    assert_eq!(names(place.out()), [""; 0]);
}

#[test]
fn neither_more_nor_fewer_bytes_than_announced_are_stored() {
    let place = Place::new();
    let mut partial = place.target.begin(&incoming("a", 3)).unwrap();
    partial.write_all(b"ab").unwrap();
    let error = partial.write_all(b"cd").unwrap_err();
    assert!(matches!(
        error,
        StorageError::Size {
            expected: 3,
            got: 4,
            ..
        }
    ));
    let error = partial.finish(Conflict::Rename).unwrap_err();
    assert!(matches!(
        error,
        StorageError::Size {
            expected: 3,
            got: 2,
            ..
        }
    ));
    assert!(!place.out().join("a").exists());
    assert_eq!(place.target.begin(&incoming("a", 3)).unwrap().len(), 2);
}

#[test]
fn a_finished_file_is_never_taken_for_a_partial() {
    let place = Place::new();
    let file = incoming("a", 64);
    // Each its own: what is there already is not stored again.
    let content = |writer: u8, turn: u8| [writer, turn].repeat(32);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (place, file) = (&place, &file);
            scope.spawn(move || {
                for turn in 0..100 {
                    let mut partial = place.target.begin(file).unwrap();
                    partial.truncate(0).unwrap();
                    for byte in content(writer, turn) {
                        partial.write_all(&[byte]).unwrap();
                    }
                    let conflict = Conflict::Rename;
                    super::conflict::place(
                        &partial.directory,
                        &partial.name,
                        &partial.local,
                        conflict,
                    )
                    .unwrap();
                    partial.settled = true;
                }
            });
        }
    });
    let names = names(place.out());
    assert_eq!(names.len(), 400);
    for name in names {
        let stored = fs::read(place.out().join(&name)).unwrap();
        assert_eq!(stored, content(stored[0], stored[1]), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn mode_and_time_are_kept_and_nothing_more() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::umask(umask);
    for (name, executable, mode) in [("x", true, 0o755), ("r", false, 0o644)] {
        let mut file = incoming(name, 0);
        file.executable = executable;
        file.modified = Some((1_000_000_000, 5_000));
        let partial = place.target.begin(&file).unwrap();
        partial.finish(Conflict::Rename).unwrap();
        let found = fs::metadata(place.out().join(name)).unwrap();
        let expected = mode & !umask.as_raw_mode();
        assert_eq!(found.permissions().mode() & 0o7777, expected);
        let modified = time::from_system(found.modified().unwrap());
        assert_eq!(modified, file.modified);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn holes_stay_holes_and_nothing_else_becomes_one() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let mut content = vec![0; 3 << 20];
    content[1_000_000] = 7;
    for sparse in [true, false] {
        let mut file = incoming("a", content.len() + 1);
        file.sparse = sparse;
        let mut partial = place.target.begin(&file).unwrap();
        for piece in content.chunks(100_000) {
            partial.write_all(piece).unwrap();
        }
        // A part that ends in a hole is as long as it says.
        drop(partial);
        let mut partial = place.target.begin(&file).unwrap();
        assert_eq!(partial.len(), content.len() as u64);
        partial.write_all(&[0]).unwrap();
        let stored = partial.finish(Conflict::Overwrite).unwrap();
        let path = place.out().join(stored.path.as_str());
        let found = fs::read(&path).unwrap();
        assert!(found[..content.len()] == content && found.len() == content.len() + 1);
        let room = fs::metadata(&path).unwrap().blocks() * 512;
        assert_eq!(room < 200_000, sparse, "{room} bytes");
        fs::remove_file(&path).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_mode_takes_away_and_never_adds() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::umask(umask);
    for (kept, mode) in [
        (0o600, 0o600),
        (0o640, 0o640),
        (0o444, 0o444),
        (0o777, 0o755),
        (0o666, 0o644),
        (0o700, 0o700),
        (0o7755, 0o755),
        (0o000, 0o400),
    ] {
        let mut file = incoming(&format!("{kept:o}"), 0);
        file.executable = kept & 0o111 != 0;
        file.mode = Some(kept);
        let partial = place.target.begin(&file).unwrap();
        let stored = partial.finish(Conflict::Rename).unwrap();
        let found = fs::metadata(place.out().join(stored.path.as_str())).unwrap();
        let expected = mode & !umask.as_raw_mode();
        assert_eq!(found.permissions().mode() & 0o7777, expected, "{kept:o}");
    }
}

#[test]
fn a_time_that_no_file_can_have_is_no_reason_to_lose_it() {
    let place = Place::new();
    for (i, time) in [
        (i64::MAX, 0),
        (i64::MIN, 999_999_999),
        (0, u32::MAX),
        (1 << 40, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let mut file = incoming(&format!("f{i}"), 0);
        file.modified = Some(time);
        let partial = place.target.begin(&file).unwrap();
        partial.finish(Conflict::Rename).unwrap();
    }
}
