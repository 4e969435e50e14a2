//! What is told of each job, in rows for a window of any width.

use std::time::Instant;

use console::{Style, measure_text_width, truncate_str};
use p2p_view::format::{bytes, left, per_second};

use super::{
    canvas::Row,
    job::{Job, Lane, Measure, State, Way},
};

/// Lays jobs out for a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) color: bool,
}

/// What stands beside a label.
enum Tale {
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
    pub(super) fn rows(&self, job: &Job, now: Instant) -> Vec<Row> {
        match job.lanes.as_slice() {
            [] => Vec::new(),
            [lane] => self.one(job, lane, now),
            lanes => self.several(job, lanes, now),
        }
    }

    /// A bar for the only file, or for the large ones and all together.
    fn one(&self, job: &Job, lane: &Lane, now: Instant) -> Vec<Row> {
        let arrow = match job.way {
            Way::To => "→",
            Way::From => "←",
        };
        let label = |what: &str| self.label(what, &format!(" {arrow} {}", lane.name));
        if let Some(words) = words(&lane.state) {
            return vec![self.row(&label(&count(lane.files, job.files)), words)];
        }
        if job.files == Some(1) {
            let file = lane.under_way.first();
            return file
                .map(|file| self.row(&label(&file.path), Tale::Bar(file.measure(now))))
                .into_iter()
                .collect();
        }
        let large = |file: &&super::job::File| file.total.is_none_or(|total| total >= OWN_BAR);
        let files = lane.under_way.iter().filter(large).take(FILES_MAX);
        let mut rows: Vec<_> = files
            .map(|file| self.row(&label(&file.path), Tale::Bar(file.measure(now))))
            .collect();
        let all = lane.measure(now, job.bytes);
        rows.push(self.row(&label(&count(lane.files, job.files)), Tale::Bar(all)));
        rows
    }

    /// A bar for each peer, as far as there is room, and one for all together.
    fn several(&self, job: &Job, lanes: &[Lane], now: Instant) -> Vec<Row> {
        // The total, the line for those who are left out, and the prompt's need a row each.
        let room = self.rows.saturating_sub(3).clamp(1, 12);
        let mut shown: Vec<_> = lanes.iter().collect();
        if shown.len() > room {
            // Those who are not served yet are what one waits for.
            shown.sort_by_key(|lane| matches!(lane.state, State::Done | State::Failed(_)));
            shown.truncate(room);
        }
        let several_files = job.files != Some(1);
        let mut rows: Vec<_> = shown
            .iter()
            .map(|lane| {
                let files = if several_files {
                    format!(" {}", count(lane.files, job.files))
                } else {
                    String::new()
                };
                let tale =
                    words(&lane.state).unwrap_or_else(|| Tale::Bar(lane.measure(now, job.bytes)));
                self.row(&self.label(lane.name.as_str(), &files), tale)
            })
            .collect();
        if shown.len() < lanes.len() {
            let others = lanes.len() - shown.len();
            rows.push(self.others(others));
        }
        let done = lanes.iter().filter(|lane| lane.state == State::Done);
        let label = format!("{} of {} done", done.count(), lanes.len());
        rows.push(self.row(
            &self.label("all", &format!(" {label}")),
            Tale::Bar(job.measure(now)),
        ));
        rows
    }

    /// One row: label, bar, percentage, rate, time left; the last ones where there is room.
    fn row(&self, label: &str, tale: Tale) -> Row {
        let room = self.columns.saturating_sub(1 + self.label_width() + 1);
        let measure = match tale {
            Tale::Words(words, style) => {
                let template = format!("{{label}} {}", self.paint(&style, "{words}"));
                let words = truncate_str(&words, room, "…").into_owned();
                return Row::new(&template)
                    .told("label", label)
                    .told("words", words);
            }
            Tale::Bar(measure) => measure,
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
                    .told("label", label)
                    .told("words", truncate_str(&words, room, "").into_owned())
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
        let broken = u128::from(old) * width as u128 / u128::from(total.max(1));
        let broken = usize::try_from(broken).expect("at most the width");
        let line = format!("{{resumed}}{{bar:{}}}", width - broken);
        let line = self.paint(&Style::new().cyan(), &line);
        #[expect(clippy::cast_precision_loss, reason = "it is told in seconds")]
        let left = match measure.rate {
            Some(rate) if rate > 0.0 => left(total.saturating_sub(measure.bytes) as f64 / rate),
            _ => String::new(),
        };
        Row::new(&format!("{{label}} {line}{pad}{tail}"))
            .told("label", label)
            .told("resumed", "┅".repeat(broken))
            .told("part", percent(measure.bytes, total))
            .told("rate", rate)
            .told("left", left)
            .told("bytes", bytes(measure.bytes))
            .told("total", bytes(total))
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
        Row::new(&template).told("words", format!("… and {count} more"))
    }
}

/// Columns of a name below which what follows it gives way.
const NAME_LEAST: usize = 8;

/// The state in words, where there is nothing that moves.
fn words(state: &State) -> Option<Tale> {
    Some(match state {
        State::Moving => return None,
        State::Asked => Tale::Words("waiting for an answer".to_owned(), Style::new().dim()),
        State::Away(why) => Tale::Words(format!("{why}; trying again"), Style::new().yellow()),
        State::Done => Tale::Words("✓".to_owned(), Style::new().green()),
        State::Failed(why) => Tale::Words(format!("✗ {why}"), Style::new().red()),
    })
}

fn count(done: u64, files: Option<u64>) -> String {
    match files {
        Some(1) => "1 file".to_owned(),
        Some(files) => format!("{done}/{files} files"),
        None => format!("{done} files"),
    }
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
mod tests {
    use std::time::Duration;

    use super::{super::canvas::Canvas, *};
    use crate::{protocol::PeerId, transfer::PeerRef};

    const WIDTHS: [usize; 7] = [20, 30, 40, 60, 80, 120, 300];

    /// A job of three seconds, in which each peer was given these files at a steady rate.
    fn job(files: u64, peers: &[&str], paths: &[&str]) -> (Job, Instant) {
        let start = Instant::now();
        let mut job = Job::new(Way::To);
        (job.files, job.bytes) = (Some(files), Some(100_000_000 * files));
        for (i, name) in peers.iter().enumerate() {
            let id = PeerId::from_bytes([u8::try_from(i).unwrap(); 32]);
            let lane = job.lane(&PeerRef::new(id, name.parse().unwrap()));
            for second in 0..4 {
                for path in paths {
                    let at = start + Duration::from_secs(second);
                    let bytes = 30_000_000 + second * 10_000_000;
                    lane.progress(at, path.to_string(), bytes, Some(100_000_000), 30_000_000);
                }
            }
        }
        (job, start + Duration::from_secs(3))
    }

    fn lines((job, now): &(Job, Instant), columns: usize, color: bool) -> Vec<String> {
        let view = View {
            columns,
            rows: 24,
            color,
        };
        Canvas::default().lines(view.rows(job, *now))
    }

    #[test]
    fn no_line_fills_the_window_at_any_width() {
        let long = "文".repeat(60);
        let jobs = [
            job(1, &["alice"], &["big.bin"]),
            job(1, &["a-peer-with-a-name-of-some-length"], &[&long]),
            job(300, &["alice"], &["one.bin", "two.bin", &long]),
            job(2, &["alice", "bob", "日本のサーバー"], &["one.bin"]),
        ];
        for columns in WIDTHS {
            for job in &jobs {
                let plain = lines(job, columns, false);
                for line in &plain {
                    let width = measure_text_width(line);
                    assert!(width < columns, "{width} of {columns}: {line:?}");
                }
                let colored = lines(job, columns, true).join("\n");
                assert_eq!(console::strip_ansi_codes(&colored), plain.join("\n"));
            }
        }
    }

    #[test]
    fn a_line_tells_all_there_is_room_for() {
        let one = job(1, &["alice"], &["big.bin"]);
        assert_eq!(
            lines(&one, 80, false),
            ["big.bin → alice                ┅┅┅┅┅┅┅━━━━━━━━╸            60% 10.0 MB/s     4s"]
        );
        assert_eq!(
            lines(&one, 40, false),
            ["big.bin → alice ┅┅━━╸     60% 10.0 MB/s"]
        );
    }

    #[test]
    fn several_recipients_have_a_bar_each_and_one_together() {
        let mut several = job(2, &["alice", "bob", "carol", "dave"], &["x"]);
        several.0.lanes[1].state = State::Away("stopped listening".into());
        several.0.lanes[2].state = State::Done;
        several.0.lanes[3].state = State::Failed("declined".into());
        let lines = lines(&several, 60, false);
        assert_eq!(lines.len(), 5);
        assert!(lines[0].starts_with("alice 0/2 files  "), "{}", lines[0]);
        assert!(lines[1].ends_with("stopped listening; trying again"));
        assert!(lines[2].ends_with(" ✓"));
        assert!(lines[3].ends_with("✗ declined"));
        assert!(lines[4].starts_with("all 1 of 4 done "), "{}", lines[4]);
        assert!(lines[4].contains("10.0 MB/s"), "{}", lines[4]);
    }

    #[test]
    fn hundreds_of_small_files_are_one_bar() {
        let (mut job, now) = job(300, &["alice"], &[]);
        let peer = PeerRef::new(PeerId::from_bytes([0; 32]), "alice".parse().unwrap());
        for i in 0..120 {
            job.settle(&peer, &format!("file{i}"), 100);
        }
        let lines = lines(&(job, now), 80, false);
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].starts_with("120/300 files → alice "),
            "{}",
            lines[0]
        );
    }

    #[test]
    fn more_recipients_than_rows_leave_room_for_the_prompt() {
        let names: Vec<_> = (0..50).map(|i| format!("peer{i}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let (mut job, now) = job(1, &names, &["x"]);
        job.lanes[0].state = State::Done;
        let view = View {
            columns: 80,
            rows: 10,
            color: false,
        };
        let lines = Canvas::default().lines(view.rows(&job, now));
        assert_eq!(lines.len(), 9);
        // Those that are done make room for those that are not.
        assert!(lines[0].starts_with("peer1 "), "{}", lines[0]);
        assert!(lines[7].contains("43 more"), "{}", lines[7]);
    }

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        let short = elide("a-very-long-file-name-indeed.tar.gz", 18);
        assert!(
            short.starts_with("a-very") && short.ends_with("tar.gz") && short.contains('…'),
            "{short}"
        );
        for columns in 0..20 {
            assert!(measure_text_width(&elide(&"文".repeat(40), columns)) <= columns);
        }
    }
}
