//! CSV records read in bounded memory, however long a field is or however many there are.

use std::io::{self, BufRead};

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

/// One record: the beginning of each of its first fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    bytes: Vec<u8>,
    /// Where each field ends in `bytes`, and whether it was longer.
    ends: Vec<(usize, bool)>,
    /// Fields in all, also of those that were not kept.
    fields: u64,
}

impl Row {
    /// What is kept of a record that was read whole.
    pub(super) fn of(record: &csv::ByteRecord) -> Self {
        let mut row = Self {
            fields: record.len() as u64,
            ..Self::default()
        };
        for field in record.iter().take(Self::FIELDS) {
            let kept = &field[..field.len().min(Self::FIELD_LEN)];
            row.bytes.extend_from_slice(kept);
            row.ends.push((row.bytes.len(), kept.len() < field.len()));
        }
        row
    }

    /// The number of fields of the record.
    pub(super) fn fields(&self) -> u64 {
        self.fields
    }

    /// The fields that were kept, at most [`Row::FIELDS`].
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|it| it.0));
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..end.0])
    }

    /// The field at `index`, and whether it is only the beginning of it; empty if there is none.
    pub(super) fn field(&self, index: usize) -> (&[u8], bool) {
        let Some(&(end, cut)) = self.ends.get(index) else {
            return (&[], false);
        };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].0);
        (&self.bytes[start..end], cut)
    }

    /// Whether there is a line end in what was kept.
    pub(super) fn has_line_end(&self) -> bool {
        self.bytes.contains(&b'\n')
    }

    /// Fields of a record that are kept; more are counted.
    pub(super) const FIELDS: usize = 512;

    /// Bytes of a field that are kept: more than a screen is wide.
    pub(super) const FIELD_LEN: usize = 512;

    /// Becomes a copy of `other` without new memory.
    pub(super) fn copy(&mut self, other: &Self) {
        self.bytes.clone_from(&other.bytes);
        self.ends.clone_from(&other.ends);
        self.fields = other.fields;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.fields = 0;
    }
}

/// Reads records from the first `limit` bytes of a text.
pub(super) struct Records<R> {
    reader: R,
    parser: Reader,
    left: u64,
    read: u64,
    quotes: u64,
    line_ends: u64,
    end: End,
}

/// How far reading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// There may be more records.
    Not,
    /// The text is over.
    OfText,
    /// The limit was reached, perhaps inside a record.
    OfLimit,
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(reader: R, delimiter: u8, limit: u64) -> Self {
        Self {
            reader,
            parser: ReaderBuilder::new().delimiter(delimiter).build(),
            left: limit,
            read: 0,
            quotes: 0,
            line_ends: 0,
            end: End::Not,
        }
    }

    /// Reads a record into `row`; false if there is none. At the limit, the record may be a part.
    pub(super) fn next(&mut self, row: &mut Row) -> io::Result<bool> {
        row.clear();
        let mut out = [0; 4096];
        let mut start = 0;
        let mut cut = false;
        loop {
            let input = self.reader.fill_buf()?;
            if input.is_empty() {
                self.end = End::OfText;
            } else if self.left == 0 {
                self.end = End::OfLimit;
            }
            // An empty input tells the parser that there is no more.
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let input = &input[..input.len().min(most)];
            let (result, used, written) = self.parser.read_field(input, &mut out);
            let count = |byte| input[..used].iter().filter(|it| **it == byte).count() as u64;
            self.quotes += count(b'"');
            self.line_ends += count(b'\n');
            self.reader.consume(used);
            self.left -= used as u64;
            self.read += used as u64;
            if row.ends.len() < Row::FIELDS {
                let room = Row::FIELD_LEN - (row.bytes.len() - start);
                cut |= written > room;
                row.bytes.extend_from_slice(&out[..written.min(room)]);
            }
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    row.fields += 1;
                    if row.ends.len() < Row::FIELDS {
                        row.ends.push((row.bytes.len(), cut));
                        (start, cut) = (row.bytes.len(), false);
                    }
                    if record_end {
                        return Ok(true);
                    }
                }
                ReadFieldResult::End => return Ok(false),
            }
        }
    }

    /// How far reading has come.
    pub(super) fn end(&self) -> End {
        self.end
    }

    /// Whether there were as many quotation marks at the beginning of fields as at their ends, as
    /// far as their number tells.
    pub(super) fn quotes_match(&self) -> bool {
        self.quotes.is_multiple_of(2)
    }

    /// How many ends of lines were read, also those inside fields.
    pub(super) fn line_ends(&self) -> u64 {
        self.line_ends
    }

    /// Bytes of text that have been read.
    pub(super) fn offset(&self) -> u64 {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read};

    use super::*;

    fn rows(text: &[u8], limit: u64) -> (Vec<Vec<String>>, End) {
        let reader = BufReader::with_capacity(3, text);
        let mut records = Records::new(reader, b',', limit);
        let (mut row, mut rows) = (Row::default(), Vec::new());
        while records.next(&mut row).unwrap() {
            let fields = row
                .iter()
                .map(|it| String::from_utf8_lossy(it).into_owned());
            rows.push(fields.collect());
        }
        (rows, records.end())
    }

    #[test]
    fn quotes_delimiters_and_newlines_in_fields_are_kept() {
        let (found, end) = rows(b"a,\"b,\"\"c\"\"\nd\"\r\n\r\n,\nlast", u64::MAX);
        assert_eq!(found, [vec!["a", "b,\"c\"\nd"], vec!["", ""], vec!["last"]]);
        assert_eq!(end, End::OfText);
    }

    #[test]
    fn the_limit_ends_the_text() {
        let (found, end) = rows(b"ab,c\nde,f\n", 7);
        assert_eq!(found, [vec!["ab", "c"], vec!["de"]]);
        assert_eq!(end, End::OfLimit);
        assert_eq!(rows(b"ab,c\n", 5).1, End::OfText);
    }

    #[test]
    fn a_field_and_a_record_without_end_take_little_memory() {
        let endless = std::io::repeat(b'x').take(10_000_000);
        let mut records = Records::new(BufReader::new(endless), b',', u64::MAX);
        let mut row = Row::default();
        assert!(records.next(&mut row).unwrap());
        assert_eq!(row.field(0), (&[b'x'; Row::FIELD_LEN][..], true));
        assert_eq!(records.offset(), 10_000_000);

        let commas = std::io::repeat(b',').take(1_000_000);
        let mut records = Records::new(BufReader::new(commas), b',', u64::MAX);
        assert!(records.next(&mut row).unwrap());
        assert_eq!(row.fields(), 1_000_001);
        assert_eq!(row.iter().count(), Row::FIELDS);
    }

    #[test]
    fn a_field_that_is_not_there_is_empty() {
        let mut records = Records::new(&b"a,b\n"[..], b',', u64::MAX);
        let mut row = Row::default();
        assert!(records.next(&mut row).unwrap());
        assert_eq!(row.field(1), (&b"b"[..], false));
        assert_eq!(row.field(2), (&b""[..], false));
    }
}
