//! How a CSV file is written, told from a sample of it: what separates its fields, and whether
//! its first record names them.

use super::{
    column::{Column, Type},
    records::{Records, Row},
};

/// How a CSV file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// Whether the first record names the columns.
    pub(super) has_header: bool,
    /// How many fields most records have.
    pub(super) columns: u64,
    /// How many of a hundred records have that many.
    pub(super) percent: u64,
    /// How many records the sample has.
    pub(super) records: u64,
}

impl Dialect {
    /// The way to read `sample` in which its records agree best.
    pub(super) fn of(sample: &[u8], is_all: bool) -> Self {
        // One column is what every delimiter gives that is not in the file.
        let rank = |it: &Self| (it.columns > 1, it.percent, it.columns);
        let found = DELIMITERS.iter().rev().filter_map(|&delimiter| {
            let rows = sampled(sample, is_all, delimiter);
            Some((Self::agreed(delimiter, &rows)?, rows))
        });
        let Some((mut found, rows)) = found.max_by_key(|(found, _)| rank(found)) else {
            return Self::default();
        };
        found.has_header = has_header(&rows, found.decimal_comma());
        found
    }

    /// Whether a comma may be a decimal point.
    pub(super) fn decimal_comma(&self) -> bool {
        self.delimiter == b';'
    }

    /// How many fields most of the records have.
    fn agreed(delimiter: u8, rows: &[Row]) -> Option<Self> {
        let mut counts: Vec<u64> = rows.iter().map(Row::fields).collect();
        counts.sort_unstable();
        let groups = counts.chunk_by(|a, b| a == b);
        let most = groups.max_by_key(|it| (it.len(), it[0]))?;
        Some(Self {
            delimiter,
            has_header: false,
            columns: most[0],
            percent: (most.len() * 100 / rows.len()) as u64,
            records: rows.len() as u64,
        })
    }
}

/// The first records, without one that the end of the sample may have cut off.
fn sampled(sample: &[u8], is_all: bool, delimiter: u8) -> Vec<Row> {
    let mut records = Records::new(sample, delimiter);
    let (mut row, mut rows) = (Row::default(), Vec::new());
    while rows.len() < SAMPLE_RECORDS && records.next(&mut row) {
        if records.at_end() && !is_all && !rows.is_empty() {
            break;
        }
        rows.push(row.clone());
    }
    rows
}

/// Whether the first record is unlike what comes below it.
fn has_header(rows: &[Row], decimal_comma: bool) -> bool {
    let [first, body @ ..] = rows else {
        return false;
    };
    let names: Vec<&[u8]> = first.iter().map(<[u8]>::trim_ascii).collect();
    let mut sorted: Vec<&[u8]> = names.iter().copied().filter(|it| !it.is_empty()).collect();
    sorted.sort_unstable();
    // An index may be left without a name; two columns of one name are data.
    let unique = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    if !unique || sorted.len() + 1 < names.len() || sorted.is_empty() {
        return false;
    }
    let mut years = 0;
    for (i, name) in names.iter().enumerate() {
        let mut column = Column::default();
        for row in body {
            column.add(row.field(i).0, decimal_comma);
        }
        match Type::of(name, decimal_comma) {
            Type::Missing | Type::Text => {}
            Type::Integer if is_year(name) => years += 1,
            _ => return false,
        }
        // A name does not come again below as a value.
        let again = column.values == Type::Text
            && body.iter().any(|row| row.field(i).0.trim_ascii() == *name);
        if again && !name.is_empty() {
            return false;
        }
    }
    // Years name the columns of many statistics; with nothing else they are data.
    years == 0 || (years < names.len() && !body.is_empty() && !all_years(body, &names))
}

/// Whether what is below the years is years as well.
fn all_years(body: &[Row], names: &[&[u8]]) -> bool {
    body.iter().all(|row| {
        let below = names.iter().enumerate().filter(|(_, name)| is_year(name));
        below.map(|(i, _)| row.field(i).0).all(is_year)
    })
}

fn is_year(value: &[u8]) -> bool {
    matches!(
        value,
        [b'1', b'7'..=b'9', b'0'..=b'9', b'0'..=b'9'] | [b'2', b'0', b'0'..=b'9', b'0'..=b'9']
    )
}

/// In the order in which they are preferred where records agree as well with each.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// Records that are looked at.
const SAMPLE_RECORDS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(sample: &str) -> (char, bool) {
        let found = Dialect::of(sample.as_bytes(), true);
        (found.delimiter.into(), found.has_header)
    }

    #[test]
    fn the_delimiter_is_the_one_on_which_records_agree() {
        assert_eq!(dialect("a,b\n1,2\n"), (',', true));
        assert_eq!(dialect("a;b\n1,5;2,5\n3,0;4,0\n"), (';', true));
        assert_eq!(dialect("a\tb, c\n1\t2, 3\n4\t5\n").0, '\t');
        assert_eq!(dialect("a|b|c\n1|2|3\n").0, '|');
        assert_eq!(dialect("name\nAda\nBob\n").0, ',');
        assert_eq!(dialect("a;b\n\"x,y,z\";1\n\"u,v,w\";2\n").0, ';');
    }

    #[test]
    fn a_header_is_unlike_what_is_below_it() {
        assert!(dialect("name,age\nAda,36\n").1);
        assert!(dialect("name,city\nAda,London\nAlan,Wilmslow\n").1);
        assert!(dialect("country,2019,2020\nFrance,1.5,2.5\n").1);
        assert!(dialect(",a\n0,5\n1,6\n").1);
        assert!(!dialect("1,2\n3,4\n").1);
        assert!(!dialect("Ada,36\nBob,40\n").1);
        assert!(!dialect("2019,2020\n2021,2022\n").1);
        assert!(!dialect("red,red\nblue,blue\n").1);
        assert!(!dialect("yes,a\nno,b\n").1);
        assert!(!dialect("red,1\nblue,2\n").1);
    }

    #[test]
    fn a_record_that_the_sample_cuts_off_is_not_counted() {
        let found = Dialect::of(b"a,b,c\n1,2,3\n4", false);
        assert_eq!((found.records, found.columns, found.percent), (2, 3, 100));
    }
}
