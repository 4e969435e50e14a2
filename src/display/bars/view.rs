//! What is told of each job, in rows for a window of any width.

use std::time::Instant;

use console::{Style, measure_text_width, truncate_str};
use p2p_view::format::{bytes, left, per_second};

use super::{
    canvas::Row,
    job::{Direction, JobProgress, Measure, PeerProgress, State},
};
use crate::protocol::Road;

/// Lays jobs out for a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) color: bool,
}

/// What stands beside a label.
enum RowBody {
    Bar(Measure),
    /// A state, in words.
    Words(String, Style),
}

/// Files that have a bar beside their total.
const FILES_MAX: usize = 3;
/// Smaller files come and go too fast to be read.
const OWN_BAR: u64 = 8_000_000;
/// No bar is any good below this width, nor better above.
const BAR: (usize, usize) = (6, 40);

impl View {
    /// The rows of one job.
    pub(super) fn rows(&self, job: &JobProgress, now: Instant) -> Vec<Row> {
        match job.peers.as_slice() {
            [] => Vec::new(),
            [peer] => self.one(job, peer, now),
            peers => self.several(job, peers, now),
        }
    }

    /// A bar for the only file, or for the large ones and all together.
    fn one(&self, job: &JobProgress, peer: &PeerProgress, now: Instant) -> Vec<Row> {
        let arrow = match job.direction {
            Direction::To => "→",
            Direction::From => "←",
        };
        let road = match peer.road {
            Some(road) if road != Road::Relay => format!(" {road}"),
            _ => String::new(),
        };
        let label = |what: &str| self.label(what, &format!(" {arrow} {}{road}", peer.name));
        if let Some(words) = words(&peer.state) {
            return vec![self.row(&label(&count(peer.files, job.files)), words)];
        }
        if job.files == Some(1) {
            let file = peer.under_way.first();
            return file
                .map(|file| self.row(&label(&file.path), RowBody::Bar(file.measure(now))))
                .into_iter()
                .collect();
        }
        let large = |file: &&super::job::File| file.total.is_none_or(|total| total >= OWN_BAR);
        let files = peer.under_way.iter().filter(large).take(FILES_MAX);
        let mut rows: Vec<_> = files
            .map(|file| self.row(&label(&file.path), RowBody::Bar(file.measure(now))))
            .collect();
        let all = peer.measure(now, job.bytes);
        rows.push(self.row(&label(&count(peer.files, job.files)), RowBody::Bar(all)));
        rows
    }

    /// A bar for each peer, as far as there is room, and one for all together.
    fn several(&self, job: &JobProgress, peers: &[PeerProgress], now: Instant) -> Vec<Row> {
        // The total, the line for those who are left out, and the prompt's need a row each.
        let room = self.rows.saturating_sub(3).clamp(1, 12);
        let mut shown: Vec<_> = peers.iter().collect();
        if shown.len() > room {
            // Those who are not served yet are what one waits for.
            shown.sort_by_key(|peer| matches!(peer.state, State::Done | State::Failed(_)));
            shown.truncate(room);
        }
        let several_files = job.files != Some(1);
        let mut rows: Vec<_> = shown
            .iter()
            .map(|peer| {
                let files = if several_files {
                    format!(" {}", count(peer.files, job.files))
                } else {
                    String::new()
                };
                let body = words(&peer.state)
                    .unwrap_or_else(|| RowBody::Bar(peer.measure(now, job.bytes)));
                self.row(&self.label(peer.name.as_str(), &files), body)
            })
            .collect();
        if shown.len() < peers.len() {
            let others = peers.len() - shown.len();
            rows.push(self.others(others));
        }
        let done = peers.iter().filter(|peer| peer.state == State::Done);
        let label = format!("{} of {} done", done.count(), peers.len());
        rows.push(self.row(
            &self.label("all", &format!(" {label}")),
            RowBody::Bar(job.measure(now)),
        ));
        rows
    }

    /// One row: label, bar, percentage, rate, time left; the last ones where there is room.
    fn row(&self, label: &str, body: RowBody) -> Row {
        let room = self.columns.saturating_sub(1 + self.label_width() + 1);
        let measure = match body {
            RowBody::Words(words, style) => {
                let template = format!("{{label}} {}", self.paint(&style, "{words}"));
                return Row::new(&template)
                    .with("label", label)
                    .with("words", truncate_str(&words, room, "…"));
            }
            RowBody::Bar(measure) => measure,
        };
        let rate = match measure.rate {
            Some(0.0) => "stalled".to_owned(),
            Some(rate) => per_second(rate),
            None => String::new(),
        };
        match measure.total {
            Some(total) => self.bar(label, room, &measure, total, rate),
            None => {
                let words = format!("{:>9} {rate:>9}", bytes(measure.bytes));
                Row::new("{label} {words}")
                    .with("label", label)
                    .with("words", truncate_str(&words, room, ""))
            }
        }
    }

    /// What an earlier attempt had done is a broken line, and no part of the bar: that goes on
    /// from there.
    fn bar(&self, label: &str, room: usize, measure: &Measure, total: u64, rate: String) -> Row {
        let (mut tail, mut taken) = ("{part:>4}".to_owned(), 4);
        if room >= BAR.0 + 1 + 4 + 10 {
            tail.push_str(" {rate:>9}");
            taken += 10;
        }
        if room >= BAR.0 + 1 + 4 + 10 + 7 {
            tail.push_str(" {left:>6}");
            taken += 7;
        }
        if room >= BAR.0 + 1 + taken + 30 {
            tail = format!(" {{bytes:>7}} of {{total:>7}}{tail}");
            taken += 19;
        }
        if measure.rate == Some(0.0) {
            tail = self.paint(&Style::new().yellow(), &tail);
        }
        let width = room.saturating_sub(taken + 1).min(BAR.1);
        let pad = " ".repeat(room.saturating_sub(taken + width));
        let old = measure.resumed.min(measure.bytes).min(total);
        let broken = part(width, old, total.max(1));
        let line = format!("{{resumed}}{{bar:{}}}", width - broken);
        let line = self.paint(&Style::new().cyan(), &line);
        #[expect(clippy::cast_precision_loss, reason = "it is said in seconds")]
        let left = match measure.rate {
            Some(rate) if rate > 0.0 => left(total.saturating_sub(measure.bytes) as f64 / rate),
            _ => String::new(),
        };
        Row::new(&format!("{{label}} {line}{pad}{tail}"))
            .with("label", label)
            .with("resumed", "┅".repeat(broken))
            .with("part", percent(measure.bytes, total))
            .with("rate", rate)
            .with("left", left)
            .with("bytes", bytes(measure.bytes))
            .with("total", bytes(total))
            .at(measure.bytes - old, total - old)
    }

    /// A name and what follows it, in the width of all labels.
    fn label(&self, name: &str, after: &str) -> String {
        let width = self.label_width();
        let after_width = measure_text_width(after);
        // What follows is dropped first: the name is what tells lines apart.
        let text = if after_width + NAME_LEAST.min(measure_text_width(name)) <= width {
            format!("{}{after}", elide(name, width - after_width))
        } else {
            elide(name, width)
        };
        let pad = width.saturating_sub(measure_text_width(&text));
        format!("{text}{}", " ".repeat(pad))
    }

    fn label_width(&self) -> usize {
        (self.columns * 3 / 8).clamp(10, 40)
    }

    fn paint(&self, style: &Style, text: &str) -> String {
        if self.color && !text.is_empty() {
            style.clone().force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }

    /// How many there is no room for.
    fn others(&self, count: usize) -> Row {
        let template = self.paint(&Style::new().dim(), "{words}");
        Row::new(&template).with("words", format!("… and {count} more"))
    }
}

/// Columns of a name below which what follows it gives way.
const NAME_LEAST: usize = 8;

/// The state in words, where there is nothing that moves.
fn words(state: &State) -> Option<RowBody> {
    Some(match state {
        State::Moving => return None,
        State::Asked => RowBody::Words("waiting for an answer".to_owned(), Style::new().dim()),
        State::Away(why) => RowBody::Words(format!("{why}; trying again"), Style::new().yellow()),
        State::Done => RowBody::Words("✓".to_owned(), Style::new().green()),
        State::Failed(why) => RowBody::Words(format!("✗ {why}"), Style::new().red()),
    })
}

fn count(done: u64, files: Option<u64>) -> String {
    match files {
        Some(1) => "1 file".to_owned(),
        Some(files) => format!("{done}/{files} files"),
        None => format!("{done} files"),
    }
}

/// The columns of so many that stand for a part of a whole that is not 0.
fn part(columns: usize, of: u64, whole: u64) -> usize {
    let part = u128::from(of.min(whole)) * columns as u128 / u128::from(whole);
    usize::try_from(part).expect("at most all columns")
}

/// Never 100 before all of it is there.
fn percent(bytes: u64, total: u64) -> String {
    let percent = u128::from(bytes.min(total)) * 100 / u128::from(total.max(1));
    format!("{percent}%")
}

/// Keeps a name's beginning and end, which tell files apart better than its middle.
pub(crate) fn elide(text: &str, columns: usize) -> String {
    if measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let head = truncate_str(text, columns / 2, "").into_owned();
    let room = columns.saturating_sub(measure_text_width(&head) + 1);
    let mut from = text.len();
    for (at, _) in text.char_indices().rev() {
        if measure_text_width(&text[at..]) > room {
            break;
        }
        from = at;
    }
    let mark = if columns == 0 { "" } else { "…" };
    format!("{head}{mark}{}", &text[from..])
}

#[cfg(test)]
mod tests;
