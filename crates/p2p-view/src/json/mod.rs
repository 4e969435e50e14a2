//! JSON: indented, as it is in the file, the middle of what is long left out.

mod outline;
mod print;
mod scan;
mod string;

use self::{
    outline::Outline,
    print::Printer,
    scan::{Flaw, Piece, Problem, Scanner},
};
use super::{
    Rows, ShowError, ShowOptions,
    sanitise::{columns, fit, sanitise_bytes},
    screen::{Role, Screen},
    source::Source,
    text,
};
use crate::format::{bytes as size, counted};

/// Whether a text without a name that says so is JSON: an object or an array, without a flaw as
/// far as the sample goes.
pub(super) fn looks_like(sample: &[u8], is_all: bool) -> bool {
    let first = sample.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        return false;
    }
    let mut scanner = Scanner::new(sample, !is_all);
    loop {
        match scanner.next() {
            Ok(Piece::End) => return true,
            Ok(_) => {}
            Err(flaw) => return matches!(flaw.problem, Problem::Limit),
        }
    }
}

/// Prints a JSON file.
pub(super) fn show(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let is_all = options.rows == Rows::All;
    let (text, is_part) = source.text_up_to(if is_all { ALL_LIMIT } else { SCAN_LIMIT })?;
    let mut scanner = Scanner::new(&text, is_part);
    let rest = || {
        let (read, all) = (size(text.len() as u64), size(source.len()));
        format!("[the first {read} of {all}; the rest was not read]")
    };
    if is_all {
        return match print::print_all(screen, &mut scanner)? {
            None => Ok(()),
            Some(flaw) if matches!(flaw.problem, Problem::Limit) => {
                screen.line(Role::Note, &rest())
            }
            Some(flaw) => show_flaw(&text, &flaw, options, screen),
        };
    }
    let most_lines = options.rows_or(options.max_lines);
    let outline = match Outline::read(&mut scanner, options.rows_or(KEPT).clamp(KEPT, MOST_KEPT)) {
        Ok(outline) => outline,
        Err(flaw) => {
            show_flaw(&text, &flaw, options, screen)?;
            return text::peek(source, options, PEEK_LINES, screen);
        }
    };
    if outline.values.is_empty() {
        screen.line(Role::Warning, "not valid JSON: there is no value in it")?;
        return text::peek(source, options, PEEK_LINES, screen);
    }
    let most_chars = (usize::from(options.width) * STRING_ROWS).min(MAX_STRING_CHARS);
    Printer::print(screen, &outline.values, most_chars, most_lines)?;

    if is_part {
        screen.line(Role::Note, &rest())?;
    }
    if outline.repetitions > 0 {
        let more = outline.repetitions > outline.repeated.len() as u64;
        let note = format!(
            "[{} in one object: {}{}]",
            counted(outline.repetitions, "repeated name"),
            outline.repeated.join(", "),
            if more { ", …" } else { "" }
        );
        screen.line(Role::Warning, &note)?;
    }
    if options.verbose {
        let note = format!(
            "[{}, {} deep, {}]",
            counted(outline.total, "value"),
            counted(outline.levels, "level"),
            size(source.len())
        );
        screen.line(Role::Note, &note)?;
    }
    Ok(())
}

/// Prints what is wrong, and the line with it.
fn show_flaw(
    text: &[u8],
    flaw: &Flaw,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    screen.line(Role::Warning, &format!("not valid JSON: {flaw}"))?;
    let (line, column) = excerpt(text, flaw.offset, usize::from(options.width).max(8));
    screen.line(Role::Plain, &line)?;
    screen.line(Role::Warning, &format!("{:column$}^", ""))
}

/// The line with the flaw, or the part of it that fits, and the column in which the flaw is.
fn excerpt(text: &[u8], flaw: usize, width: usize) -> (String, usize) {
    let start = flaw.saturating_sub(width / 2);
    let (before, after) = (&text[start..flaw], &text[flaw..]);
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let before = before.rsplit(is_end).next().unwrap_or_default();
    let after = &after[..after.len().min(start + width - flaw)];
    let after = after.split(is_end).next().unwrap_or_default();
    // The excerpt may begin inside a character.
    let whole = before.iter().position(|byte| byte & 0xc0 != 0x80);
    let before = sanitise_bytes(&before[whole.unwrap_or(0)..]).replace("\\t", " ");
    let after = sanitise_bytes(after).replace("\\t", " ");
    let line = fit(&format!("{before}{after}"), width).into_owned();
    (line, columns(&before).min(width - 1))
}

/// How much of a file is read: enough for what people send each other, and done in a second.
const SCAN_LIMIT: usize = 32 << 20;

/// How much is read if all is to be shown, which its owner asked for.
const ALL_LIMIT: usize = 1 << 30;

/// Members of a container that are kept from either end, and how many at most for who asks.
const KEPT: usize = 100;
const MOST_KEPT: usize = 100_000;

/// Rows of the screen that one string may take, about.
const STRING_ROWS: usize = 2;

/// Characters of a string that are shown on a screen of any width.
const MAX_STRING_CHARS: usize = 400;

/// Characters of a name that are shown.
const NAME_CHARS: usize = 60;

/// Lines of a damaged file that are shown as text.
const PEEK_LINES: usize = 10;
