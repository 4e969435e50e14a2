//! Progress bars: one for each file under way, and a total where there are several.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use console::{measure_text_width, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::protocol::{PeerId, TransferId};

/// Files that have a bar of their own at once; the total speaks for the others.
const BARS_MAX: usize = 10;
/// Columns for a file's and its peer's name.
const LABEL: usize = 28;
/// How often bars are redrawn while nothing moves.
const STEADY: Duration = Duration::from_millis(200);

/// The bars of all transfers; without a terminal it draws nothing and prints plain lines.
pub struct Bars {
    shown: bool,
    multi: MultiProgress,
    transfers: Mutex<HashMap<TransferId, Group>>,
}

/// The bars of one transfer.
#[derive(Default)]
struct Group {
    files: HashMap<(PeerId, String), FileBar>,
    total: Option<ProgressBar>,
    /// Bytes of finished files.
    finished: u64,
    /// Files and bytes over all recipients, where they are known.
    expected: (Option<u64>, Option<u64>),
    done: u64,
}

struct FileBar {
    bar: Option<ProgressBar>,
    bytes: u64,
}

impl std::fmt::Debug for Bars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bars")
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

impl Bars {
    /// Bars on standard error, or none.
    #[must_use]
    pub fn new(shown: bool) -> Self {
        let target = if shown {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            shown,
            multi: MultiProgress::with_draw_target(target),
            transfers: Mutex::default(),
        }
    }

    /// Prints a line above the bars.
    pub fn line(&self, line: &str) {
        if self.shown {
            // A closed standard error leaves nobody to tell.
            let _ = self.multi.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// A transfer begins, with so many files and bytes over all of its recipients.
    pub fn begin(&self, transfer: TransferId, files: Option<u64>, bytes: Option<u64>) {
        self.with(transfer, |group| group.expected = (files, bytes));
    }

    /// A recipient has stored so much of a file.
    pub fn progress(
        &self,
        transfer: TransferId,
        peer: PeerId,
        (peer_name, file): (&str, &str),
        bytes: u64,
        total: Option<u64>,
    ) {
        if !self.shown {
            return;
        }
        self.with(transfer, |group| {
            let shown = group.files.values().filter(|f| f.bar.is_some()).count();
            let entry = group
                .files
                .entry((peer, file.to_owned()))
                .or_insert_with(|| {
                    let bar = (shown < BARS_MAX).then(|| {
                        self.file_bar(group.total.as_ref(), &label(file, peer_name), total)
                    });
                    FileBar { bar, bytes: 0 }
                });
            entry.bytes = bytes;
            if let Some(bar) = &entry.bar {
                bar.set_position(bytes);
            }
            self.update_total(group);
        });
    }

    /// A recipient has all of a file.
    pub fn finished(&self, transfer: TransferId, peer: PeerId, file: &str, bytes: u64) {
        if !self.shown {
            return;
        }
        self.with(transfer, |group| {
            if let Some(FileBar { bar: Some(bar), .. }) =
                group.files.remove(&(peer, file.to_owned()))
            {
                bar.finish_and_clear();
            }
            group.finished += bytes;
            group.done += 1;
            self.update_total(group);
        });
    }

    /// A transfer is over.
    pub fn end(&self, transfer: TransferId) {
        let group = self
            .transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&transfer);
        for bar in group
            .into_iter()
            .flat_map(|g| g.files.into_values().filter_map(|f| f.bar).chain(g.total))
        {
            bar.finish_and_clear();
        }
    }

    fn with(&self, transfer: TransferId, f: impl FnOnce(&mut Group)) {
        f(self
            .transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(transfer)
            .or_default());
    }

    fn file_bar(
        &self,
        before: Option<&ProgressBar>,
        label: &str,
        total: Option<u64>,
    ) -> ProgressBar {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(true)),
            None => ProgressBar::no_length().with_style(style(false)),
        };
        let bar = bar.with_prefix(label.to_owned());
        let bar = match before {
            Some(total) => self.multi.insert_before(total, bar),
            None => self.multi.add(bar),
        };
        bar.enable_steady_tick(STEADY);
        bar
    }

    /// The total appears once there is more than one file, and counts files where there are many.
    fn update_total(&self, group: &mut Group) {
        let several = group.expected.0.is_none_or(|files| files > 1);
        if !several {
            return;
        }
        let bytes = group.finished + group.files.values().map(|f| f.bytes).sum::<u64>();
        let total = group.total.get_or_insert_with(|| {
            let bar = match group.expected.1 {
                Some(total) => ProgressBar::new(total).with_style(style(true)),
                None => ProgressBar::no_length().with_style(style(false)),
            };
            let bar = self.multi.add(bar);
            bar.enable_steady_tick(STEADY);
            bar
        });
        total.set_position(bytes);
        total.set_prefix(match group.expected.0 {
            Some(files) => pad(&format!("total {}/{files} files", group.done)),
            None => pad(&format!("total {} files", group.done)),
        });
    }
}

fn label(file: &str, peer: &str) -> String {
    pad(&format!(
        "{} {}",
        elide(file, LABEL - 10),
        truncate_str(peer, 9, "…")
    ))
}

/// Keeps a name's beginning and end, which tell files apart better than its middle.
fn elide(text: &str, columns: usize) -> String {
    if measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let head = truncate_str(text, columns / 2, "").into_owned();
    let mut tail: Vec<char> = Vec::new();
    for c in text.chars().rev() {
        let with: String = tail.iter().rev().collect::<String>() + &c.to_string();
        if measure_text_width(&with) > columns - columns / 2 - 1 {
            break;
        }
        tail.push(c);
    }
    format!("{head}…{}", tail.iter().rev().collect::<String>())
}

fn pad(text: &str) -> String {
    let width = measure_text_width(text);
    format!("{text}{}", " ".repeat(LABEL.saturating_sub(width)))
}

fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "{prefix} {wide_bar} {percent:>3}% {decimal_bytes_per_sec:>11} {eta:>4}"
    } else {
        "{prefix} {spinner} {decimal_bytes} {decimal_bytes_per_sec}"
    };
    ProgressStyle::with_template(template)
        .expect("a valid template")
        .progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        let short = elide("a-very-long-file-name-indeed.tar.gz", 18);
        assert!(
            short.starts_with("a-very") && short.ends_with("tar.gz") && short.contains('…'),
            "{short}"
        );
        assert!(measure_text_width(&short) <= 18);
        assert!(measure_text_width(&elide(&"文".repeat(40), 18)) <= 18);
    }
}
