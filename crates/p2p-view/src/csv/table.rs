//! What is kept of a CSV file of any size: its first and last records, and what is in its columns.

use std::{
    collections::VecDeque,
    io::{BufRead, Cursor, Read as _},
};

use super::{
    column::Column,
    dialect::Dialect,
    records::{End, Records, Row},
};
use crate::{ShowError, source::Source};

/// A CSV file with its middle left out.
pub(super) struct Table {
    /// The names of the columns, if the file has any.
    pub(super) header: Option<Row>,
    pub(super) head: Vec<Row>,
    /// What comes last. If `rows` is the sum of both, nothing is left out between them.
    pub(super) tail: Vec<Row>,
    pub(super) rows: Count,
    /// How many columns there are, and what is in the first of them.
    pub(super) width: u64,
    pub(super) columns: Vec<Column>,
    /// Records that have another number of fields than most.
    pub(super) ragged: u64,
    /// Whether the last record begins a quotation that has no end.
    pub(super) open_quote: bool,
    /// If not all of the file was read: how many bytes of its beginning were.
    pub(super) read: Option<u64>,
}

/// A number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Exactly(u64),
    About(u64),
}

impl Table {
    /// Reads a file with at most `head` records from its beginning and `tail` from its end.
    pub(super) fn read(
        source: &Source,
        dialect: &Dialect,
        (head, tail): (usize, usize),
    ) -> Result<Self, ShowError> {
        let whole = source.len() <= SCAN_LIMIT;
        let limit = if whole { u64::MAX } else { HEAD_LIMIT };
        let mut records = Records::new(source.text(0)?, dialect.delimiter, limit);
        let mut table = Self {
            header: None,
            head: Vec::new(),
            tail: Vec::new(),
            rows: Count::Exactly(0),
            width: dialect.columns,
            columns: Vec::new(),
            ragged: 0,
            open_quote: false,
            read: None,
        };
        let mut row = Row::default();
        let next = |row: &mut Row, records: &mut Records<_>| {
            records.next(row).map_err(|error| source.failed(error))
        };
        if dialect.has_header && next(&mut row, &mut records)? {
            table.widen(&row);
            table.header = Some(std::mem::take(&mut row));
        }
        let (mut rows, mut last) = (0, VecDeque::<Row>::new());
        // How many records were whole.
        let mut whole_rows = 0;
        let mut is_odd = false;
        while next(&mut row, &mut records)? {
            rows += 1;
            is_odd = row.fields() != dialect.columns || row.has_line_end();
            let is_part = records.end() == End::OfLimit;
            table.add(&row, is_part, dialect);
            whole_rows += u64::from(!is_part);
            if table.head.len() < head {
                table.head.push(row.clone());
            } else {
                // What is dropped gives its memory to what comes.
                let mut kept = if last.len() >= tail {
                    last.pop_front()
                } else {
                    None
                };
                if let (Some(kept), true) = (&mut kept, tail > 0) {
                    kept.copy(&row);
                }
                if tail > 0 {
                    last.push_back(kept.unwrap_or_else(|| row.clone()));
                }
            }
        }
        if records.end() != End::OfLimit {
            table.tail = last.into();
            // Marks for inches are no quotation, and leave no trace in the last record.
            table.open_quote = is_odd && !records.quotes_match();
            table.rows = Count::Exactly(rows);
            return Ok(table);
        }
        table.read = Some(records.offset());
        let last = tail_of(source, dialect, tail)?;
        last.iter().for_each(|row| table.add(row, false, dialect));
        table.tail = last;
        let rows = rows.max((table.head.len() + table.tail.len()) as u64);
        table.rows = Count::About(if whole_rows == 0 {
            rows
        } else {
            let per_line = whole_rows as f64 / records.line_ends().max(1) as f64;
            estimate(source, per_line)?.max(rows)
        });
        Ok(table)
    }

    /// Counts a record. Of one in which reading stopped, the last field is not known.
    fn add(&mut self, row: &Row, is_part: bool, dialect: &Dialect) {
        self.widen(row);
        let known = if is_part {
            usize::try_from(row.fields() - 1).unwrap_or(usize::MAX)
        } else {
            self.ragged += u64::from(row.fields() != dialect.columns);
            self.columns.len()
        };
        for (i, column) in self.columns.iter_mut().enumerate().take(known) {
            column.add(row.field(i).0, dialect.decimal_comma());
        }
    }

    fn widen(&mut self, row: &Row) {
        self.width = self.width.max(row.fields());
        let tracked = usize::try_from(self.width).map_or(Row::FIELDS, |it| it.min(Row::FIELDS));
        self.columns.resize_with(tracked, Column::default);
    }
}

/// About how many records a large file has, if a line has `per_line` of them, from the lines in
/// parts of it: those at its beginning alone are often shorter than the rest.
fn estimate(source: &Source, per_line: f64) -> Result<u64, ShowError> {
    let (mut lines, mut bytes) = (0, 0);
    let mut part = Vec::new();
    for i in 0..PARTS {
        part.clear();
        source
            .bytes(source.len() / PARTS * i)?
            .take(PART_LEN)
            .read_to_end(&mut part)
            .map_err(|error| source.failed(error))?;
        lines += part.iter().filter(|it| **it == b'\n').count();
        bytes += part.len();
    }
    let rows = source.len() as f64 * per_line * lines as f64 / bytes.max(1) as f64;
    // More digits would look as if they were known.
    let unit = 10f64.powf((rows.max(1.0).log10() - 2.0).floor().max(0.0));
    Ok(((rows / unit).round() * unit) as u64)
}

/// The last records of a file of which the middle is not read.
///
/// Whether its end begins inside quotes cannot be known, so it is read both ways, and the way is
/// taken in which more records have as many fields as those at the beginning.
fn tail_of(source: &Source, dialect: &Dialect, most: usize) -> Result<Vec<Row>, ShowError> {
    let mut window = Vec::new();
    let start = source.len().saturating_sub(TAIL_LIMIT);
    source
        .text(start)?
        .take(TAIL_LIMIT)
        .read_to_end(&mut window)
        .map_err(|error| source.failed(error))?;
    let read = |before: &'static [u8]| -> Vec<Row> {
        let text = Cursor::new(before).chain(Cursor::new(&window));
        last_records(text, dialect.delimiter, most)
    };
    let (outside, inside) = (read(b""), read(b"\""));
    let fitting = |rows: &[Row]| {
        rows.iter()
            .filter(|it| it.fields() == dialect.columns)
            .count()
    };
    Ok(if fitting(&inside) > fitting(&outside) {
        inside
    } else {
        outside
    })
}

/// The last whole records of a text that begins somewhere inside one.
fn last_records(text: impl BufRead, delimiter: u8, most: usize) -> Vec<Row> {
    let mut records = Records::new(text, delimiter, u64::MAX);
    let mut row = Row::default();
    let mut rows = VecDeque::new();
    let mut is_first = true;
    while records.next(&mut row).expect("memory can be read") {
        if !std::mem::take(&mut is_first) {
            rows.push_back(row.clone());
        }
        if rows.len() > most {
            rows.pop_front();
        }
    }
    rows.into()
}

/// Up to this size a file is read whole, which takes well under a second; of a larger one the
/// beginning and the end are.
const SCAN_LIMIT: u64 = 32 << 20;

/// How much is read of the beginning of a larger file.
const HEAD_LIMIT: u64 = 4 << 20;

/// How much is read of its end.
const TAIL_LIMIT: u64 = 256 << 10;

/// In how many places the lines of a larger file are counted, and in how many bytes at each.
const PARTS: u64 = 32;
const PART_LEN: u64 = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(text: &str) -> Vec<Vec<String>> {
        let rows = last_records(text.as_bytes(), b',', 2);
        let lossy = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
        rows.iter()
            .map(|row| row.iter().map(lossy).collect())
            .collect()
    }

    #[test]
    fn the_end_of_a_file_is_read_from_the_first_whole_record() {
        assert_eq!(tail("f,x\n1,2\n3,4\n5,6\n"), [["3", "4"], ["5", "6"]]);
        assert!(tail("only a part of one").is_empty());
    }
}
