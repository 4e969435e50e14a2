//! What is kept of a CSV file of any size: its first and last records, and what is in its columns.

use std::{collections::VecDeque, io::Read as _};

use super::{
    column::Column,
    dialect::Dialect,
    records::{Records, Row},
};
use crate::{ShowError, source::Source};

/// A CSV file with its middle left out.
#[derive(Default)]
pub(super) struct Table {
    /// The names of the columns, if the file has any.
    pub(super) header: Option<Row>,
    pub(super) head: Vec<Row>,
    /// What comes last.
    pub(super) tail: VecDeque<Row>,
    /// Whether records are left out between them.
    pub(super) has_gap: bool,
    /// How many records there are; an estimate if not all of the file was read.
    pub(super) rows: u64,
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

impl Table {
    /// Reads a file, of which `text` is all or the beginning; at most `most` records are kept, one
    /// less if there are more.
    pub(super) fn read(
        source: &Source,
        text: &[u8],
        is_part: bool,
        dialect: &Dialect,
        most: usize,
    ) -> Result<Self, ShowError> {
        let mut records = Records::new(text, dialect.delimiter);
        let mut table = Self {
            width: dialect.columns,
            ..Self::default()
        };
        let mut row = Row::default();
        if dialect.has_header && records.next(&mut row) {
            table.widen(&row);
            table.header = Some(std::mem::take(&mut row));
        }
        let most_tail = (most - 1) / 2;
        // How many records were whole.
        let mut whole_rows = 0;
        let mut is_odd = false;
        while records.next(&mut row) {
            table.rows += 1;
            is_odd = row.fields() != dialect.columns || row.has_line_end();
            let cut_off = is_part && records.at_end();
            table.add(&row, cut_off, dialect);
            whole_rows += u64::from(!cut_off);
            // What is dropped gives its memory to what comes.
            row = table.keep(row, most, most_tail).unwrap_or_default();
        }
        let count = |byte| text.iter().filter(|it| **it == byte).count() as u64;
        if is_part {
            table.read = Some(text.len() as u64);
            let tail = tail_of(source, dialect, most_tail)?;
            tail.iter().for_each(|row| table.add(row, false, dialect));
            table.tail = tail;
            table.rows = table.rows.max((table.head.len() + table.tail.len()) as u64);
            if whole_rows > 0 {
                let per_line = whole_rows as f64 / count(b'\n').max(1) as f64;
                table.rows = estimate(source, per_line)?.max(table.rows);
            }
        } else {
            // Marks for inches are no quotation, and leave no trace in the last record.
            table.open_quote = is_odd && !count(b'"').is_multiple_of(2);
        }
        table.has_gap = is_part || table.rows > most as u64;
        if table.has_gap {
            // The mark for what is left out takes a row as well.
            table.head.truncate(most - 1 - table.tail.len());
        }
        Ok(table)
    }

    /// Keeps a record, for one that is no longer among the last.
    fn keep(&mut self, row: Row, most_head: usize, most_tail: usize) -> Option<Row> {
        if self.head.len() < most_head {
            self.head.push(row);
            return None;
        }
        self.tail.push_back(row);
        (self.tail.len() > most_tail).then(|| self.tail.pop_front())?
    }

    /// Counts a record. Of one in which reading stopped, the last field is not known.
    fn add(&mut self, row: &Row, cut_off: bool, dialect: &Dialect) {
        self.widen(row);
        let known = if cut_off {
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
fn tail_of(source: &Source, dialect: &Dialect, most: usize) -> Result<VecDeque<Row>, ShowError> {
    // Were it inside, this would be the rest of a quotation.
    let mut window = vec![b'"'];
    let start = source.len().saturating_sub(TAIL_LIMIT);
    source
        .text(start)?
        .take(TAIL_LIMIT)
        .read_to_end(&mut window)
        .map_err(|error| source.failed(error))?;
    let outside = last_records(&window[1..], dialect.delimiter, most);
    let inside = last_records(&window, dialect.delimiter, most);
    let fitting = |rows: &VecDeque<Row>| {
        let fits = |it: &&Row| it.fields() == dialect.columns;
        rows.iter().filter(fits).count()
    };
    Ok(if fitting(&inside) > fitting(&outside) {
        inside
    } else {
        outside
    })
}

/// The last whole records of a text that begins somewhere inside one.
fn last_records(text: &[u8], delimiter: u8, most: usize) -> VecDeque<Row> {
    let mut records = Records::new(text, delimiter);
    let (mut row, mut rows) = (Row::default(), VecDeque::new());
    records.next(&mut row);
    while records.next(&mut row) {
        rows.push_back(row.clone());
        if rows.len() > most {
            rows.pop_front();
        }
    }
    rows
}

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
