//! Events as lines for people, on standard error.

mod tally;

use std::{collections::HashSet, io, path::PathBuf, time::Duration};

use console::{Style as Paint, measure_text_width};

use self::tally::{Tally, Totals};
use super::{
    Bars, Stage, Style,
    bars::elide,
    events::Printer,
    phrases::{Phrase, Tone, facts},
    show::sanitise,
    stage::window,
};
use crate::{
    protocol::{PeerName, Road},
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

    /// Errors are said even to whoever wants quiet.
    fn say(&self, phrase: &Phrase, is_error: bool) {
        let text = &phrase.text;
        let line = match phrase.tone {
            Tone::Success => format!("{} {text}", self.tick()),
            Tone::Failure => format!("{} {text}", self.cross()),
            Tone::Plain => text.clone(),
            Tone::Aside => self.dim(text),
        };
        if is_error || !self.style.quiet {
            self.stage.line(&line);
            if let Some(hint) = &phrase.hint {
                self.stage.line(&format!("hint: {hint}"));
            }
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
        if let Event::Offered { to, .. } = &event {
            self.is_sending = true;
            let mut names = HashSet::new();
            let twice = to.iter().filter(|peer| !names.insert(&peer.name));
            self.shared_names
                .extend(twice.map(|peer| peer.name.clone()));
        }
        let phrase = Phrase::of(&event, |peer| self.name(peer));
        let is_error = matches!(event, Event::Failed { .. } | Event::Declined { .. });
        if let Some(phrase) = self.keep_up(event, phrase) {
            self.say(&phrase, is_error);
        }
        Ok(())
    }
}

impl Human {
    /// Brings bars and counts up to date; what is left to say of the event, whose words are these.
    fn keep_up(&mut self, event: Event, mut phrase: Option<Phrase>) -> Option<Phrase> {
        match event {
            Event::Connecting { .. } if !self.style.terminal => return None,
            Event::Offer {
                transfer,
                from,
                files,
                bytes,
                asks,
                ..
            } => {
                self.bars.offer(transfer, &from, files, bytes);
                // The question says it.
                return phrase.filter(|_| !asks);
            }
            Event::Offered {
                mut to,
                files,
                bytes,
                ..
            } => {
                for peer in &mut to {
                    peer.name = PeerName::from_lossy(&self.name(peer));
                }
                self.bars.offered(&to, files, bytes);
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
            Event::Failed {
                peer,
                file: Some(file),
                failure,
                ..
            } => {
                let peer = peer.as_ref().map(|peer| self.name(peer));
                let is_told = self.tally.file_failed(&file, peer.as_deref(), &failure);
                return phrase.filter(|_| is_told && !self.is_left_for_the_end(&failure));
            }
            Event::Failed {
                transfer,
                peer,
                file: None,
                failure,
            } => {
                if let Some(peer) = &peer
                    && !self.is_sending
                {
                    self.is_told = true;
                    let arrivals = self.bars.arrivals(transfer);
                    self.bars.failed(transfer, peer.id, String::new());
                    return Some(Phrase::broken_off(&peer.name, arrivals, &failure));
                }
                if let Some(peer) = peer {
                    self.bars.failed(transfer, peer.id, format!("{failure:#}"));
                }
                return phrase.filter(|_| !self.is_left_for_the_end(&failure));
            }
            Event::Declined { transfer, .. } => drop(self.bars.end(transfer)),
            Event::Retrying {
                peer: Some(peer),
                reason,
            } => self.bars.away(peer.id, sanitise(&reason).into_owned()),
            Event::Road {
                transfer,
                peer,
                road,
                ..
            } => self.bars.on_road(transfer, &peer, road),
            Event::Done {
                transfer,
                files,
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
                    return Some(Phrase::new(Tone::Success, "directories only".to_owned()));
                }
                if !is_summed_up || std::mem::take(&mut self.is_told) {
                    return None;
                }
                if let Some(phrase) = &mut phrase {
                    phrase.text += &renamed;
                }
            }
            _ => {}
        }
        phrase
    }

    /// Whoever pressed Ctrl-C reads once, at the end, what became of it.
    fn is_left_for_the_end(&mut self, failure: &Error) -> bool {
        let is_left = self.is_sending && failure.kind() == ErrorKind::Interrupted;
        self.is_told |= is_left;
        is_left
    }
}

#[cfg(test)]
mod tests;
