//! What happens once a file is stored: it is shown, a program may be run, the desktop may be told.

use std::{io::IsTerminal, path::Path, process::Stdio, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{hook, notify::Notifier};
use crate::{
    commands::{
        cli::{Accept, CommandLine, ListenArgs, When},
        context::Context,
        show,
    },
    display::{Events, Stage, TOLD_MAX, show::sanitise},
    storage::crash_point,
    transfer::receive::ReceivedFile,
};

/// How long showing one file may take.
const SHOW_LIMIT: Duration = Duration::from_secs(10);
/// Files that are shown of those that arrive close together: a folder of hundreds is not looked at
/// as it comes.
const SHOWN_MAX: usize = 5;
/// Files that wait in memory; for the program, further ones wait in the journal.
const QUEUE: usize = 256;
/// How long a program that runs may go on once this listener is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Shows files and runs the program, one file after the other, beside the network.
pub(super) struct AfterReceiving {
    files: mpsc::Sender<ReceivedFile>,
    worker: JoinHandle<()>,
}

struct Worker {
    show: bool,
    /// Whether what shows a file may ask the terminal what it can do.
    may_ask: bool,
    exec: Option<CommandLine>,
    json: bool,
    stage: Stage,
    events: Arc<Events>,
    notifier: Option<Notifier>,
}

impl AfterReceiving {
    /// Starts to wait for files; ends early once `stop` is cancelled.
    pub(super) fn start(
        context: &Context,
        args: &ListenArgs,
        notifier: Option<Notifier>,
        stop: CancellationToken,
    ) -> Self {
        let show = !context.global.json
            && match args.show {
                When::Always => true,
                When::Never => false,
                When::Auto => std::io::stdout().is_terminal() && !context.global.quiet,
            };
        let worker = Worker {
            show,
            // The terminal's answer would be taken for the answer to a question about an offer.
            may_ask: args.accept != Accept::Ask,
            exec: args.exec.clone(),
            json: context.global.json,
            stage: context.stage.clone(),
            events: context.events(),
            notifier,
        };
        let (files, queue) = mpsc::channel(QUEUE);
        Self {
            files,
            worker: tokio::spawn(worker.run(queue, stop)),
        }
    }

    /// Where stored files go.
    pub(super) fn files(&self) -> mpsc::Sender<ReceivedFile> {
        self.files.clone()
    }

    /// Waits until all files that have been received are seen to, or it is told to stop.
    pub(super) async fn finish(self) {
        drop(self.files);
        let _ = self.worker.await;
    }
}

impl Worker {
    async fn run(mut self, mut queue: mpsc::Receiver<ReceivedFile>, stop: CancellationToken) {
        loop {
            let due = self.notifier.as_ref().and_then(Notifier::due);
            let file = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                file = queue.recv() => match file {
                    Some(file) => file,
                    None => break,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.notify().await;
                    continue;
                }
            };
            if let Some(notifier) = &mut self.notifier {
                notifier.add(&file);
            }
            let waiting = queue.len();
            let seeing = self.see_to(&file, waiting);
            tokio::pin!(seeing);
            tokio::select! {
                () = &mut seeing => {}
                () = stop.cancelled() => {
                    let _ = timeout(STOP_LIMIT, seeing).await;
                }
            }
        }
        self.notify().await;
        queue.close();
        let mut left = 0;
        while queue.try_recv().is_ok() {
            left += 1;
        }
        if left > 0 && self.exec.is_some() {
            tracing::warn!(
                "stopped before the program had run on {left} of the files stored: it runs when this listener is started again"
            );
        }
    }

    async fn see_to(&self, file: &ReceivedFile, waiting: usize) {
        if self.show && waiting < SHOWN_MAX {
            // The line that names the file comes first.
            let events = self.events.clone();
            let flushing = tokio::task::spawn_blocking(move || events.flush(Some(SHOW_LIMIT)));
            let _ = flushing.await;
            // Of many files none has a line of its own: what is shown says what it is.
            let titled = file.files.is_some_and(|files| files > TOLD_MAX);
            let _pause = self.stage.pause();
            show_file(&file.path, titled, self.may_ask).await;
        }
        if let Some(command) = &self.exec {
            let pause = self.stage.pause();
            let said = run(command, file, self.json).await;
            drop(pause);
            if let Some(said) = said {
                self.stage.line(&sanitise(&said));
            }
        }
    }

    async fn notify(&mut self) {
        if let Some(notifier) = &mut self.notifier {
            notifier.notify().await;
        }
    }
}

/// Shows a file in a process of its own, which limits its own time and memory.
async fn show_file(path: &Path, titled: bool, may_ask: bool) {
    let mut child = match show::limited_process() {
        Ok(child) => child,
        Err(error) => return tracing::warn!(%error, "files cannot be shown"),
    };
    child
        .args((!may_ask).then_some("--unasked"))
        .args(titled.then_some("--titled"))
        .arg("--")
        .arg(path);
    match timeout(SHOW_LIMIT, child.status()).await {
        Ok(Ok(status)) if !status.success() => tracing::debug!(%status, "not shown"),
        Ok(_) => {}
        Err(_) => tracing::warn!("showing a file took too long and was stopped"),
    }
}

/// Runs the program with the path as its last argument; no shell reads it. What failed, if anything.
async fn run(command: &CommandLine, file: &ReceivedFile, json: bool) -> Option<String> {
    let (program, arguments) = command.0.split_first().expect("parsed to have a program");
    let ticket = file.ticket.as_ref();
    let mut child = hook::process(program, ticket);
    // A relative path could begin with a dash and be taken for an option.
    let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
    child
        .args(arguments)
        .arg(path)
        .env("P2P_PATH", &file.path)
        .env("P2P_BYTES", file.bytes.to_string())
        .env("P2P_BLAKE3", file.blake3.to_hex().as_str())
        .env("P2P_FROM", file.from.id.to_string())
        .env("P2P_FROM_NAME", file.from.name.to_string())
        .env("P2P_TRANSFER", file.transfer.to_string())
        // An invite is a secret, and no business of a program that looks at files.
        .env_remove("P2P_SERVER")
        .stdin(Stdio::null());
    if json {
        // Nothing but events belongs on standard output.
        child.stdout(Stdio::from(std::io::stderr()));
    }
    crash_point("unstarted");
    let started = child.spawn();
    crash_point("started");
    // A program that cannot be started is not tried again by the next listener.
    match (ticket, &started) {
        (Some(ticket), Ok(_)) => ticket.handed_over(),
        (Some(ticket), Err(_)) => drop(ticket.claim()),
        (None, _) => {}
    }
    let ended = match started {
        Ok(mut child) => child.wait().await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!(
            "{program} failed on {} ({status})",
            file.path.display()
        )),
        Err(error) => Some(format!("cannot run {program}: {error}")),
    }
}
