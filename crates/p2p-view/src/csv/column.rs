//! What the values of a column are.

use std::{borrow::Cow, fmt};

/// What is known of a column from the values seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Column {
    /// What all of its values are.
    pub(super) values: Type,
    /// Records without a value in it.
    pub(super) missing: u64,
}

/// What a value is, or all the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Type {
    /// There is none.
    #[default]
    Missing,
    Boolean,
    Integer,
    Decimal,
    Date,
    Text,
}

impl Column {
    pub(super) fn add(&mut self, value: &[u8], decimal_comma: bool) {
        let found = Type::of(value, decimal_comma);
        self.missing += u64::from(found == Type::Missing);
        self.values = self.values.and(found);
    }
}

impl Type {
    /// Where the columns are separated by semicolons, a comma may be the decimal point.
    pub(super) fn of(value: &[u8], decimal_comma: bool) -> Self {
        let value = value.trim_ascii();
        if is_missing(value) {
            Self::Missing
        } else if let Some(number) = number(value, decimal_comma) {
            number
        } else if is_date(value) {
            Self::Date
        } else if ["true", "false", "yes", "no"]
            .iter()
            .any(|it| value.eq_ignore_ascii_case(it.as_bytes()))
        {
            Self::Boolean
        } else {
            Self::Text
        }
    }

    /// Whether values are lined up at the right.
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal)
    }

    /// What values of either type are.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Missing, it) | (it, Self::Missing) => it,
            (it, same) if it == same => it,
            (Self::Integer, Self::Decimal) | (Self::Decimal, Self::Integer) => Self::Decimal,
            _ => Self::Text,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Missing => "empty",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Date => "date",
            Self::Text => "text",
        })
    }
}

/// The values that pandas' `read_csv` takes for missing, too.
fn is_missing(value: &[u8]) -> bool {
    matches!(
        value,
        b"" | b"#N/A"
            | b"#N/A N/A"
            | b"#NA"
            | b"-1.#IND"
            | b"-1.#QNAN"
            | b"-NaN"
            | b"-nan"
            | b"1.#IND"
            | b"1.#QNAN"
            | b"<NA>"
            | b"N/A"
            | b"NA"
            | b"NULL"
            | b"NaN"
            | b"None"
            | b"n/a"
            | b"nan"
            | b"null"
    )
}

fn number(value: &[u8], decimal_comma: bool) -> Option<Type> {
    let mut text = Cow::Borrowed(std::str::from_utf8(value).ok()?);
    if decimal_comma && text.contains(',') {
        text = text.replace(',', ".").into();
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    // What begins with a zero is a postcode or a telephone number.
    let is_code = matches!(unsigned.as_bytes(), [b'0', b'0'..=b'9', ..]);
    // `inf` is a word here.
    let has_word = text.contains(|c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E'));
    if is_code || has_word || text.parse::<f64>().is_err() {
        return None;
    }
    Some(if unsigned.bytes().all(|it| it.is_ascii_digit()) {
        Type::Integer
    } else {
        Type::Decimal
    })
}

/// `2026-11-22`, `22.11.2026`, `11/22/2026`, and a time after it.
fn is_date(value: &[u8]) -> bool {
    let end = value.iter().position(|it| matches!(it, b'T' | b' '));
    let (date, time) = value.split_at(end.unwrap_or(value.len()));
    let Some(mark) = date.iter().find(|it| !it.is_ascii_digit()) else {
        return false;
    };
    let is_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let parts = date.splitn(4, |it| it == mark);
    let lens: Vec<usize> = parts
        .map(|it| if is_digits(it) { it.len() } else { 0 })
        .collect();
    matches!(mark, b'-' | b'/' | b'.')
        && matches!(lens[..], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 4])
        && time
            .iter()
            .all(|it| it.is_ascii_digit() || b"T :.+-ZUC".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart() {
        for (value, expected) in [
            ("", Type::Missing),
            ("NaN", Type::Missing),
            ("-12", Type::Integer),
            ("0", Type::Integer),
            ("123456789012345678901234567890", Type::Integer),
            ("0.5", Type::Decimal),
            (".5", Type::Decimal),
            ("1e-9", Type::Decimal),
            ("00501", Type::Text),
            ("1.2.3", Type::Text),
            ("-", Type::Text),
            ("e5", Type::Text),
            ("1e", Type::Text),
            ("0x1f", Type::Text),
            ("1,5", Type::Text),
            ("TRUE", Type::Boolean),
            ("2026-11-22", Type::Date),
            ("2026-11-22T10:00:00Z", Type::Date),
            ("1.12.2026", Type::Date),
            ("2026-11-22x", Type::Text),
            ("192.168.1.1", Type::Text),
        ] {
            assert_eq!(Type::of(value.as_bytes(), false), expected, "{value:?}");
        }
        assert_eq!(Type::of(b"1,5", true), Type::Decimal);
    }

    #[test]
    fn a_column_is_what_all_its_values_are() {
        let column = |values: &[&str]| {
            let mut column = Column::default();
            values
                .iter()
                .for_each(|it| column.add(it.as_bytes(), false));
            (column.values, column.missing)
        };
        assert_eq!(column(&["1", "", "2.5"]), (Type::Decimal, 1));
        assert_eq!(column(&["1", "x"]), (Type::Text, 0));
        assert_eq!(column(&["", "NA"]), (Type::Missing, 2));
    }
}
