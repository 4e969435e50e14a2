//! Text: its first lines.

use std::io::{BufRead, Read as _};

use super::{
    ShowError, ShowOptions,
    sanitise::{counted, fit, sanitise_bytes},
    screen::{Role, Screen},
    source::Source,
};
use crate::format::bytes as size;

/// Prints the first lines of a text, and how many more there are.
pub(super) fn show(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    peek(source, options, options.max_lines, screen)
}

/// As [`show`], with another number of lines.
pub(super) fn peek(
    source: &Source,
    options: &ShowOptions,
    max_lines: usize,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let width = usize::from(options.width);
    let mut reader = source.text(0)?.take(SCAN_LIMIT);
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
    let (mut line, mut cut, mut any) = (Vec::new(), false, false);
    loop {
        let more = reader.fill_buf()?;
        if more.is_empty() {
            break;
        }
        any = true;
        let end = more.iter().position(|byte| *byte == b'\n');
        let part = &more[..end.unwrap_or(more.len())];
        let room = most - line.len();
        cut |= part.len() > room;
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(more.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if cut {
        // The cut may be inside a character, which would look like damage.
        let whole = line.utf8_chunks().last();
        let broken = whole.map_or(0, |it| it.invalid().len());
        line.truncate(line.len() - broken);
    }
    Ok(any.then_some((line, cut)))
}

fn count_lines(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let (mut lines, mut open) = (0, false);
    loop {
        let more = reader.fill_buf()?;
        let Some(last) = more.last() else {
            return Ok(lines + u64::from(open));
        };
        open = *last != b'\n';
        lines += more.iter().filter(|byte| **byte == b'\n').count() as u64;
        let used = more.len();
        reader.consume(used);
    }
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
