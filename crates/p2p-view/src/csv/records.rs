//! CSV records read in bounded memory, however long a field is or however many there are.

use std::io::{self, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};
use csv_core::ReadFieldResult;

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
    /// Keeps what there is room for.
    fn set(&mut self, record: &ByteRecord) {
        self.clear();
        self.fields = record.len() as u64;
        for field in record.iter().take(Self::FIELDS) {
            let kept = &field[..field.len().min(Self::FIELD_LEN)];
            self.bytes.extend_from_slice(kept);
            self.ends.push((self.bytes.len(), kept.len() < field.len()));
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.fields = 0;
    }

    /// The number of fields of the record.
    pub(super) fn fields(&self) -> u64 {
        self.fields
    }

    /// The fields that were kept, at most [`Row::FIELDS`].
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| self.field(index).0)
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
}

/// Reads the records of a text.
///
/// The csv crate holds a record whole, so it is given records of up to [`RECORD_LEN`]. A longer one is read
/// again by csv-core, field by field, of which no more is held than is kept.
pub(super) struct Records<'t> {
    text: &'t [u8],
    delimiter: u8,
    /// Where in the text `reader` began.
    start: usize,
    reader: Reader<Bounded<'t>>,
    record: ByteRecord,
    at_end: bool,
}

/// A text that seems to end where a record becomes too long.
struct Bounded<'t> {
    rest: &'t [u8],
    /// Bytes that the record may still take.
    room: usize,
    /// Whether it asked for more than that.
    refused: bool,
    /// Whether it came upon the end of the text.
    at_end: bool,
}

/// Bytes of a record that are held at once.
const RECORD_LEN: usize = 256 << 10;

impl<'t> Records<'t> {
    pub(super) fn new(text: &'t [u8], delimiter: u8) -> Self {
        Self {
            text,
            delimiter,
            start: 0,
            reader: reader(text, delimiter),
            record: ByteRecord::new(),
            at_end: false,
        }
    }

    /// Reads a record into `row`; false if there is none.
    pub(super) fn next(&mut self, row: &mut Row) -> bool {
        let begins = self.offset();
        self.reader.get_mut().room = RECORD_LEN;
        let read = self.reader.read_byte_record(&mut self.record);
        let is_record = read.expect("memory can be read, and records may differ in length");
        let Bounded {
            refused, at_end, ..
        } = *self.reader.get_ref();
        if refused {
            return self.next_by_field(begins, row);
        }
        self.at_end |= at_end;
        row.set(&self.record);
        is_record
    }

    /// Reads the record that begins here, without ever holding it whole.
    fn next_by_field(&mut self, begins: usize, row: &mut Row) -> bool {
        let mut parser = csv_core::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .build();
        let mut rest = &self.text[begins..];
        let mut out = [0; 4096];
        let (mut start, mut cut) = (0, false);
        row.clear();
        let is_record = loop {
            // An empty input tells the parser that there is no more.
            self.at_end |= rest.is_empty();
            let (result, used, written) = parser.read_field(rest, &mut out);
            rest = &rest[used..];
            let is_kept = row.ends.len() < Row::FIELDS;
            if is_kept {
                let room = Row::FIELD_LEN - (row.bytes.len() - start);
                cut |= written > room;
                row.bytes.extend_from_slice(&out[..written.min(room)]);
            }
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    row.fields += 1;
                    if is_kept {
                        row.ends.push((row.bytes.len(), cut));
                        (start, cut) = (row.bytes.len(), false);
                    }
                    if record_end {
                        break true;
                    }
                }
                ReadFieldResult::End => break false,
            }
        };
        self.start = self.text.len() - rest.len();
        self.reader = reader(rest, self.delimiter);
        is_record
    }

    /// Where in the text the next record begins.
    fn offset(&self) -> usize {
        let read = self.reader.position().byte();
        self.start + usize::try_from(read).expect("a place in memory")
    }

    /// Whether the record that was read last ended with the text rather than with its line.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }
}

/// A reader for a text of this dialect, whose records may differ in length.
fn reader(text: &[u8], delimiter: u8) -> Reader<Bounded<'_>> {
    let text = Bounded {
        rest: text,
        room: RECORD_LEN,
        refused: false,
        at_end: false,
    };
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text)
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.at_end |= self.rest.is_empty();
        self.refused |= self.room == 0 && !self.rest.is_empty();
        let room = self.room.min(out.len());
        let read = self.rest.read(&mut out[..room])?;
        self.room -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> (Vec<Vec<String>>, bool) {
        let mut records = Records::new(text, b',');
        let (mut row, mut rows, mut at_end) = (Row::default(), Vec::new(), false);
        while records.next(&mut row) {
            let lossy = |it| String::from_utf8_lossy(it).into_owned();
            rows.push(row.iter().map(lossy).collect());
            at_end = records.at_end();
        }
        (rows, at_end)
    }

    #[test]
    fn quotes_delimiters_and_newlines_in_fields_are_kept() {
        let (found, at_end) = rows(b"a,\"b,\"\"c\"\"\nd\"\r\n\r\n,\nlast");
        assert_eq!(found, [vec!["a", "b,\"c\"\nd"], vec!["", ""], vec!["last"]]);
        assert!(at_end);
    }

    #[test]
    fn a_record_that_the_text_cuts_off_is_known() {
        let (found, at_end) = rows(b"ab,c\nde");
        assert_eq!(found, [vec!["ab", "c"], vec!["de"]]);
        assert!(at_end);
        assert!(!rows(b"ab,c\n").1);
    }

    #[test]
    fn a_field_and_a_record_without_end_take_little_memory() {
        let endless = vec![b'x'; 10_000_000];
        let mut records = Records::new(&endless, b',');
        let mut row = Row::default();
        assert!(records.next(&mut row));
        assert_eq!(row.field(0), (&[b'x'; Row::FIELD_LEN][..], true));
        assert_eq!(records.offset(), endless.len());
        assert!(records.record.as_slice().len() <= RECORD_LEN);
        assert!(row.bytes.capacity() < 10_000);

        let commas = vec![b','; 1_000_000];
        let mut records = Records::new(&commas, b',');
        assert!(records.next(&mut row));
        assert_eq!(row.fields(), 1_000_001);
        assert_eq!(row.iter().count(), Row::FIELDS);
    }

    #[test]
    fn records_around_a_long_one_are_read_as_ever() {
        let long = "x".repeat(RECORD_LEN);
        let blank = "\r\n".repeat(RECORD_LEN);
        let text = format!("a,b\r\n\"{long}\n\",2,3\r\n{blank}c,d\n{long}");
        let (found, at_end) = rows(text.as_bytes());
        let kept = || long[..Row::FIELD_LEN].to_owned();
        let is = |row: &[String]| row.iter().map(String::as_str).collect::<Vec<_>>().join("|");
        let found: Vec<_> = found.iter().map(|row| is(row)).collect();
        assert_eq!(
            found,
            ["a|b", &format!("{}|2|3", kept()), "c|d", &kept()].map(str::to_owned)
        );
        assert!(at_end);
    }

    #[test]
    fn a_field_that_is_not_there_is_empty() {
        let mut records = Records::new(b"a,b\n", b',');
        let mut row = Row::default();
        assert!(records.next(&mut row));
        assert_eq!(row.field(1), (&b"b"[..], false));
        assert_eq!(row.field(2), (&b""[..], false));
    }
}
