//! Events as lines for people, on standard error.

use std::{collections::HashSet, io, time::Duration};

use console::{Style as Paint, measure_text_width};

use super::{
    Bars, Stage, Style, bars::elide, bytes, duration, events::Printer, rate, show::sanitise,
    stage::window,
};
use crate::{
    protocol::{PeerName, Road},
    transfer::{ErrorKind, Event, PeerRef},
};

/// Below this size and this time, a rate is mostly the time that answers take.
const RATE_LEAST: (u64, Duration) = (1_000_000, Duration::from_secs(1));
/// Files whose failures are shown one by one, of one transfer.
const FAILED_SHOWN: u64 = 10;
/// Columns of a name below which the numbers after it give way.
const NAME_LEAST: usize = 16;

/// Prints events for people, and keeps their bars.
#[derive(Debug)]
pub struct Human {
    style: Style,
    stage: Stage,
    bars: Bars,
    /// Names that several recipients of a send have: their IDs tell them apart.
    shared_names: HashSet<PeerName>,
    /// Whether something is sent from here.
    is_sending: bool,
    /// Files that failed since the last transfer ended.
    failed_files: u64,
    /// Those of them that were sent to nobody.
    unsent_files: u64,
}

impl Human {
    /// For this style, on this stage.
    #[must_use]
    pub fn new(style: Style, stage: Stage) -> Self {
        Self {
            style,
            bars: Bars::new(stage.clone(), style.bars, style.color),
            stage,
            shared_names: HashSet::new(),
            is_sending: false,
            failed_files: 0,
            unsent_files: 0,
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
            self.stage.line(line);
        }
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

    /// What a peer is called here.
    fn name(&self, peer: &PeerRef) -> String {
        match self.shared_names.contains(&peer.name) {
            true => format!("{} ({})", peer.name, peer.id.short()),
            false => peer.name.to_string(),
        }
    }

    /// The last word on one file: `✓ name → peer  40.0 MB  8.3 s  4.82 MB/s`.
    ///
    /// On a terminal it is one line: the numbers at the end give way first, then the name's middle.
    fn last_word(
        &self,
        (name, peer): (&str, String),
        (size, resumed_from): (u64, u64),
        elapsed: Option<Duration>,
        already_there: bool,
        road: Road,
    ) {
        let Some(elapsed) = elapsed else { return };
        let moved = size.saturating_sub(resumed_from);
        let mut facts = vec![bytes(size)];
        if already_there {
            facts.push("was there already".to_owned());
        } else {
            if resumed_from > 0 {
                facts.push(format!("resumed from {}", bytes(resumed_from)));
            }
            if moved >= RATE_LEAST.0 || elapsed >= RATE_LEAST.1 {
                facts.push(duration(elapsed));
                facts.push(rate(moved, elapsed));
            }
            match road {
                Road::Relay => {}
                Road::Direct | Road::Lan => facts.push(road.to_string()),
                road => facts.push(format!("by {road}")),
            }
        }
        let mut name = name.to_owned();
        if self.style.terminal {
            let room = window().0.saturating_sub(3 + measure_text_width(&peer));
            let taken = |facts: &[String]| facts.iter().map(|fact| fact.len() + 2).sum::<usize>();
            let least = measure_text_width(&name).min(NAME_LEAST);
            while facts.len() > 1 && taken(&facts) + least > room {
                facts.pop();
            }
            name = elide(&name, room.saturating_sub(taken(&facts)));
        }
        let size = facts.remove(0);
        let mut line = format!("{} {name}{peer}  {size}", self.tick());
        if !facts.is_empty() {
            line.push_str(&self.dim(&format!("  {}", facts.join("  "))));
        }
        self.line(&line);
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

impl Printer for Human {
    /// Never fails: a closed standard error leaves nobody to tell.
    fn print(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Joined { me, relay } => self.line(&format!(
                "{} listening as {} ({}) at {}",
                self.tick(),
                me.name,
                me.id.short(),
                sanitise(&relay)
            )),
            Event::Disconnected { reason, retry_in } => self.line(&format!(
                "{} lost the relay: {}; retrying in {}",
                self.cross(),
                sanitise(&reason),
                duration(retry_in)
            )),
            Event::Waiting { reason, retry_in } => self.line(&self.dim(&format!(
                "waiting for the relay: {}; retrying in {}",
                sanitise(&reason),
                duration(retry_in)
            ))),
            Event::Peer { peer, state, since } => self.line(&format!(
                "{}  {}  {}  {}",
                peer.name,
                peer.id,
                state.as_str(),
                duration(since)
            )),
            Event::Offer {
                transfer,
                from,
                files,
                bytes,
            } => {
                self.bars.offer(transfer, &from, files, bytes);
                let what = what(files, bytes);
                self.line(&self.dim(&format!("{} offers {what}", from.name)));
            }
            Event::Offered {
                mut to,
                files,
                bytes,
                ..
            } => {
                self.is_sending = true;
                let mut names = HashSet::new();
                let twice = to.iter().filter(|peer| !names.insert(&peer.name));
                self.shared_names
                    .extend(twice.map(|peer| peer.name.clone()).collect::<Vec<_>>());
                for peer in &mut to {
                    peer.name = PeerName::from_lossy(&self.name(peer));
                }
                let whom = match to.as_slice() {
                    [one] => one.name.to_string(),
                    several => format!("{} recipients", several.len()),
                };
                self.bars.offered(&to, files, bytes);
                let what = what(files, bytes);
                self.line(&self.dim(&format!("offering {what} to {whom}")));
            }
            Event::Progress {
                transfer,
                peer,
                file,
                bytes,
                total,
                resumed_from,
                ..
            } => {
                let file = sanitise(&file).into_owned();
                self.bars
                    .progress(transfer, &peer, (file, total), (bytes, resumed_from));
            }
            Event::Received {
                transfer,
                path,
                file,
                bytes,
                from,
                resumed_from,
                already_there,
                road,
                ..
            } => {
                let elapsed = self.bars.arrived(transfer, &from, &sanitise(&file), bytes);
                let path = path.display().to_string();
                self.last_word(
                    (&sanitise(&path), format!(" ← {}", from.name)),
                    (bytes, resumed_from),
                    elapsed,
                    already_there,
                    road,
                );
            }
            Event::Delivered {
                transfer,
                peer,
                file,
                bytes,
                resumed_from,
                already_there,
                road,
                ..
            } => {
                let file = sanitise(&file);
                let elapsed = self.bars.arrived(transfer, &peer, &file, bytes);
                self.last_word(
                    (&file, format!(" → {}", self.name(&peer))),
                    (bytes, resumed_from),
                    elapsed,
                    already_there,
                    road,
                );
            }
            Event::Message { from, text, .. } => {
                let text: Vec<_> = text.lines().map(sanitise).collect();
                self.line(&format!("{}: {}", from.name, text.join("\n  ")));
            }
            Event::Failed {
                transfer,
                peer,
                file,
                failure,
            } => {
                self.failed_files += u64::from(file.is_some());
                self.unsent_files += u64::from(file.is_some() && peer.is_none());
                if file.is_some() && self.failed_files > FAILED_SHOWN {
                    return Ok(());
                }
                let mut line = self.cross();
                if let Some(file) = &file {
                    line.push_str(&format!(" {}", sanitise(file)));
                }
                if let Some(peer) = &peer {
                    line.push_str(&format!(" {}", self.name(peer)));
                }
                if let (Some(peer), None) = (peer, file) {
                    self.bars.failed(transfer, peer.id, format!("{failure:#}"));
                }
                // Whoever pressed Ctrl-C reads once, at the end, what became of it.
                if !(self.is_sending && failure.kind() == ErrorKind::Interrupted) {
                    self.stage.line(&format!("{line}: {failure:#}"));
                }
            }
            Event::Retrying { peer, reason } => {
                let reason = sanitise(&reason).into_owned();
                let who = match &peer {
                    Some(peer) => format!("{}: ", self.name(peer)),
                    None => String::new(),
                };
                self.line(&self.dim(&format!("{who}{reason}; trying again")));
                if let Some(peer) = peer {
                    self.bars.away(peer.id, reason);
                }
            }
            Event::Road {
                transfer,
                peer,
                road,
                reason,
            } => {
                self.bars.on_road(transfer, &peer, road);
                // What a file's last line says needs no line of its own, but a change for the worse does.
                if matches!(road, Road::Relay | Road::Tcp) {
                    let line = format!(
                        "{}: through the relay from here: {}",
                        self.name(&peer),
                        sanitise(&reason)
                    );
                    self.line(&self.dim(&line));
                }
            }
            Event::Done {
                transfer,
                files,
                bytes,
                elapsed,
                failed,
                ..
            } => {
                let failed_files = std::mem::take(&mut self.failed_files);
                if failed_files > FAILED_SHOWN {
                    let what = match std::mem::take(&mut self.unsent_files) {
                        unsent if unsent == failed_files => {
                            format!("{unsent} of {} files were not sent", unsent + files)
                        }
                        _ => format!("{} more files failed", failed_files - FAILED_SHOWN),
                    };
                    let line = format!("{} {what}; --json lists all of them", self.cross());
                    self.stage.line(&line);
                }
                if self.bars.end(transfer) {
                    let mark = if failed == 0 {
                        self.tick()
                    } else {
                        self.cross()
                    };
                    self.line(&format!(
                        "{mark} {} in {}, {}",
                        what(Some(files), Some(bytes)),
                        duration(elapsed),
                        rate(bytes, elapsed)
                    ));
                }
            }
            Event::Notice { text } => self.line(&sanitise(&text)),
            Event::Dropped { events } => self.line(&format!("{events} events are not shown here")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
