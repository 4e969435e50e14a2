//! JSON: indented, as it is in the file, the middle of what is long left out.

mod bracket;
mod clip;
mod flaw;
mod input;
mod outline;
mod print;
mod scan;

use std::io::Read as _;

use self::{
    flaw::{Flaw, Problem},
    outline::Outline,
    print::Printer,
    scan::{Piece, Scanner},
};
use super::{
    ShowError, ShowOptions,
    sanitise::{columns, counted, fit, sanitise_bytes},
    screen::{Role, Screen},
    source::Source,
    text,
};
use crate::format::bytes as size;

/// Whether a text without a name that says so is JSON: an object or an array, without a flaw as
/// far as the sample goes.
pub(super) fn looks_like(sample: &[u8], is_all: bool) -> bool {
    let first = sample.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        return false;
    }
    let mut scanner = Scanner::new(sample, u64::MAX, 1);
    loop {
        match scanner.next() {
            Ok(Piece::End) => return true,
            Ok(_) => {}
            Err(flaw) => {
                return !is_all && matches!(flaw.problem, Problem::Ends(_) | Problem::EndsInString);
            }
        }
    }
}

/// Prints a JSON file.
pub(super) fn show(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let most_chars = (usize::from(options.width) * STRING_ROWS).min(MAX_STRING_CHARS);
    let mut scanner = Scanner::new(source.text(0)?, SCAN_LIMIT, most_chars);
    let outline = match Outline::read(&mut scanner) {
        Ok(outline) => outline,
        Err(Flaw {
            problem: Problem::Read(error),
            ..
        }) => return Err(source.failed(error)),
        Err(flaw) => return show_flaw(source, &flaw, options, screen),
    };
    if outline.values.len == 0 && !outline.values.cut {
        screen.line(Role::Warning, "not valid JSON: there is no value in it")?;
        return text::peek(source, options, PEEK_LINES, screen);
    }
    Printer::new(screen, most_chars).print(&outline.values, options.max_lines)?;

    if outline.values.cut {
        let (read, all) = (size(scanner.offset()), size(source.len()));
        let note = format!("[the first {read} of {all}; the rest was not read]");
        screen.line(Role::Note, &note)?;
    }
    let (names, times) = &outline.repeated;
    if *times > 0 {
        let mut list: Vec<String> = names
            .iter()
            .map(|it| format!("\"{}\"", it.shown(NAME_CHARS)))
            .collect();
        if *times > list.len() as u64 {
            list.push("…".to_owned());
        }
        let note = format!(
            "[{} in one object: {}]",
            counted(*times, "repeated name"),
            list.join(", ")
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

/// Prints what is wrong and where, then the beginning of the file as text.
fn show_flaw(
    source: &Source,
    flaw: &Flaw,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    screen.line(Role::Warning, &format!("not valid JSON: {flaw}"))?;
    if !source.is_utf16() {
        let (line, column) = excerpt(source, flaw, options)?;
        screen.line(Role::Plain, &line)?;
        screen.line(Role::Warning, &format!("{:column$}^", ""))?;
    }
    text::peek(source, options, PEEK_LINES, screen)
}

/// The line with the flaw, or the part of it that fits, and the column in which the flaw is.
fn excerpt(
    source: &Source,
    flaw: &Flaw,
    options: &ShowOptions,
) -> Result<(String, usize), ShowError> {
    let width = usize::from(options.width).max(8);
    let start = flaw.offset.saturating_sub(width as u64 / 2);
    let before_len = usize::try_from(flaw.offset - start).expect("at most half the width");
    let mut bytes = Vec::new();
    source
        .text(start)?
        .take(width as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| source.failed(error))?;
    let (before, after) = bytes.split_at(before_len.min(bytes.len()));
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let from = before.iter().rposition(is_end).map_or(0, |at| at + 1);
    let to = after.iter().position(is_end).unwrap_or(after.len());
    // The excerpt may begin inside a character.
    let before = &before[from..];
    let whole = before.iter().position(|byte| byte & 0xc0 != 0x80);
    let before = sanitise_bytes(&before[whole.unwrap_or(0)..]).replace("\\t", " ");
    let after = sanitise_bytes(&after[..to]).replace("\\t", " ");
    let column = columns(&before);
    let line = fit(&format!("{before}{after}"), width).into_owned();
    Ok((line, column.min(width - 1)))
}

/// How much of a file is read: enough for what people send each other, and done in a second.
const SCAN_LIMIT: u64 = 32 << 20;

/// Rows of the screen that one string may take, about.
const STRING_ROWS: usize = 2;

/// Bounds the memory for a string on a screen of any width.
const MAX_STRING_CHARS: usize = 400;

/// Characters of a name that are shown.
const NAME_CHARS: usize = 60;

/// Lines of a damaged file that are shown as text.
const PEEK_LINES: usize = 10;
