//! Events as lines for people, on standard error.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use console::Style as Paint;

use super::{Bars, Style, bytes, duration, rate, show::sanitise};
use crate::{
    protocol::TransferId,
    transfer::{Event, FailureKind, Observer},
};

/// Lines for single files of one transfer; beyond, only their number is told.
const LINES_MAX: u64 = 20;

/// Prints events for people, and keeps their bars.
pub struct Human {
    style: Style,
    bars: Bars,
    transfers: Mutex<HashMap<TransferId, Seen>>,
}

/// What was said of one transfer.
struct Seen {
    since: Instant,
    lines: u64,
}

impl std::fmt::Debug for Human {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Human")
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}

impl Human {
    /// For this style.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self {
            style,
            bars: Bars::new(style.bars),
            transfers: Mutex::default(),
        }
    }

    fn paint(&self, paint: &Paint, text: &str) -> String {
        if self.style.color {
            paint.clone().force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }

    fn line(&self, line: &str) {
        if !self.style.quiet {
            self.bars.line(line);
        }
    }

    /// Whether one more line about a single file of this transfer is welcome.
    fn may_say(&self, transfer: TransferId) -> bool {
        let mut transfers = self
            .transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let seen = transfers.entry(transfer).or_insert_with(|| Seen {
            since: Instant::now(),
            lines: 0,
        });
        seen.lines += 1;
        seen.lines <= LINES_MAX
    }

    fn since(&self, transfer: TransferId) -> std::time::Duration {
        let transfers = self
            .transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        transfers
            .get(&transfer)
            .map(|seen| seen.since.elapsed())
            .unwrap_or_default()
    }

    fn tick(&self) -> String {
        self.paint(&Paint::new().green(), "✓")
    }

    fn cross(&self) -> String {
        self.paint(&Paint::new().red(), "✗")
    }

    fn dim(&self, text: &str) -> String {
        self.paint(&Paint::new().dim(), text)
    }
}

/// `3 files, 1.2 MB`, as far as it is known.
fn what(files: Option<u64>, size: Option<u64>) -> String {
    let files = match files {
        Some(1) => "1 file".to_owned(),
        Some(n) => format!("{n} files"),
        None => "files".to_owned(),
    };
    match size {
        Some(size) => format!("{files}, {}", bytes(size)),
        None => files,
    }
}

impl Observer for Human {
    fn event(&self, event: Event) {
        match event {
            Event::Joined { id, name, relay } => {
                self.line(&format!(
                    "{} listening as {name} ({}) at {relay}",
                    self.tick(),
                    id.short()
                ));
            }
            Event::Disconnected { reason, retry_in } => {
                self.line(&format!(
                    "{} relay lost: {reason}; trying again in {}",
                    self.cross(),
                    duration(retry_in)
                ));
            }
            Event::Peer {
                id,
                name,
                state,
                since,
            } => {
                let state = state.as_str();
                self.line(&format!("{name}  {id}  {state}  {}", duration(since)));
            }
            Event::Offer {
                transfer,
                from_name,
                files,
                bytes: size,
                ..
            } => {
                self.may_say(transfer);
                self.bars.begin(transfer, files, size);
                self.line(&self.dim(&format!("{from_name} offers {}", what(files, size))));
            }
            Event::Offered {
                transfer,
                recipients,
                files,
                bytes: size,
            } => {
                self.may_say(transfer);
                let to = if recipients == 1 {
                    "1 recipient".to_owned()
                } else {
                    format!("{recipients} recipients")
                };
                self.bars.begin(
                    transfer,
                    files.map(|n| n * recipients as u64),
                    size.map(|n| n * recipients as u64),
                );
                self.line(&self.dim(&format!("offering {} to {to}", what(files, size))));
            }
            Event::Progress {
                transfer,
                peer,
                peer_name,
                file,
                bytes,
                total,
            } => {
                self.bars.progress(
                    transfer,
                    peer,
                    (peer_name.as_str(), &sanitise(&file)),
                    bytes,
                    total,
                );
            }
            Event::Received {
                transfer,
                path,
                bytes: size,
                from,
                from_name,
                resumed_from,
                already_there,
                ..
            } => {
                let path = path.display().to_string();
                let path = sanitise(&path);
                self.bars.finished(transfer, from, &path, size);
                if self.may_say(transfer) {
                    let how = match (already_there, resumed_from) {
                        (true, _) => " (was there already)".to_owned(),
                        (_, 0) => String::new(),
                        (_, from) => format!(" (resumed from {})", bytes(from)),
                    };
                    let took = self.since(transfer);
                    let speed = self.dim(&format!("{}, {}", duration(took), rate(size, took)));
                    self.line(&format!(
                        "{} {path} from {from_name}  {}  {speed}{how}",
                        self.tick(),
                        bytes(size)
                    ));
                }
            }
            Event::Message {
                from_name, text, ..
            } => {
                let text: Vec<_> = text.lines().map(sanitise).collect();
                self.line(&format!("{from_name}: {}", text.join("\n  ")));
            }
            Event::Delivered {
                transfer,
                peer,
                peer_name,
                file,
                bytes: size,
                already_there,
                ..
            } => {
                let file = sanitise(&file);
                self.bars.finished(transfer, peer, &file, size);
                if self.may_say(transfer) {
                    let how = if already_there {
                        " (was there already)"
                    } else {
                        ""
                    };
                    let took = self.since(transfer);
                    let speed = self.dim(&format!("{}, {}", duration(took), rate(size, took)));
                    self.line(&format!(
                        "{} {file} to {peer_name}  {}  {speed}{how}",
                        self.tick(),
                        bytes(size)
                    ));
                }
            }
            Event::Failed {
                peer,
                file,
                failure,
                ..
            } => {
                let mut line = self.cross();
                if let Some(file) = file {
                    line.push_str(&format!(" {}", sanitise(&file)));
                }
                if let Some((_, name)) = peer {
                    line.push_str(&format!(" {name}"));
                }
                if failure.kind != FailureKind::Interrupted || !self.style.quiet {
                    self.bars.line(&format!("{line}: {failure}"));
                }
            }
            Event::Retrying { peer, reason } => {
                let who = peer.map(|name| format!("{name}: ")).unwrap_or_default();
                self.line(&self.dim(&format!("{who}{reason}; trying again")));
            }
            Event::Done {
                transfer,
                files,
                bytes: size,
                elapsed,
                ..
            } => {
                self.bars.end(transfer);
                let seen = self
                    .transfers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&transfer);
                if seen.is_some_and(|seen| seen.lines > LINES_MAX) {
                    let all = what(Some(files), Some(size));
                    self.line(&format!(
                        "{} {all} in {}, {}",
                        self.tick(),
                        duration(elapsed),
                        rate(size, elapsed)
                    ));
                }
            }
            Event::Notice(text) => self.line(&sanitise(&text)),
        }
    }
}
