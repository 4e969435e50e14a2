//! Bars as lines of text, for a window of any width.

use std::time::Instant;

use console::{Style, measure_text_width, truncate_str};

use super::{
    super::format::{bytes, left, per_second},
    job::{Job, Lane, Measure, State, Way},
};

/// Draws jobs for a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) color: bool,
}

/// What a line is about, and what stands where the bar would.
enum Row {
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
    /// The lines of one job.
    pub(super) fn lines(&self, job: &Job, now: Instant) -> Vec<String> {
        match job.lanes.as_slice() {
            [] => Vec::new(),
            [lane] => self.one(job, lane, now),
            lanes => self.several(job, lanes, now),
        }
    }

    /// A bar for the only file, or for the large ones and all together.
    fn one(&self, job: &Job, lane: &Lane, now: Instant) -> Vec<String> {
        let arrow = match job.way {
            Way::To => "→",
            Way::From => "←",
        };
        let label = |what: &str| self.label(what, &format!(" {arrow} {}", lane.name));
        if let Some(row) = words(&lane.state) {
            return vec![self.line(&label(&count(lane.files, job.files)), row)];
        }
        if job.files == Some(1) {
            let file = lane.under_way.first();
            return file
                .map(|file| self.line(&label(&file.path), Row::Bar(file.measure(now))))
                .into_iter()
                .collect();
        }
        let large = |file: &&super::job::File| file.total.is_none_or(|total| total >= OWN_BAR);
        let files = lane.under_way.iter().filter(large).take(FILES_MAX);
        let mut lines: Vec<_> = files
            .map(|file| self.line(&label(&file.path), Row::Bar(file.measure(now))))
            .collect();
        let all = lane.measure(now, job.bytes);
        lines.push(self.line(&label(&count(lane.files, job.files)), Row::Bar(all)));
        lines
    }

    /// A bar for each peer, as far as there is room, and one for all together.
    fn several(&self, job: &Job, lanes: &[Lane], now: Instant) -> Vec<String> {
        // The total, the line for those who are left out, and the prompt's need a row each.
        let room = self.rows.saturating_sub(3).clamp(1, 12);
        let mut shown: Vec<_> = lanes.iter().collect();
        if shown.len() > room {
            // Those who are not served yet are what one waits for.
            shown.sort_by_key(|lane| matches!(lane.state, State::Done | State::Failed(_)));
            shown.truncate(room);
        }
        let several_files = job.files != Some(1);
        let mut lines: Vec<_> = shown
            .iter()
            .map(|lane| {
                let files = if several_files {
                    format!(" {}", count(lane.files, job.files))
                } else {
                    String::new()
                };
                let row =
                    words(&lane.state).unwrap_or_else(|| Row::Bar(lane.measure(now, job.bytes)));
                self.line(&self.label(lane.name.as_str(), &files), row)
            })
            .collect();
        if shown.len() < lanes.len() {
            let others = lanes.len() - shown.len();
            lines.push(self.dim(&format!("… and {others} more")));
        }
        let done = lanes.iter().filter(|lane| lane.state == State::Done);
        let label = format!("{} of {} done", done.count(), lanes.len());
        lines.push(self.line(
            &self.label("all", &format!(" {label}")),
            Row::Bar(job.measure(now)),
        ));
        lines
    }

    /// One line: label, bar, percentage, rate, time left; the last ones where there is room.
    fn line(&self, label: &str, row: Row) -> String {
        let room = self.columns.saturating_sub(1 + self.label_width() + 1);
        let measure = match row {
            Row::Words(words, style) => {
                let words = truncate_str(&words, room, "…").into_owned();
                return format!("{label} {}", self.paint(&style, &words));
            }
            Row::Bar(measure) => measure,
        };
        let is_stalled = measure.rate == Some(0.0);
        let rate = match measure.rate {
            Some(0.0) => "stalled".to_owned(),
            Some(rate) => per_second(rate),
            None => String::new(),
        };
        let Some(total) = measure.total else {
            let text = format!("{:>9} {rate:>9}", bytes(measure.bytes));
            return format!("{label} {}", truncate_str(&text, room, ""));
        };
        let mut tail = format!("{:>4}", percent(measure.bytes, total));
        if room >= BAR.0 + 1 + 4 + 10 {
            tail.push_str(&format!(" {rate:>9}"));
        }
        if room >= BAR.0 + 1 + 4 + 10 + 7 {
            let rest = total.saturating_sub(measure.bytes);
            #[expect(clippy::cast_precision_loss, reason = "it is told in seconds")]
            let left = match measure.rate {
                Some(rate) if rate > 0.0 => left(rest as f64 / rate),
                _ => String::new(),
            };
            tail.push_str(&format!("  {left:>5}"));
        }
        if room >= BAR.0 + 1 + tail.len() + 30 {
            tail = format!(" {:>7} of {:>7}{tail}", bytes(measure.bytes), bytes(total));
        }
        let width = room.saturating_sub(tail.len() + 1).min(BAR.1);
        let pad = room.saturating_sub(tail.len() + width);
        let tail = if is_stalled {
            self.paint(&Style::new().yellow(), &tail)
        } else {
            tail
        };
        format!(
            "{label} {}{}{tail}",
            self.bar(&measure, total, width),
            " ".repeat(pad)
        )
    }

    /// What is done as a line, what an earlier attempt had done as a broken one before it.
    fn bar(&self, measure: &Measure, total: u64, width: usize) -> String {
        let cells = |bytes: u64| -> usize {
            let part = u128::from(bytes.min(total)) * width as u128 / u128::from(total.max(1));
            usize::try_from(part).expect("at most the width")
        };
        let (resumed, done) = (cells(measure.resumed), cells(measure.bytes));
        let old = resumed.min(done);
        let mut line = format!("{}{}", "┅".repeat(old), "━".repeat(done - old));
        if done < width && measure.bytes > 0 {
            line.push('╸');
        }
        let rest = " ".repeat(width.saturating_sub(line.chars().count()));
        format!("{}{rest}", self.paint(&Style::new().cyan(), &line))
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

    fn dim(&self, text: &str) -> String {
        self.paint(&Style::new().dim(), text)
    }
}

/// Columns of a name below which what follows it gives way.
const NAME_LEAST: usize = 8;

/// The state in words, where there is nothing that moves.
fn words(state: &State) -> Option<Row> {
    Some(match state {
        State::Moving => return None,
        State::Asked => Row::Words("waiting for an answer".to_owned(), Style::new().dim()),
        State::Away(why) => Row::Words(format!("{why}; trying again"), Style::new().yellow()),
        State::Done => Row::Words("✓".to_owned(), Style::new().green()),
        State::Failed(why) => Row::Words(format!("✗ {why}"), Style::new().red()),
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

    use super::*;
    use crate::protocol::PeerId;

    const WIDTHS: [usize; 7] = [20, 30, 40, 60, 80, 120, 300];

    /// A job of three seconds, in which each peer was given these files at a steady rate.
    fn job(files: u64, peers: &[&str], paths: &[&str]) -> (Job, Instant) {
        let start = Instant::now();
        let mut job = Job::new(Way::To);
        (job.files, job.bytes) = (Some(files), Some(100_000_000 * files));
        for (i, name) in peers.iter().enumerate() {
            let id = PeerId::from_bytes([u8::try_from(i).unwrap(); 32]);
            let lane = job.lane(id, &name.parse().unwrap());
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
        view.lines(job, *now)
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
        let (peer, name) = (PeerId::from_bytes([0; 32]), "alice".parse().unwrap());
        for i in 0..120 {
            job.settle(peer, &name, &format!("file{i}"), 100);
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
        let lines = view.lines(&job, now);
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
