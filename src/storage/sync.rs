//! Many finished files made durable together.

use std::{io, sync::Arc};

use super::{
    Conflict, Outcome, Partial, StorageError, Stored,
    directory::{AT_ONCE_FROM, Tree},
    os,
};

/// How many files to store at once: more gain nothing, and each is an open file.
#[must_use]
pub fn batch_size() -> usize {
    os::handles(BATCH)
}

const BATCH: usize = 256;

/// Makes complete files durable and gives them their final names; one result for each, in order.
///
/// Three steps, each for the whole batch before the next: data synced, names given, directories
/// synced. From 8 files on, the first and the last step are one call where the system has one
/// (`syncfs` on Linux), so 10,000 small files do not cost 10,000 waits. Success says that file and
/// name survive a loss of power.
///
/// Each file of the batch is an open file: [`batch_size`] says how many are good.
///
/// # Errors
/// Per file: it is not of the announced size, cannot be synced, or cannot be given a name; it then
/// stays a partial file. If the directories cannot be synced, the files have their names but may
/// lose them with the power: all of the batch below that target count as failed.
#[must_use]
pub fn store_all(batch: Vec<Partial>, conflict: Conflict) -> Vec<Result<Stored, StorageError>> {
    let mut files: Vec<Result<Partial, StorageError>> = batch
        .into_iter()
        .map(|partial| partial.seal().map(|()| partial))
        .collect();
    sync_data(&mut files);

    let mut trees: Vec<Arc<Tree>> = Vec::new();
    let mut in_tree = Vec::with_capacity(files.len());
    let mut results: Vec<_> = files
        .into_iter()
        .map(|file| {
            let mut number = None;
            let result = file.and_then(|partial| {
                let (tree, directory) = (partial.tree().clone(), partial.directory().clone());
                let stored = partial.place_by(conflict)?;
                if stored.outcome != Outcome::Skipped {
                    number = Some(number_of(&mut trees, &tree));
                    tree.changed(&directory)?;
                }
                Ok(stored)
            });
            in_tree.push(number);
            result
        })
        .collect();

    for (number, tree) in trees.iter().enumerate() {
        if let Err(error) = tree.sync() {
            let ours = results.iter_mut().zip(&in_tree);
            for (result, _) in ours.filter(|(r, n)| r.is_ok() && **n == Some(number)) {
                *result = Err(again(&error, tree));
            }
        }
    }
    results
}

impl Partial {
    /// Makes it durable and gives it its final name: [`store_all`](super::store_all) with one file.
    ///
    /// # Errors
    /// As there.
    pub fn finish(self, conflict: Conflict) -> Result<Stored, StorageError> {
        store_all(vec![self], conflict)
            .pop()
            .expect("one result for one file")
    }
}

/// Syncs the data of every file that is still good: one by one if few, else all at once.
fn sync_data(files: &mut [Result<Partial, StorageError>]) {
    let mut good: Vec<&mut Result<Partial, StorageError>> =
        files.iter_mut().filter(|file| file.is_ok()).collect();
    good.sort_by_key(|file| device(file));
    for group in good.chunk_by_mut(|a, b| device(a) == device(b)) {
        if group.len() >= AT_ONCE_FROM && sync_at_once(group) {
            continue;
        }
        // What could not be written is found again here, with the file that it belongs to.
        for file in group {
            if let Err(error) = file.as_mut().map_or(Ok(()), Partial::sync) {
                **file = Err(error);
            }
        }
    }
}

fn sync_at_once(group: &[&mut Result<Partial, StorageError>]) -> bool {
    let first = group.iter().find_map(|file| file.as_ref().ok());
    first.is_some_and(|file| os::sync_file_system(file.directory().handle()).is_ok())
}

fn device(file: &Result<Partial, StorageError>) -> Option<u64> {
    file.as_ref()
        .ok()
        .map(|partial| partial.directory().device())
}

fn number_of(trees: &mut Vec<Arc<Tree>>, tree: &Arc<Tree>) -> usize {
    let known = trees.iter().position(|known| Arc::ptr_eq(known, tree));
    known.unwrap_or_else(|| {
        trees.push(tree.clone());
        trees.len() - 1
    })
}

/// The same error for another file.
fn again(error: &StorageError, tree: &Tree) -> StorageError {
    match error {
        StorageError::Io {
            action,
            path,
            error,
        } => StorageError::Io {
            action,
            path: path.clone(),
            error: match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => error.kind().into(),
            },
        },
        _ => StorageError::io("sync", tree.path())(io::ErrorKind::Other.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use super::*;
    use crate::storage::{
        Target,
        testing::{Place, incoming, names, scale},
    };

    #[test]
    fn twenty_files_of_one_name_at_once_are_twenty_files() {
        let place = Place::new();
        std::thread::scope(|scope| {
            for i in 0..20_u8 {
                let place = &place;
                scope.spawn(move || {
                    let mut file = incoming("report.tar.gz", 1);
                    file.resume_key = [i; 16];
                    let mut partial = place.target.begin(&file).unwrap();
                    partial.write_all(&[i]).unwrap();
                    partial.finish(Conflict::Rename).unwrap()
                });
            }
        });
        let names = place.names();
        assert_eq!(names.len(), 20);
        assert!(
            names.contains(&"report (19).tar.gz".to_owned()),
            "{names:?}"
        );
        let mut contents: Vec<u8> = names
            .iter()
            .map(|name| fs::read(place.out().join(name)).unwrap()[0])
            .collect();
        contents.sort_unstable();
        assert_eq!(contents, (0..20).collect::<Vec<u8>>());
    }

    #[test]
    fn each_policy_does_what_it_says() {
        for (conflict, outcome, names, content) in [
            (
                Conflict::Rename,
                Outcome::Renamed,
                &["a", "a (1)"][..],
                "old",
            ),
            (Conflict::Overwrite, Outcome::Replaced, &["a"], "new"),
            (Conflict::Skip, Outcome::Skipped, &["a"], "old"),
        ] {
            let place = Place::new();
            let first = place.arrived("a", b"old").finish(conflict).unwrap();
            assert_eq!(first.outcome, Outcome::Created);
            let second = place.arrived("a", b"new").finish(conflict).unwrap();
            assert_eq!(second.outcome, outcome);
            assert_eq!(second.path.as_str(), names[names.len() - 1]);
            assert_eq!(place.names(), names);
            assert_eq!(fs::read_to_string(place.out().join("a")).unwrap(), content);
        }
    }

    #[test]
    fn a_file_of_a_batch_that_fails_fails_alone() {
        let place = Place::new();
        let mut batch: Vec<Partial> = (0..20)
            .map(|i| place.arrived(&format!("d{}/f{i}", i % 3), b"content"))
            .collect();
        batch[5].truncate(3).unwrap();
        fs::create_dir(place.out().join("d1/f7")).unwrap();
        let results = store_all(batch, Conflict::Overwrite);
        for (i, result) in results.iter().enumerate() {
            match (i, result) {
                (5, Err(StorageError::Size { got: 3, .. }))
                | (7, Err(StorageError::IsADirectory { .. })) => {}
                (_, Ok(stored)) => {
                    assert_eq!(stored.path.as_str(), format!("d{}/f{i}", i % 3));
                    let content = fs::read(place.out().join(stored.path.as_str()));
                    assert_eq!(content.unwrap(), b"content");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(results.len(), 20);
        let left = names(&place.out().join("d2"));
        assert_eq!(left.iter().filter(|n| n.ends_with(".part")).count(), 1);
    }

    /// The cost of durability, in the directory `P2P_TEST_DIR`; run it with `--ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    fn small_files_are_stored_in_batches() {
        let base = std::env::var_os("P2P_TEST_DIR").unwrap_or_else(|| "/tmp".into());
        let files = 1000 * scale();
        let content = [7; 4096];
        for (layout, per_dir) in [("one directory", usize::MAX), ("100 in each", 100)] {
            for batch in [1, 8, 64, 256] {
                let temp = tempfile::tempdir_in(&base).unwrap();
                let target = Target::open(temp.path()).unwrap();
                let start = Instant::now();
                let mut waiting = Vec::new();
                for i in 0..files {
                    let name = format!("t/{}/f{i}", i / per_dir);
                    let mut partial = target.begin(&incoming(&name, 4096)).unwrap();
                    partial.write_all(&content).unwrap();
                    waiting.push(partial);
                    if waiting.len() == batch {
                        for stored in store_all(std::mem::take(&mut waiting), Conflict::Rename) {
                            stored.unwrap();
                        }
                    }
                }
                for stored in store_all(waiting, Conflict::Rename) {
                    stored.unwrap();
                }
                let took = start.elapsed();
                println!(
                    "{files} x 4 KiB, {layout}, batches of {batch}: {took:.2?}, {:.0}/s",
                    files as f64 / took.as_secs_f64()
                );
            }
        }
    }
}
