//! The log, on its way to standard error by a thread of its own.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

use super::{Stage, stage::escaped};

/// Lines that wait while nobody reads standard error. Some hundred bytes each.
const LINES_MAX: usize = 4096;
/// A longer line is cut, in bytes.
const LINE_MAX: usize = 8 << 10;
/// How long the end of the process waits for lines that are on their way.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// Takes log lines and never blocks: who logs may be the one thread that everybody waits for.
///
/// Where standard error takes nothing for long, lines are dropped and counted.
#[derive(Debug, Clone)]
pub struct Log {
    lines: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    Line(String),
    /// Everything before this was written: say so.
    Flush(SyncSender<()>),
}

/// A line that is being made.
#[derive(Debug)]
pub struct Line<'a> {
    log: &'a Log,
    text: Vec<u8>,
}

impl Log {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start(stage: Stage) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(LINES_MAX);
        let dropped = Arc::<AtomicU64>::default();
        let log = Self {
            lines,
            dropped: dropped.clone(),
        };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || write(&waiting, &dropped, &stage))?;
        Ok(log)
    }

    /// Waits, but not for long, until the lines so far are written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_LIMIT);
        }
    }
}

fn write(waiting: &Receiver<Item>, dropped: &AtomicU64, stage: &Stage) {
    while let Ok(item) = waiting.recv() {
        match item {
            Item::Line(line) => stage.raw(&line),
            Item::Flush(done) => drop(done.send(())),
        }
        let lost = dropped.swap(0, Relaxed);
        if lost > 0 {
            stage.line(&format!(
                "{lost} lines of the log are missing here: they were not read in time"
            ));
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            log: self,
            text: Vec::new(),
        }
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let room = LINE_MAX.saturating_sub(self.text.len());
        self.text.extend_from_slice(&part[..part.len().min(room)]);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let line = Item::Line(escaped(&String::from_utf8_lossy(&self.text)));
        if self.log.lines.try_send(line).is_err() {
            self.log.dropped.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Mutex, mpsc::sync_channel},
    };

    use super::*;

    /// Takes what is written only when it may.
    struct Gate(Arc<Mutex<Receiver<()>>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, part: &[u8]) -> io::Result<usize> {
            let _ = self.0.lock().unwrap().recv();
            self.1.lock().unwrap().extend_from_slice(part);
            Ok(part.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_blocks_nobody_and_says_later_what_is_missing() {
        let (open, gate) = sync_channel(1);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let stage = Stage::on(Gate(Arc::new(Mutex::new(gate)), written.clone()));
        let log = Log::start(stage).unwrap();
        for number in 0..LINES_MAX + 100 {
            let mut line = log.make_writer();
            writeln!(line, "line {number} \x1b[2J").unwrap();
        }
        drop(open);
        while log.lines.try_send(Item::Flush(sync_channel(1).0)).is_err() {
            thread::yield_now();
        }
        log.flush();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line 0 ") && !text.contains('\x1b'));
        let lost = text.lines().find(|line| line.contains("are missing"));
        let lost = lost.unwrap().split(' ').next().unwrap();
        let lost: usize = lost.parse().unwrap();
        assert!((98..=100).contains(&lost), "{lost}");
    }
}
