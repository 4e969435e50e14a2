//! Chooses files to send, or a folder to receive into.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crossterm::event::KeyEvent;

use crate::protocol::{PeerId, PeerName};

/// To whom something is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Everyone in the room who listens.
    Everyone,
    /// These.
    Peers(Vec<(PeerId, PeerName)>),
}

/// What a choice is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Files to send to these.
    Send(Audience),
    /// Where to put what arrives.
    Folder,
}

/// A file or folder that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Files come after folders.
    pub is_file: bool,
    /// Its name, as far as it is text: escape it before it is printed.
    pub name: String,
    /// Its name, as the disk has it.
    pub on_disk: OsString,
    /// A file's length.
    pub bytes: u64,
}

impl Entry {
    /// A file or folder of this name.
    #[must_use]
    pub fn new(on_disk: OsString, is_file: bool, bytes: u64) -> Self {
        let name = on_disk.to_string_lossy().into_owned();
        Self {
            is_file,
            name,
            on_disk,
            bytes,
        }
    }
}

/// A folder's content, what is typed to narrow it, and what is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picker {
    /// What the choice is for.
    pub purpose: Purpose,
    /// The folder that is shown.
    pub folder: PathBuf,
    /// What was typed.
    pub filter: String,
    /// The row, among those that match.
    pub cursor: usize,
    /// What is chosen already, in any folder.
    pub marked: BTreeSet<PathBuf>,
    /// Why the folder cannot be shown.
    pub problem: Option<String>,
    /// Whether the folder is still being read.
    pub reading: bool,
    /// Keys that were pressed meanwhile; they are meant for what will be listed.
    pub typed: Vec<KeyEvent>,
    /// Whether `~` was pressed last, so that a slash after it means nothing more.
    pub went_home: bool,
    entries: Vec<Entry>,
}

impl Picker {
    /// A choice that begins in this folder.
    #[must_use]
    pub fn new(purpose: Purpose, folder: PathBuf) -> Self {
        Self {
            purpose,
            folder,
            filter: String::new(),
            cursor: 0,
            marked: BTreeSet::new(),
            problem: None,
            reading: true,
            typed: Vec::new(),
            went_home: false,
            entries: Vec::new(),
        }
    }

    /// Takes a folder's content, unless another is shown by now.
    pub fn listed(&mut self, folder: &Path, listed: Result<Vec<Entry>, String>) {
        if folder != self.folder {
            return;
        }
        self.reading = false;
        match listed {
            Ok(mut entries) => {
                if self.purpose == Purpose::Folder {
                    entries.retain(|entry| !entry.is_file);
                }
                entries.sort();
                self.entries = entries;
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// Entries that match what was typed, the better the earlier: those of exactly this name, those
    /// that begin with it, those that hold it. Hidden ones only when a dot is typed.
    #[must_use]
    pub fn matching(&self) -> Vec<&Entry> {
        let wanted = self.filter.to_lowercase();
        let is_shown = |entry: &&Entry| !entry.name.starts_with('.') || wanted.starts_with('.');
        let distance = |entry: &Entry| {
            let name = entry.name.to_lowercase();
            match name.find(&wanted)? {
                0 if entry.name == self.filter => Some(0),
                0 if name == wanted => Some(1),
                0 => Some(2),
                _ => Some(3),
            }
        };
        let shown = self.entries.iter().filter(is_shown);
        let mut matching: Vec<_> = shown.filter_map(|it| Some((distance(it)?, it))).collect();
        matching.sort_by_key(|(distance, _)| *distance);
        matching.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The path under the cursor.
    #[must_use]
    pub fn current(&self) -> Option<PathBuf> {
        let entry = self.matching().get(self.cursor).copied()?;
        Some(self.folder.join(&entry.on_disk))
    }

    /// Shows another folder; its content is asked for by the caller.
    pub fn go(&mut self, folder: PathBuf) {
        self.folder = folder;
        self.filter.clear();
        self.cursor = 0;
        self.problem = None;
        self.reading = true;
        self.entries.clear();
    }

    /// Shows where a path leads that was pasted: the folder that it is in, narrowed to its name.
    pub fn follow(&mut self, path: &Path) {
        let path = self.folder.join(path);
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if !is_folder => {
                self.go(parent.to_owned());
                self.filter = name.to_string_lossy().into_owned();
            }
            _ => self.go(path),
        }
    }

    /// Goes into the folder under the cursor, if it is one.
    pub fn descend(&mut self) -> bool {
        let Some(entry) = self.matching().get(self.cursor).copied().cloned() else {
            return false;
        };
        if !entry.is_file {
            self.go(self.folder.join(entry.on_disk));
        }
        !entry.is_file
    }

    /// Whether Enter opens what is under the cursor: a folder is sent only if it is marked.
    #[must_use]
    pub fn opens(&self) -> bool {
        let is_folder = |entry: &&Entry| !entry.is_file;
        let entry = self.matching().get(self.cursor).copied();
        self.purpose != Purpose::Folder
            && self.marked.is_empty()
            && entry.as_ref().is_some_and(is_folder)
    }

    /// Goes to the folder above, if there is one.
    pub fn ascend(&mut self) -> bool {
        let Some(parent) = self.folder.parent().map(Path::to_owned) else {
            return false;
        };
        self.go(parent);
        true
    }

    /// Narrows by one more character.
    pub fn push(&mut self, c: char) {
        self.filter.push(c);
        self.cursor = 0;
    }

    /// Completes what was typed as far as all names that begin with it agree; says whether a
    /// folder was entered because only that one is left.
    pub fn complete(&mut self) -> bool {
        let matching = self.matching();
        if matching.len() == 1 {
            let only = matching[0].clone();
            self.cursor = 0;
            if only.is_file {
                self.filter = only.name;
                return false;
            }
            return self.descend();
        }
        let wanted = self.filter.to_lowercase();
        let mut names = matching
            .iter()
            .map(|entry| entry.name.as_str())
            .filter(|name| name.to_lowercase().starts_with(&wanted));
        if let Some(first) = names.next() {
            let common = names.fold(first, |common, name| {
                let same = common.chars().zip(name.chars()).take_while(|(a, b)| a == b);
                &common[..same.map(|(a, _)| a.len_utf8()).sum()]
            });
            if common.len() > self.filter.len() {
                self.filter = common.to_owned();
                self.cursor = 0;
            }
        }
        false
    }

    /// Marks what is under the cursor, or takes the mark away.
    pub fn mark(&mut self) {
        if let Some(path) = self.current()
            && !self.marked.remove(&path)
        {
            self.marked.insert(path);
        }
    }

    /// What was chosen: what is marked, or what is under the cursor.
    #[must_use]
    pub fn chosen(&self) -> Vec<PathBuf> {
        if self.marked.is_empty() {
            return self.current().into_iter().collect();
        }
        self.marked.iter().cloned().collect()
    }

    /// The folder that was chosen: the one shown, or a new one in it.
    #[must_use]
    pub fn chosen_folder(&self) -> PathBuf {
        if self.filter.is_empty() {
            return self.folder.clone();
        }
        self.current()
            .unwrap_or_else(|| self.folder.join(&self.filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picker(names: &[(&str, bool)]) -> Picker {
        let mut picker = Picker::new(Purpose::Send(Audience::Everyone), "/a".into());
        let entry = |(name, is_file): &(&str, bool)| Entry::new((*name).into(), *is_file, 0);
        picker.listed(Path::new("/a"), Ok(names.iter().map(entry).collect()));
        picker
    }

    #[test]
    fn completion_goes_as_far_as_the_names_agree_and_then_into_the_only_folder() {
        let mut picker = picker(&[
            ("report-a.csv", true),
            ("report-b.csv", true),
            ("photos", false),
        ]);
        picker.push('r');
        assert!(!picker.complete());
        assert_eq!(picker.filter, "report-");
        picker.filter = "ph".to_owned();
        assert!(picker.complete());
        assert_eq!(picker.folder, Path::new("/a/photos"));
    }

    #[test]
    fn marks_outlive_the_filter_and_hidden_files_need_a_dot() {
        let mut picker = picker(&[("one", true), ("two", true), (".secret", true)]);
        assert_eq!(picker.matching().len(), 2);
        picker.push('T');
        picker.mark();
        picker.filter = ".".to_owned();
        assert_eq!(picker.matching()[0].name, ".secret");
        picker.filter.clear();
        assert_eq!(picker.chosen(), [PathBuf::from("/a/two")]);
    }

    #[test]
    fn what_is_called_exactly_so_comes_before_what_only_holds_it() {
        let mut picker = picker(&[("asrc", false), ("src-old", false), ("src", false)]);
        let found = |picker: &Picker| picker.current().unwrap();
        assert_eq!(found(&picker), Path::new("/a/asrc"));
        picker.push('s');
        assert_eq!(found(&picker), Path::new("/a/src"));
        picker.filter = "SRC".to_owned();
        assert_eq!(found(&picker), Path::new("/a/src"));
        assert_eq!(picker.matching()[1].name, "src-old");
    }

    #[test]
    fn a_pasted_path_is_followed_from_wherever_it_begins() {
        for (path, folder, filter) in [
            ("/var/log/sys log", "/var/log", "sys log"),
            ("/var/log/", "/var/log/", ""),
            ("/", "/", ""),
            ("b/c.txt", "/a/b", "c.txt"),
        ] {
            let mut picker = picker(&[("one", true)]);
            picker.follow(Path::new(path));
            assert_eq!(picker.folder, Path::new(folder), "{path}");
            assert_eq!(picker.filter, filter, "{path}");
            assert!(picker.reading);
        }
    }

    #[test]
    fn a_late_answer_about_another_folder_changes_nothing() {
        let mut picker = picker(&[("one", true)]);
        picker.listed(Path::new("/b"), Ok(vec![]));
        assert_eq!(picker.matching().len(), 1);
    }
}
