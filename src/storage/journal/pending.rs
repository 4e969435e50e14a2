//! Files that are stored and that somebody has not been told of yet, as after a kill.

use std::{io, path::Path};

use super::{
    Done, EXTENSION, News,
    line::{Line, each_line},
    marks::{Telling, open_marks},
    retire::{open_tellings, retire},
    told::{Ticket, Told},
};
use crate::{protocol::RelativePath, storage::os};

/// A file that is stored and that somebody has not been told of yet.
#[derive(Debug)]
pub struct Pending {
    /// What the sender calls it.
    pub path: RelativePath,
    /// Where it is, and what.
    pub done: Done,
    /// What there is to tell.
    pub news: News,
    /// Where the event is not out yet.
    pub event: Option<Ticket>,
    /// Where the program has not run yet.
    pub program: Option<Ticket>,
}

/// Finds files below `out` that were stored and not told of, at most so many, in journals of any job.
///
/// Journals of complete jobs of which everything is told are removed. Blocking; what cannot be read is
/// left out.
#[must_use]
pub fn pending(directory: &Path, out: &str, max: usize) -> Vec<Pending> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else {
        return found;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|e| e == EXTENSION) && found.len() < max {
            let before = found.len();
            match pending_of(&path, out, max, &mut found) {
                Ok(true) if found.len() == before => retire(&path),
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a journal cannot be read"),
            }
        }
    }
    found
}

/// The same of one journal; whether it may be removed if nothing is found.
fn pending_of(path: &Path, out: &str, max: usize, found: &mut Vec<Pending>) -> io::Result<bool> {
    let file = os::open_by_path(path, false)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    // Without marks nothing can be told once.
    let Some(marks) = open_marks(path) else {
        return Ok(false);
    };
    let told = Told::of(path);
    let mut is_finished = false;
    each_line(&file, |at, line| {
        is_finished = matches!(line, Line::Finished(_));
        let Line::Done(line) = line else { return };
        let Some(news) = line.news.as_ref().filter(|news| news.out == out) else {
            return;
        };
        let [event, program] = open_tellings(news, Some(&marks), at);
        let Ok(blake3) = blake3::Hash::from_hex(&line.blake3) else {
            return;
        };
        if found.len() < max && (event || program) {
            found.push(Pending {
                done: Done {
                    stored: line.stored,
                    len: line.len,
                    blake3,
                },
                event: event.then(|| told.ticket(at, Telling::Event)),
                program: program.then(|| told.ticket(at, Telling::Program)),
                news: news.clone(),
                path: line.path,
            });
        }
    })?;
    if is_finished {
        told.finish();
    }
    // A program that was started may not have set its mark yet.
    Ok(is_finished && !told.is_in_use())
}
