//! Text: its first lines.

use std::io::{BufRead, Read as _};

use super::{
    Rows, ShowError, ShowOptions,
    sanitise::{fit, sanitise_bytes},
    screen::{Role, Screen},
    source::Source,
};
use crate::format::{bytes as size, counted};

/// Prints the first lines of a text, and how many more there are.
pub(super) fn show(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    peek(source, options, options.rows_or(options.max_lines), screen)
}

/// As [`show`], with another number of lines.
pub(super) fn peek(
    source: &Source,
    options: &ShowOptions,
    max_lines: usize,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let (width, limit) = if options.rows == Rows::All {
        (MAX_LINE, u64::MAX)
    } else {
        (usize::from(options.width), SCAN_LIMIT)
    };
    let mut reader = source.text(0)?.take(limit);
    let failed = |error| source.failed(error);
    // Four bytes a character at most, and as many characters as columns.
    let most_bytes = width * 4;
    for _ in 0..max_lines {
        let Some((line, cut)) = bounded_line(&mut reader, most_bytes).map_err(failed)? else {
            return Ok(());
        };
        let mut text = sanitise_bytes(&expand_tabs(&line)).into_owned();
        if cut {
            text.push('…');
        }
        screen.line(Role::Plain, &fit(&text, width))?;
    }
    let more = count_lines(&mut reader).map_err(failed)?;
    if more == 0 {
        return Ok(());
    }
    let at_least = if reader.limit() == 0 { "at least " } else { "" };
    let (more, all) = (counted(more, "more line"), size(source.len()));
    screen.line(Role::Note, &format!("… {at_least}{more}, {all} in all …"))
}

/// The next line without its end, at most `most` bytes of it, and whether that is not all.
fn bounded_line(
    reader: &mut impl BufRead,
    most: usize,
) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    let mut line = Vec::new();
    let room = most as u64 + 1;
    if reader.by_ref().take(room).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else {
        reader.skip_until(b'\n')?;
    }
    let cut = line.len() > most;
    line.truncate(most);
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if cut {
        // The cut may be inside a character, which would look like damage.
        let whole = line.utf8_chunks().last();
        let broken = whole.map_or(0, |it| it.invalid().len());
        line.truncate(line.len() - broken);
    }
    Ok(Some((line, cut)))
}

fn count_lines(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut lines = 0;
    while reader.skip_until(b'\n')? > 0 {
        lines += 1;
    }
    Ok(lines)
}

/// Tabs as spaces up to the next multiple of eight characters.
fn expand_tabs(line: &[u8]) -> Vec<u8> {
    let (mut out, mut column) = (Vec::with_capacity(line.len()), 0);
    for byte in line {
        if *byte == b'\t' {
            let spaces = TAB - column % TAB;
            out.resize(out.len() + spaces, b' ');
            column += spaces;
        } else {
            out.push(*byte);
            column += usize::from(byte & 0xc0 != 0x80);
        }
    }
    out
}

const TAB: usize = 8;

/// Characters of a line where lines are not cut to the window.
const MAX_LINE: usize = 1 << 20;

/// How much of the file is read to count its lines.
const SCAN_LIMIT: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_in_bounded_memory_and_the_next_one_is_found() {
        let text = format!("{}é\r\nnext", "x".repeat(100_000));
        let mut reader = std::io::BufReader::with_capacity(7, text.as_bytes());
        let (line, cut) = bounded_line(&mut reader, 10).unwrap().unwrap();
        assert_eq!((line, cut), (b"x".repeat(10), true));
        let (line, cut) = bounded_line(&mut reader, 10).unwrap().unwrap();
        assert_eq!((&line[..], cut), (&b"next"[..], false));
        assert!(bounded_line(&mut reader, 10).unwrap().is_none());
    }

    #[test]
    fn a_cut_does_not_split_a_character() {
        let (line, cut) = bounded_line(&mut "aé".as_bytes(), 2).unwrap().unwrap();
        assert_eq!((&line[..], cut), (&b"a"[..], true));
    }

    #[test]
    fn tabs_reach_the_next_stop() {
        assert_eq!(
            expand_tabs("\té\tb".as_bytes()),
            "        é       b".as_bytes()
        );
    }

    #[test]
    fn lines_are_counted_with_and_without_a_last_end() {
        assert_eq!(count_lines(&mut &b""[..]).unwrap(), 0);
        assert_eq!(count_lines(&mut &b"a\nb"[..]).unwrap(), 2);
        assert_eq!(count_lines(&mut &b"a\nb\n"[..]).unwrap(), 2);
    }
}
