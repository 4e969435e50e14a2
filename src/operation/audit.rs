//! A file of audit records, on its way to the disk by a thread of its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing::warn;
use tracing_subscriber::fmt::MakeWriter;

/// Records that wait while the disk is slow: those of a broadcast to all that one may have. Some hundred
/// bytes each.
const RECORDS_MAX: usize = 16_384;
/// How long the end of the process waits for records that are on their way.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// Appends records to a file, and never blocks whoever makes one.
///
/// Where the disk is too slow, records are dropped, counted, and the log says how many.
#[derive(Debug, Clone)]
pub struct AuditFile {
    records: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    Record(Vec<u8>),
    /// The file was moved away: make it anew.
    Reopen,
    /// Everything before this was written: say so.
    Flush(SyncSender<()>),
}

/// A record that is being made.
#[derive(Debug)]
pub struct Record<'a> {
    file: &'a AuditFile,
    text: Vec<u8>,
}

impl AuditFile {
    /// Opens it, or makes it (mode 0600), and starts the thread.
    ///
    /// # Errors
    /// When it cannot be opened, or there can be no further thread.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = append(path)?;
        let (records, waiting) = sync_channel(RECORDS_MAX);
        let lost = Arc::<AtomicU64>::default();
        let (path, count) = (path.to_owned(), lost.clone());
        thread::Builder::new()
            .name("audit".into())
            .spawn(move || write(&waiting, &count, (file, path)))?;
        Ok(Self { records, lost })
    }

    /// Makes the file anew, after somebody has moved it away.
    pub fn reopen(&self) {
        let _ = self.records.send(Item::Reopen);
    }

    /// Waits, but not for long, until the records so far are written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.records.send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_LIMIT);
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write(waiting: &Receiver<Item>, lost: &AtomicU64, (file, path): (File, PathBuf)) {
    let mut file = BufWriter::new(file);
    let failed = |error: io::Error| warn!(%error, "{}: an audit record is lost", path.display());
    while let Ok(first) = waiting.recv() {
        let mut next = Ok(first);
        // All that is there goes with one write.
        while let Ok(item) = next {
            match item {
                Item::Record(record) => {
                    let _ = file.write_all(&record).map_err(failed);
                }
                Item::Reopen => {
                    let _ = file.flush().map_err(failed);
                    match append(&path) {
                        Ok(new) => file = BufWriter::new(new),
                        Err(error) => warn!(%error, "{}: cannot be made anew", path.display()),
                    }
                }
                Item::Flush(done) => {
                    let _ = file.flush().map_err(failed);
                    let _ = done.send(());
                }
            }
            next = waiting.try_recv();
            if matches!(next, Err(TryRecvError::Empty)) {
                let _ = file.flush().map_err(failed);
            }
        }
        let lost = lost.swap(0, Relaxed);
        if lost > 0 {
            warn!(lost, "{}: audit records are lost", path.display());
        }
    }
}

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = Record<'a>;

    fn make_writer(&'a self) -> Record<'a> {
        Record {
            file: self,
            text: Vec::new(),
        }
    }
}

impl Write for Record<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let record = Item::Record(std::mem::take(&mut self.text));
        if self.file.records.try_send(record).is_err() {
            self.file.lost.fetch_add(1, Relaxed);
        }
    }
}
