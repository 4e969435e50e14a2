//! What is sent, in a form that can be sent again.

use std::time::{Duration, Instant};

use super::{job::Job, producer::Walk, request::SourceSpec};
use crate::{
    protocol::SafeText,
    sealing::{Manifest, ManifestEntry},
    storage::{EntryKind, Filter, HardLinks, Linked, Source},
    transfer::{Error, ErrorKind},
};

/// Entries, and time, that counting what is to be sent may take before sending begins.
const COUNT_LIMIT: (u64, Duration) = (200_000, Duration::from_millis(500));

/// What is sent, in a form that can be sent again.
pub(super) struct Payload {
    kind: PayloadKind,
    pub(super) job: Job,
    pub(super) text: bool,
    /// What there is for recipients who take each name for a file.
    all: Extent,
    /// The same for those who know hard links, where there are any.
    once: Option<Extent>,
}

/// How much there is, as far as it was counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Extent {
    pub(super) files: Option<u64>,
    pub(super) bytes: Option<u64>,
    /// The room that they take on a disk, where that is less.
    room: Option<u64>,
    names: Vec<ManifestEntry>,
}

enum PayloadKind {
    Paths(Source),
    Text(bytes::Bytes),
    Pipe(Option<(crate::protocol::FileName, Box<dyn std::io::Read + Send>)>),
}

impl Payload {
    pub(super) async fn prepare(
        source: SourceSpec,
        jobs: std::path::PathBuf,
    ) -> Result<Self, Error> {
        Ok(match source {
            SourceSpec::Paths { roots, filter } => {
                let walking =
                    tokio::task::spawn_blocking(move || Self::of_paths(&roots, filter, &jobs));
                walking
                    .await
                    .map_err(|e| Error::new(ErrorKind::Other, e))??
            }
            SourceSpec::Text(text) => Self {
                all: Extent {
                    files: Some(1),
                    bytes: Some(text.len() as u64),
                    ..Extent::default()
                },
                once: None,
                job: Job::unique(),
                text: true,
                kind: PayloadKind::Text(text.into()),
            },
            SourceSpec::Pipe { name, reader } => Self {
                all: Extent {
                    files: Some(1),
                    names: vec![ManifestEntry {
                        path: SafeText::new(name.as_str()),
                        size: None,
                    }],
                    ..Extent::default()
                },
                once: None,
                job: Job::unique(),
                text: false,
                kind: PayloadKind::Pipe(Some((name, reader))),
            },
        })
    }

    fn of_paths(
        roots: &[std::path::PathBuf],
        filter: Filter,
        jobs: &std::path::Path,
    ) -> Result<Self, Error> {
        let source = Source::new(roots, filter)?;
        // A file that was named and cannot be read is found before anyone is bothered.
        for root in roots.iter().filter(|root| root.is_file()) {
            std::fs::File::open(root).map_err(|error| {
                Error::new(
                    ErrorKind::LocalFile,
                    format!("cannot read {}: {error}", root.display()),
                )
            })?;
        }
        let all = Extent::of(&source, false);
        Ok(Self {
            once: all.1.then(|| Extent::of(&source, true).0),
            all: all.0,
            job: Job::of(roots, jobs),
            text: false,
            kind: PayloadKind::Paths(source),
        })
    }

    /// How much there is for recipients who take hard links as such, or for others.
    pub(super) fn extent(&self, link: bool) -> &Extent {
        self.once.as_ref().filter(|_| link).unwrap_or(&self.all)
    }

    pub(super) fn manifest(&self, link: bool) -> Manifest {
        let Extent {
            files,
            bytes,
            room,
            names,
        } = self.extent(link).clone();
        Manifest {
            job: self.job.id,
            files,
            bytes,
            room,
            names,
            text: self.text,
            renames: true,
        }
    }

    /// What one attempt sends; a pipe can be read once.
    pub(super) fn take(&mut self) -> Option<Walk> {
        match &mut self.kind {
            PayloadKind::Paths(source) => Some(Walk::Paths(source.clone())),
            PayloadKind::Text(text) => Some(Walk::Text(text.clone())),
            PayloadKind::Pipe(pipe) => pipe.take().map(|(name, reader)| Walk::Pipe(name, reader)),
        }
    }

    pub(super) fn can_be_sent_again(&self) -> bool {
        !matches!(self.kind, PayloadKind::Pipe(None))
    }
}

impl Extent {
    /// Counts, with each file once or under each of its names; whether there are files with several.
    fn of(source: &Source, once: bool) -> (Self, bool) {
        let totals = source.totals(COUNT_LIMIT.0, Instant::now() + COUNT_LIMIT.1, once);
        let mut links = HardLinks::default();
        let names = source
            .walk()
            .filter_map(Result::ok)
            .filter(|entry| !(matches!(links.note(entry), Linked::To(_)) && once))
            .filter_map(|entry| match entry.kind {
                EntryKind::File { size } => Some(ManifestEntry {
                    path: SafeText::new(entry.path.as_str()),
                    size: Some(size),
                }),
                _ => None,
            });
        let extent = Self {
            names: names.take(Manifest::NAMES_MAX).collect(),
            files: totals.complete.then_some(totals.files),
            bytes: totals.complete.then_some(totals.bytes),
            room: (totals.complete && totals.room < totals.bytes).then_some(totals.room),
        };
        (extent, totals.has_links)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_is_one_only_to_those_who_know_hard_links() {
        let temp = tempfile::tempdir().unwrap();
        let tree = temp.path().join("t");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("a"), "content").unwrap();
        std::fs::hard_link(tree.join("a"), tree.join("b")).unwrap();
        let jobs = temp.path().join("jobs");
        let payload = Payload::of_paths(&[tree], Filter::default(), &jobs).unwrap();
        let shown = |link| {
            let manifest = payload.manifest(link);
            (manifest.files, manifest.bytes, manifest.names.len())
        };
        assert_eq!(shown(true), (Some(1), Some(7), 1));
        assert_eq!(shown(false), (Some(2), Some(14), 2));
    }
}
