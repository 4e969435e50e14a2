//! Anything that is not text: what it is, and its first bytes in hexadecimal and as text.

use std::{fmt::Write as _, io::Read as _};

use super::{
    ShowError, ShowOptions,
    screen::{Role, Screen},
    source::Source,
};
use crate::format::bytes as size;

/// Prints the type and the first bytes of a file.
pub(super) fn show(
    source: &Source,
    options: &ShowOptions,
    screen: &mut Screen<'_>,
) -> Result<(), ShowError> {
    let what = match infer::get(source.head()) {
        Some(it) => format!("{} ({})", it.mime_type(), it.extension()),
        None => "unknown type".to_owned(),
    };
    screen.line(
        Role::Name,
        &format!("binary file, {what}, {}", size(source.len())),
    )?;
    let per_row = bytes_per_row(usize::from(options.width));
    let mut reader = source.bytes(0)?;
    let mut shown = 0;
    for _ in 0..options.rows_or(ROWS) {
        let mut row = Vec::new();
        (&mut reader)
            .take(per_row as u64)
            .read_to_end(&mut row)
            .map_err(|error| source.failed(error))?;
        if row.is_empty() {
            break;
        }
        screen.text(Role::Note, &format!("{shown:08x}  "))?;
        screen.text(Role::Plain, &hex(&row, per_row))?;
        screen.line(Role::Text, &readable(&row))?;
        shown += row.len();
    }
    let more = source.len().saturating_sub(shown as u64);
    if more > 0 {
        screen.line(Role::Note, &format!("… {} more …", size(more)))?;
    }
    Ok(())
}

/// As many bytes as fit in groups of four: ten columns for the offset, three for each byte, one
/// for each group, one for each byte as text.
fn bytes_per_row(width: usize) -> usize {
    let groups = width.saturating_sub(10) / (4 * 3 + 1 + 4);
    groups.clamp(1, 4) * 4
}

fn hex(row: &[u8], per_row: usize) -> String {
    let mut text = String::new();
    for i in 0..per_row {
        match row.get(i) {
            Some(byte) => write!(text, "{byte:02x} ").expect("a String takes any text"),
            None => text.push_str("   "),
        }
        if i % 4 == 3 {
            text.push(' ');
        }
    }
    text
}

fn readable(row: &[u8]) -> String {
    let letter = |byte: &u8| match byte {
        0x20..0x7f => char::from(*byte),
        _ => '.',
    };
    row.iter().map(letter).collect()
}

/// Enough to see a header in.
const ROWS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_the_width() {
        for (width, expected) in [(80, 16), (60, 8), (40, 4), (20, 4)] {
            assert_eq!(bytes_per_row(width), expected, "{width}");
            let row = vec![0x1b; expected];
            let used = 10 + hex(&row, expected).len() + readable(&row).len();
            assert!(used <= width.max(27), "{width}: {used}");
        }
    }

    #[test]
    fn a_short_row_keeps_the_text_in_its_column() {
        assert_eq!(hex(b"ab", 4).len(), hex(b"abcd", 4).len());
        assert_eq!(readable(b"a\x1b\x9bz"), "a..z");
    }
}
