//! Which job a send belongs to: the same command names the same job, so that it can be gone on with.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

use fs4::FileExt;
use serde::{Deserialize, Serialize};

use super::Recipient;
use crate::{
    protocol::{PeerId, PeerName},
    sealing::JobId,
};

/// A job that no other living process of this home works on.
///
/// A recipient that hears of a job again drops what it still holds open of it: whoever sent that is
/// gone, even if the network has not noticed yet. So two sends of the same files at the same time
/// must be two jobs, and a lock that ends with its process tells them apart.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    /// Held for as long as the job runs.
    lock: Option<(File, PathBuf)>,
}

impl Job {
    /// A job that nobody can go on with.
    pub(super) fn unique() -> Self {
        Self {
            id: JobId::generate(),
            lock: None,
        }
    }

    /// The job of sending these paths, unless another process is at it.
    pub(super) fn of(roots: &[PathBuf], jobs: &Path) -> Self {
        let id = id_of(roots);
        let path = jobs.join(format!("{id}.lock"));
        let locked = std::fs::create_dir_all(jobs)
            .and_then(|()| {
                OpenOptions::new()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(&path)
            })
            .ok()
            .filter(|file| FileExt::try_lock(file).is_ok());
        match locked {
            Some(file) => Self {
                id,
                lock: Some((file, path)),
            },
            None => Self::unique(),
        }
    }
}

impl Job {
    /// What is noted of this job's recipients; nothing for a job that nobody can go on with.
    ///
    /// Cancel-safe.
    pub(super) async fn record(&self) -> Option<Record> {
        let (_, lock) = self.lock.as_ref()?;
        let path = lock.with_extension("recipients");
        let reading = tokio::task::spawn_blocking(move || Record::read(path));
        reading.await.ok()
    }
}

/// Who is to get a broadcast and has not got it yet, for the next run of the same command.
///
/// Without it, somebody who is away when an interrupted broadcast is run again would be forgotten.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    interrupted: Vec<Interrupted>,
}

/// A recipient that an earlier run has not served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Interrupted {
    pub(super) id: PeerId,
    pub(super) name: PeerName,
}

impl Record {
    /// Whom the last run has not served, where it was not long ago.
    pub(super) fn interrupted(&self) -> Vec<Interrupted> {
        self.interrupted.clone()
    }

    /// Notes who is to get it.
    pub(super) async fn begin(&mut self, recipients: &[Recipient]) {
        self.write(recipients.iter().filter(|recipient| recipient.is_pending()))
            .await;
    }

    /// Notes who has not got it; forgets the job where that is nobody.
    pub(super) async fn end(self, recipients: &[Recipient]) {
        let missing = |recipient: &&Recipient| recipient.failure().is_some();
        self.write(recipients.iter().filter(missing)).await;
    }

    fn read(path: PathBuf) -> Self {
        let fresh = std::fs::metadata(&path)
            .and_then(|found| found.modified())
            .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < RECORD_KEPT));
        let read = || serde_json::from_slice(&std::fs::read(&path).ok()?).ok();
        let interrupted = fresh.then(read).flatten().unwrap_or_default();
        Self { path, interrupted }
    }

    /// A note that is lost costs a line in the next run's report: nothing fails for it.
    async fn write(&self, recipients: impl Iterator<Item = &Recipient>) {
        let missing: Vec<_> = recipients
            .map(|recipient| Interrupted {
                id: recipient.id,
                name: recipient.name.clone(),
            })
            .collect();
        let path = self.path.clone();
        let writing = tokio::task::spawn_blocking(move || match missing.as_slice() {
            [] => std::fs::remove_file(&path),
            missing => std::fs::write(&path, serde_json::to_vec(missing)?),
        });
        if let Ok(Err(error)) = writing.await {
            tracing::debug!(%error, "the recipients were not noted");
        }
    }
}

/// For how long a broadcast counts as interrupted.
const RECORD_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl Drop for Job {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.lock {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Not a secret: it is only ever told to recipients, who know the sender and the names anyway.
fn id_of(roots: &[PathBuf]) -> JobId {
    let mut hasher = blake3::Hasher::new_derive_key("p2p 2026-11 job");
    for root in roots {
        let path = std::path::absolute(root).unwrap_or_else(|_| root.clone());
        let bytes = path.as_os_str().as_encoded_bytes();
        hasher
            .update(&(bytes.len() as u64).to_be_bytes())
            .update(bytes);
    }
    let mut job = [0; 16];
    hasher.finalize_xof().fill(&mut job);
    JobId(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_is_the_same_job_and_two_at_once_are_not() {
        let jobs = tempfile::tempdir().unwrap();
        let roots = [PathBuf::from("a"), PathBuf::from("b")];
        let first = Job::of(&roots, jobs.path());
        let at_once = Job::of(&roots, jobs.path());
        assert_ne!(first.id, at_once.id);
        let id = first.id;
        drop(first);
        assert_eq!(Job::of(&roots, jobs.path()).id, id);
        assert_ne!(Job::of(&roots[..1], jobs.path()).id, id);
    }
}
