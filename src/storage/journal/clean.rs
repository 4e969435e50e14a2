//! What was interrupted and never resumed is removed.

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use fs4::FileExt;

use super::{
    EXTENSION, Journal, StorageError,
    line::{Line, each_line},
    retire::remove,
};
use crate::storage::{Target, os};

/// What [`Journal::clean`] has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleaned {
    /// Journals.
    pub journals: u64,
    /// Partial files.
    pub partials: u64,
}

impl Journal {
    /// Removes the journals that nobody has written to for `older_than` (usually
    /// [`PARTIAL_MAX_AGE`](super::PARTIAL_MAX_AGE)), and the partial files that they name, if these are as old.
    ///
    /// Partial files are found by the names that this program gives and nothing else, without
    /// following links, so what a journal says cannot make anything else disappear. A journal stays
    /// as long as a file that it names does.
    ///
    /// # Errors
    /// [`StorageError::Io`] if the directory cannot be read. What cannot be removed is left.
    pub fn clean(directory: &Path, older_than: Duration) -> Result<Cleaned, StorageError> {
        let mut cleaned = Cleaned::default();
        let Some(before) = SystemTime::now().checked_sub(older_than) else {
            return Ok(cleaned);
        };
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(cleaned),
            Err(error) => return Err(StorageError::io("read the journal", directory)(error)),
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|e| e == EXTENSION) {
                // One that cannot be cleaned is no reason not to clean the others.
                let _ = clean_one(&path, before, &mut cleaned);
            }
        }
        Ok(cleaned)
    }
}

fn clean_one(path: &Path, before: SystemTime, cleaned: &mut Cleaned) -> io::Result<()> {
    let file = os::open_by_path(path, false)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.modified()? > before || FileExt::try_lock(&file).is_err() {
        return Ok(());
    }
    let mut target: Option<Target> = None;
    let mut left = false;
    each_line(&file, |_, line| {
        let Line::Partial(partial) = line else { return };
        let out = Path::new(&partial.out);
        if target.as_ref().is_none_or(|target| target.path() != out) {
            target = Target::open_existing(out).ok();
        }
        let removed = target
            .as_ref()
            .map(|target| target.remove_abandoned(&partial.path, before));
        match removed {
            Some(Ok(Some(true))) => cleaned.partials += 1,
            Some(Ok(Some(false))) => left = true,
            _ => {}
        }
    })?;
    if !left {
        remove(path)?;
        cleaned.journals += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, OpenOptions},
        path::PathBuf,
    };

    use super::*;
    use crate::storage::{
        Conflict, PARTIAL_MAX_AGE, Partial,
        journal::tests::{open, written},
        testing::{Place, incoming},
    };

    fn make_old(path: &Path) {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let old = SystemTime::now() - PARTIAL_MAX_AGE - Duration::from_secs(1);
        file.set_modified(old).unwrap();
    }

    #[test]
    fn what_is_old_is_removed_and_what_is_young_or_in_use_is_not() {
        let place = Place::new();
        let journals = place.temp.path().join("journal");
        let begin = |name: &str| {
            let mut partial = place.target.begin(&incoming(name, 9)).unwrap();
            partial.write_all(b"half").unwrap();
            partial
        };
        let (mut journal, _) = open(&journals);
        let names = ["d/old", "young", "used", "finished"];
        let mut partials: Vec<Partial> = names.iter().map(|name| begin(name)).collect();
        for partial in &partials {
            journal.partial(&place.target, partial).unwrap();
        }
        let files: Vec<PathBuf> = partials
            .iter()
            .map(|partial| place.out().join(partial.partial_path()))
            .collect();
        let mut finished = partials.pop().unwrap();
        finished.write_all(b"whole").unwrap();
        finished.finish(Conflict::Rename).unwrap();
        let used = partials.pop();
        drop(partials);
        make_old(&files[0]);
        make_old(&files[2]);
        let clean = || Journal::clean(&journals, PARTIAL_MAX_AGE).unwrap();

        make_old(&journal.path);
        assert_eq!(clean(), Cleaned::default(), "the journal is in use");
        let log = journal.path.clone();
        drop(journal);

        let one = Cleaned {
            journals: 0,
            partials: 1,
        };
        assert_eq!(clean(), one);
        let there: Vec<bool> = files.iter().map(|file| file.exists()).collect();
        assert_eq!(there, [false, true, true, false]);

        drop(used);
        make_old(&files[1]);
        let rest = Cleaned {
            journals: 1,
            partials: 2,
        };
        assert_eq!(clean(), rest);
        assert!(!log.exists());
        assert!(place.out().join("finished").exists());
    }

    #[cfg(unix)]
    #[test]
    fn cleaning_removes_nothing_but_partial_files() {
        let place = Place::new();
        let journals = place.temp.path().join("journal");
        let log = written(&journals, &["a"]);
        let name = ".p2p-00112233445566778899aabbccddeeff.part";
        let precious = [place.outside().join("precious"), place.outside().join(name)];
        for file in &precious {
            fs::write(file, "x").unwrap();
            make_old(file);
        }
        let link = place.out().join("link");
        std::os::unix::fs::symlink(place.outside(), &link).unwrap();
        std::os::unix::fs::symlink(&precious[0], place.out().join(name)).unwrap();
        fs::create_dir(place.out().join("dir")).unwrap();
        fs::create_dir(place.out().join("dir").join(name)).unwrap();
        let out = place.out().to_str().unwrap();
        let mut lines = String::new();
        for path in [
            "../outside/precious",
            &format!("../outside/{name}"),
            &format!("link/{name}"),
            &format!("dir/{name}"),
            &format!("none/{name}"),
            &format!("/{name}"),
            name,
            "",
        ] {
            lines += &format!("{{\"partial\":{{\"out\":{out:?},\"path\":{path:?}}}}}\n");
        }
        fs::write(&log, lines).unwrap();
        make_old(&log);
        let cleaned = Journal::clean(&journals, PARTIAL_MAX_AGE).unwrap();
        assert_eq!(cleaned.partials, 0);
        assert!(precious.iter().all(|file| file.exists()));
        assert!(place.out().join(name).symlink_metadata().is_ok());
        assert!(place.out().join("dir").join(name).is_dir());
    }
}
