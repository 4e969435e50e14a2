//! What is sent, in a form that can be sent again.

use std::time::{Duration, Instant};

use super::{job::Job, producer::Walk, request::SourceSpec};
use crate::{
    protocol::SafeText,
    sealing::{Manifest, ManifestEntry},
    storage::{EntryKind, Filter, Source},
    transfer::{Error, ErrorKind},
};

/// Entries, and time, that counting what is to be sent may take before sending begins.
const COUNT_LIMIT: (u64, Duration) = (200_000, Duration::from_millis(500));

/// What is sent, in a form that can be sent again.
pub(super) struct Payload {
    kind: PayloadKind,
    pub(super) job: Job,
    pub(super) files: Option<u64>,
    pub(super) bytes: Option<u64>,
    /// The room that they take on a disk, where that is less.
    room: Option<u64>,
    names: Vec<ManifestEntry>,
    text: bool,
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
                files: Some(1),
                bytes: Some(text.len() as u64),
                room: None,
                names: vec![],
                job: Job::unique(),
                text: true,
                kind: PayloadKind::Text(text.into()),
            },
            SourceSpec::Pipe { name, reader } => Self {
                files: Some(1),
                bytes: None,
                room: None,
                names: vec![ManifestEntry {
                    path: SafeText::new(name.as_str()),
                    size: None,
                }],
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
        let totals = source.totals(COUNT_LIMIT.0, Instant::now() + COUNT_LIMIT.1);
        let names = source
            .walk()
            .filter_map(Result::ok)
            .filter_map(|entry| match entry.kind {
                EntryKind::File { size } => Some(ManifestEntry {
                    path: SafeText::new(entry.path.as_str()),
                    size: Some(size),
                }),
                _ => None,
            });
        Ok(Self {
            names: names.take(Manifest::NAMES_MAX).collect(),
            files: totals.complete.then_some(totals.files),
            bytes: totals.complete.then_some(totals.bytes),
            room: (totals.complete && totals.room < totals.bytes).then_some(totals.room),
            job: Job::of(roots, jobs),
            text: false,
            kind: PayloadKind::Paths(source),
        })
    }

    pub(super) fn manifest(&self) -> Manifest {
        Manifest {
            job: self.job.id,
            files: self.files,
            bytes: self.bytes,
            room: self.room,
            names: self.names.clone(),
            text: self.text,
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
