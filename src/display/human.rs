//! Events as lines for people, on standard error.

mod phrases;
mod tally;

use std::{collections::HashSet, io, path::PathBuf, time::Duration};

use console::{Style as Paint, measure_text_width};

use self::{
    phrases::{Declined, broken_off_by, declined, facts, what},
    tally::{Tally, Totals},
};
use super::{
    Bars, Stage, Style, bars::elide, duration, events::Printer, rate, show::sanitise, stage::window,
};
use crate::{
    protocol::{PeerName, Road, TransferId},
    transfer::{Error, ErrorKind, Event, PeerRef},
};

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
    /// Whether it was said already, or will be, how many files came of what was broken off.
    is_told: bool,
    tally: Tally,
}

impl Human {
    /// For this style, on this stage.
    #[must_use]
    pub fn new(style: Style, stage: Stage, lists: Option<PathBuf>) -> Self {
        Self {
            style,
            bars: Bars::new(stage.clone(), style.bars, style.color),
            stage,
            shared_names: HashSet::new(),
            is_sending: false,
            is_told: false,
            tally: Tally::new(lists),
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

    /// What came of a transfer that the sender or the network broke off.
    fn broken_off(&self, transfer: TransferId, peer: &PeerRef, failure: &Error) -> String {
        let (cross, name) = (self.cross(), &peer.name);
        let why = broken_off_by(name, failure);
        match self.bars.arrivals(transfer) {
            (arrived, Some(all)) if all > 1 => {
                format!("{cross} {arrived} of {all} files arrived, then {why}")
            }
            _ => format!("{cross} {why}"),
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
        (already_there, renamed): (bool, bool),
        road: Road,
    ) {
        let Some(elapsed) = elapsed else { return };
        let mut facts = facts(
            (size, resumed_from),
            elapsed,
            (already_there, renamed),
            road,
        );
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
            Event::Connecting { relay } if self.style.terminal => {
                self.line(&self.dim(&format!("connecting to {}…", sanitise(&relay))));
            }
            Event::Connecting { .. } => {}
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
                text,
            } => {
                self.bars.offer(transfer, &from, files, bytes);
                let what = what(files, bytes, text);
                let caution = from.name.caution();
                self.line(&self.dim(&format!("{}{caution} offers {what}", from.name)));
            }
            Event::Offered {
                mut to,
                files,
                bytes,
                text,
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
                    [one] => format!("{}{}", one.name, one.name.caution()),
                    several => format!("{} recipients", several.len()),
                };
                self.bars.offered(&to, files, bytes);
                let what = what(files, bytes, text);
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
                    (already_there, false),
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
                renamed,
                road,
                ..
            } => {
                let file = sanitise(&file);
                self.tally.delivered(renamed);
                let elapsed = self.bars.arrived(transfer, &peer, &file, bytes);
                self.last_word(
                    (&file, format!(" → {}", self.name(&peer))),
                    (bytes, resumed_from),
                    elapsed,
                    (already_there, renamed),
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
                if let Some(file) = &file {
                    let peer = peer.as_ref().map(|peer| self.name(peer));
                    if !self.tally.file_failed(file, peer.as_deref(), &failure) {
                        return Ok(());
                    }
                }
                let mut line = self.cross();
                if let Some(file) = &file {
                    line.push_str(&format!(" {}", sanitise(file)));
                }
                if let Some(peer) = &peer {
                    line.push_str(&format!(" {}", self.name(peer)));
                }
                if let (Some(peer), None, false) = (&peer, &file, self.is_sending) {
                    self.is_told = true;
                    let line = self.broken_off(transfer, peer, &failure);
                    self.bars.failed(transfer, peer.id, String::new());
                    self.stage.line(&line);
                    return Ok(());
                }
                if let (Some(peer), None) = (peer, file) {
                    self.bars.failed(transfer, peer.id, format!("{failure:#}"));
                }
                // Whoever pressed Ctrl-C reads once, at the end, what became of it.
                if self.is_sending && failure.kind() == ErrorKind::Interrupted {
                    self.is_told = true;
                } else {
                    self.stage.line(&format!("{line}: {failure:#}"));
                }
            }
            Event::Declined {
                transfer,
                peer,
                reason,
                failure,
            } => {
                self.bars.end(transfer);
                let Declined { why, hint } = declined(&peer, reason, &failure);
                self.stage
                    .line(&format!("{} declined {}{why}", self.cross(), peer.name));
                if let Some(hint) = hint {
                    self.stage.line(&format!("hint: {hint}"));
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
                let Totals {
                    failed_files,
                    renamed,
                    not_shown,
                } = self.tally.take(files, self.is_sending);
                if let Some(not_shown) = not_shown {
                    self.stage.line(&format!("{} {not_shown}", self.cross()));
                }
                let is_summed_up = self.bars.end(transfer);
                if files == 0 && failed == 0 && failed_files == 0 {
                    self.line(&format!("{} directories only", self.tick()));
                } else if is_summed_up && !std::mem::take(&mut self.is_told) {
                    let mark = if failed == 0 {
                        self.tick()
                    } else {
                        self.cross()
                    };
                    self.line(&format!(
                        "{mark} {} in {}, {}{renamed}",
                        what(Some(files), Some(bytes), false),
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
