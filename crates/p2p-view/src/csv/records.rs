//! CSV records read in bounded memory, however long a field is or however many there are.

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
pub(super) struct Records<'t> {
    rest: &'t [u8],
    parser: Reader,
    at_end: bool,
}

impl<'t> Records<'t> {
    pub(super) fn new(text: &'t [u8], delimiter: u8) -> Self {
        Self {
            rest: text,
            parser: ReaderBuilder::new().delimiter(delimiter).build(),
            at_end: false,
        }
    }

    /// Reads a record into `row`; false if there is none.
    pub(super) fn next(&mut self, row: &mut Row) -> bool {
        row.bytes.clear();
        row.ends.clear();
        row.fields = 0;
        let mut out = [0; 4096];
        let (mut start, mut cut) = (0, false);
        loop {
            // An empty input tells the parser that there is no more.
            self.at_end |= self.rest.is_empty();
            let (result, used, written) = self.parser.read_field(self.rest, &mut out);
            self.rest = &self.rest[used..];
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
                        return true;
                    }
                }
                ReadFieldResult::End => return false,
            }
        }
    }

    /// Whether the record that was read last ended with the text rather than with its line.
    pub(super) fn at_end(&self) -> bool {
        self.at_end
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
        assert!(records.rest.is_empty());
        assert!(row.bytes.capacity() < 10_000);

        let commas = vec![b','; 1_000_000];
        let mut records = Records::new(&commas, b',');
        assert!(records.next(&mut row));
        assert_eq!(row.fields(), 1_000_001);
        assert_eq!(row.iter().count(), Row::FIELDS);
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
