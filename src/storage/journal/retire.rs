//! A journal goes once its job is complete and everybody was told of everything.

use std::{fs::File, io, path::Path};

use fs4::FileExt;

use super::{
    News,
    line::{Line, each_line},
    marks::{Telling, is_marked, marks_of, open_marks},
};
use crate::storage::os;

/// Whether event and program are still to come of a line.
pub(super) fn open_tellings(news: &News, marks: Option<&File>, at: u64) -> [bool; 2] {
    [
        (Telling::Event, true),
        (Telling::Program, news.runs_program && !news.already_there),
    ]
    .map(|(telling, wanted)| {
        wanted && !marks.is_some_and(|marks| is_marked(marks, at + telling as u64))
    })
}

/// Removes the journal of a complete job of which everything is told, unless somebody uses it again.
pub(super) fn retire(path: &Path) {
    let retiring = || {
        let file = os::open_by_path(path, false)?;
        if FileExt::try_lock(&file).is_err() {
            return Ok(());
        }
        let marks = open_marks(path);
        let (mut is_finished, mut is_open) = (false, false);
        each_line(&file, |at, line| {
            is_finished = matches!(line, Line::Finished(_));
            if let Line::Done(line) = line
                && let Some(news) = &line.news
            {
                is_open |= open_tellings(news, marks.as_ref(), at).contains(&true);
            }
        })?;
        match is_finished && !is_open {
            true => remove(path),
            false => Ok(()),
        }
    };
    if let Err(error) = retiring() {
        tracing::debug!(%error, "the journal was not removed");
    }
}

/// Removes a journal and its marks.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    // The journal first: marks without one say nothing.
    std::fs::remove_file(path)?;
    match std::fs::remove_file(marks_of(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
