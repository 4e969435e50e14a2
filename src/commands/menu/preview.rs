//! Shows a file for the menu, in a process of its own that limits its own time and memory.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::{io::AsyncReadExt, task::AbortHandle, time::timeout};

use super::shared_state::SharedState;
use crate::commands::show;
use crate::display::{
    menu::{News, Preview, preview_size},
    show::sanitise,
};

/// How long showing one file may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes that are read of what it prints: a screenful with the colours of each half cell.
const TEXT_MAX: u64 = 1 << 20;

/// Shows one file at a time: the one that is looked at.
#[derive(Debug, Default)]
pub(super) struct Previews(Option<AbortHandle>);

impl Previews {
    /// Shows this file instead of the one before. Call it inside a runtime.
    pub(super) fn show(&mut self, path: PathBuf, shared: &Arc<SharedState>) {
        let window = crossterm::terminal::size().unwrap_or((80, 24));
        let (cells, color) = shared.read(|state| (preview_size(&state.mode, window), state.color));
        let shared = shared.clone();
        let task = tokio::spawn(async move {
            let text = shown(&path, cells, color).await;
            shared.notify(News::Preview(Preview { path, text }));
        });
        if let Some(before) = self.0.replace(task.abort_handle()) {
            before.abort();
        }
    }
}

async fn shown(path: &Path, (columns, rows): (u16, u16), color: bool) -> String {
    let mut child = match show::limited_process() {
        Ok(child) => child,
        Err(error) => return error.to_string(),
    };
    child
        .arg("--cells")
        .arg(format!("{columns}x{rows}"))
        .arg(if color {
            "--color=always"
        } else {
            "--color=never"
        })
        .arg("--")
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let reading = async {
        let mut child = child.spawn()?;
        let mut text = Vec::new();
        if let Some(out) = child.stdout.take() {
            out.take(TEXT_MAX).read_to_end(&mut text).await?;
        }
        // Whatever it would still print is not read.
        let _ = child.start_kill();
        child.wait().await?;
        std::io::Result::Ok(text)
    };
    match timeout(LIMIT, reading).await {
        Ok(Ok(text)) if text.is_empty() => "It cannot be shown here.".to_owned(),
        Ok(Ok(text)) => String::from_utf8_lossy(&text).into_owned(),
        Ok(Err(error)) => sanitise(&error.to_string()).into_owned(),
        Err(_) => "Showing it takes too long.".to_owned(),
    }
}
