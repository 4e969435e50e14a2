//! What happens once a file is stored: it is shown, and a program may be run.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{process::Command, sync::mpsc, task::JoinHandle, time::timeout};

use crate::{
    commands::{
        cli::{Accept, CommandLine, ListenArgs, When},
        context::Context,
        show,
    },
    transfer::{Event, Observer},
};

/// How long showing one file may take.
const SHOW_LIMIT: Duration = Duration::from_secs(10);
/// Files that are shown of those that arrive close together: a folder of hundreds is not looked at
/// as it comes.
const SHOWN_MAX: usize = 5;

/// Shows files and runs the program, one file after the other, beside the network.
pub(super) struct AfterReceiving {
    files: Option<mpsc::UnboundedSender<ReceivedFile>>,
    worker: JoinHandle<()>,
}

/// The facts of one file, for the program.
struct ReceivedFile {
    path: PathBuf,
    facts: Vec<(&'static str, String)>,
}

impl AfterReceiving {
    pub(super) fn start(context: &Context, args: &ListenArgs, to_stdout: bool) -> Self {
        let on_terminal = std::io::stdout().is_terminal();
        let show = !context.global.json
            && !to_stdout
            && match args.show {
                When::Always => true,
                When::Never => false,
                When::Auto => on_terminal && !context.global.quiet,
            };
        // The terminal's answer would be taken for the answer to a question about an offer.
        let may_ask = args.accept != Accept::Ask;
        let exec = args.exec.clone();
        let json = context.global.json;
        let stage = context.stage.clone();
        let events = context.events();
        let (files, mut queue) = mpsc::unbounded_channel::<ReceivedFile>();
        let worker = tokio::spawn(async move {
            while let Some(file) = queue.recv().await {
                if show && queue.len() < SHOWN_MAX {
                    // The line that names the file comes first.
                    let events = events.clone();
                    let flushing =
                        tokio::task::spawn_blocking(move || events.flush(Some(SHOW_LIMIT)));
                    let _ = flushing.await;
                    let _pause = stage.pause();
                    show_file(&file.path, may_ask).await;
                }
                if let Some(command) = &exec {
                    let _pause = stage.pause();
                    run(command, &file, json).await;
                }
            }
        });
        Self {
            files: Some(files),
            worker,
        }
    }

    /// An observer that passes everything on and takes note of received files.
    pub(super) fn observer(&self, inner: Arc<dyn Observer>) -> Arc<dyn Observer> {
        let files = Mutex::new(self.files.clone());
        Arc::new(Noting { inner, files })
    }

    /// Waits until all files that have been received are seen to.
    pub(super) async fn finish(mut self) {
        self.files = None;
        let _ = self.worker.await;
    }
}

struct Noting {
    inner: Arc<dyn Observer>,
    files: Mutex<Option<mpsc::UnboundedSender<ReceivedFile>>>,
}

impl Observer for Noting {
    fn event(&self, event: Event) {
        if let Event::Received {
            transfer,
            path,
            bytes,
            blake3,
            from,
            ..
        } = &event
            && path != Path::new("-")
            && let Some(files) = &*self.files.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let facts = vec![
                ("P2P_PATH", path.to_string_lossy().into_owned()),
                ("P2P_BYTES", bytes.to_string()),
                ("P2P_BLAKE3", blake3.to_hex().to_string()),
                ("P2P_FROM", from.id.to_string()),
                ("P2P_FROM_NAME", from.name.to_string()),
                ("P2P_TRANSFER", transfer.to_string()),
            ];
            let _ = files.send(ReceivedFile {
                path: path.clone(),
                facts,
            });
        }
        self.inner.event(event);
    }
}

/// Shows a file in a process of its own, which limits its own time and memory.
async fn show_file(path: &Path, may_ask: bool) {
    let mut child = match show::limited_process() {
        Ok(child) => child,
        Err(error) => return tracing::warn!(%error, "files cannot be shown"),
    };
    child
        .args((!may_ask).then_some("--unasked"))
        .arg("--")
        .arg(path);
    match timeout(SHOW_LIMIT, child.status()).await {
        Ok(Ok(status)) if !status.success() => tracing::debug!(%status, "not shown"),
        Ok(_) => {}
        Err(_) => tracing::warn!("showing a file took too long and was stopped"),
    }
}

/// Runs the program with the path as its last argument; no shell reads it.
async fn run(command: &CommandLine, file: &ReceivedFile, json: bool) {
    let (program, arguments) = command.0.split_first().expect("parsed to have a program");
    let mut child = Command::new(program);
    // A relative path could begin with a dash and be taken for an option.
    let path = std::path::absolute(&file.path).unwrap_or_else(|_| file.path.clone());
    child
        .args(arguments)
        .arg(path)
        // An invite is a secret, and no business of a program that looks at files.
        .env_remove("P2P_SERVER")
        .envs(file.facts.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null());
    if json {
        // Nothing but events belongs on standard output.
        child.stdout(Stdio::from(std::io::stderr()));
    }
    match child.status().await {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::warn!(program, %status, "the program failed"),
        Err(error) => tracing::warn!(program, %error, "the program cannot be run"),
    }
}
