//! What a file is, told from what is in it before what it is called.

use image::ImageFormat;

use super::{csv, json, source::Source};

/// What a file is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// JSON, or JSON values one after the other on lines.
    Json,
    /// Values separated by commas, semicolons, tabs or bars.
    Csv,
    /// A picture of a kind that can be decoded: PNG, JPEG, GIF, WebP, BMP.
    Image,
    /// Any other text.
    Text,
    /// Anything else.
    Binary,
    /// Nothing.
    Empty,
}

impl Kind {
    /// The word for it in `--json` events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Image => "image",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Empty => "empty",
        }
    }

    /// The kind that the extension of a file's name stands for, if that is one.
    pub(super) fn claimed(extension: &str) -> Option<Self> {
        Some(match extension {
            "json" | "jsonl" | "ndjson" | "geojson" | "ipynb" | "webmanifest" => Self::Json,
            "csv" | "tsv" | "tab" | "psv" => Self::Csv,
            "png" | "jpg" | "jpeg" | "jpe" | "jfif" | "gif" | "webp" | "bmp" | "dib" => Self::Image,
            _ => return None,
        })
    }

    pub(super) fn of(source: &Source) -> Self {
        if source.head().is_empty() {
            return Self::Empty;
        }
        let text = source.head_text();
        let nature = Nature::of(&text, source.head_is_all());
        // What is plainly text is text, even if its first letters are those of a picture: "BMI,age".
        if nature != Nature::Clean && !source.is_utf16() {
            if image_format(source.head()).is_some() {
                return Self::Image;
            }
            if nature == Nature::Binary || is_known_binary(source.head()) {
                return Self::Binary;
            }
        }
        let extension = source.extension();
        match extension.as_deref().and_then(Self::claimed) {
            Some(claimed @ (Self::Json | Self::Csv)) => claimed,
            _ if json::looks_like(&text, source.head_is_all()) => Self::Json,
            _ if may_be_table(extension.as_deref())
                && csv::looks_like(&text, source.head_is_all()) =>
            {
                Self::Csv
            }
            _ => Self::Text,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The format of a picture that can be decoded, from its first bytes.
pub(super) fn image_format(head: &[u8]) -> Option<ImageFormat> {
    let format = image::guess_format(head).ok()?;
    match format {
        ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP => Some(format),
        // Two letters are a weak sign; the reserved fields that follow the length must be zero,
        // and the size of the second header is one of a few.
        ImageFormat::Bmp => {
            let reserved = head.get(6..10)? == [0; 4];
            let header = u32::from_le_bytes(head.get(14..18)?.try_into().ok()?);
            (reserved && matches!(header, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
                .then_some(format)
        }
        _ => None,
    }
}

/// How a sample of bytes looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// UTF-8 without odd control characters.
    Clean,
    /// Text with control characters in it, or in an encoding of one byte a character.
    Rough,
    Binary,
}

impl Nature {
    fn of(sample: &[u8], is_all: bool) -> Self {
        if sample.contains(&0) {
            return Self::Binary;
        }
        let controls = sample.iter().filter(|byte| is_odd_control(**byte)).count();
        let invalid = match std::str::from_utf8(sample) {
            Ok(_) => 0,
            // The end of the sample may fall inside a character.
            Err(error) if error.error_len().is_none() && !is_all => 0,
            Err(_) => sample.utf8_chunks().map(|it| it.invalid().len()).sum(),
        };
        if controls == 0 && invalid == 0 {
            Self::Clean
        } else if (invalid == 0 && controls * 3 <= sample.len())
            || (controls * 20 <= sample.len() && invalid * 3 <= sample.len())
        {
            Self::Rough
        } else {
            Self::Binary
        }
    }
}

/// Control characters that text files do not have, unlike white space and the start of colours.
fn is_odd_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)
}

fn is_known_binary(head: &[u8]) -> bool {
    infer::get(head).is_some_and(|it| it.matcher_type() != infer::MatcherType::Text)
}

/// Prose and programs have commas too; only a name that leaves it open is worth a look.
fn may_be_table(extension: Option<&str>) -> bool {
    matches!(extension, None | Some("txt" | "dat" | "data" | "asc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, content: &[u8]) -> Kind {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(name);
        std::fs::write(&path, content).unwrap();
        Kind::of(&Source::open(&path).unwrap())
    }

    #[test]
    fn content_tells_where_the_name_is_silent() {
        assert_eq!(kind("a", b"{\"a\": [1, 2]}\n"), Kind::Json);
        assert_eq!(kind("a", b"a,b\n1,2\n3,4\n"), Kind::Csv);
        assert_eq!(kind("a", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Kind::Image);
        assert_eq!(kind("a", b"Dear Bob,\nhow are you?\n"), Kind::Text);
        assert_eq!(kind("a", b"\x7fELF\x02\x01\x01\0"), Kind::Binary);
        assert_eq!(kind("a", b""), Kind::Empty);
    }

    #[test]
    fn content_wins_over_a_name_that_lies() {
        assert_eq!(
            kind("a.json", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            Kind::Image
        );
        assert_eq!(kind("a.png", b"{\"a\": 1}"), Kind::Json);
        assert_eq!(kind("a.csv", b"\x7fELF\x02\x01\x01\0"), Kind::Binary);
        assert_eq!(kind("a.csv", b""), Kind::Empty);
    }

    #[test]
    fn text_that_begins_like_something_else_stays_text() {
        assert_eq!(kind("a.csv", b"BMI,age\n22.5,40\n"), Kind::Csv);
        assert_eq!(kind("a.ini", b"[section]\nkey = value\n"), Kind::Text);
        assert_eq!(kind("a.py", b"f(1, 2)\ng(3, 4)\n"), Kind::Text);
        assert_eq!(kind("a.log", b"\x1b[31mred\x1b[0m\n"), Kind::Text);
    }

    #[test]
    fn older_encodings_and_utf16_are_text() {
        assert_eq!(
            kind("a", b"caf\xe9 cr\xe8me, et bien d'autres choses\n"),
            Kind::Text
        );
        let utf16: Vec<u8> = "\u{feff}a\tb\n1\t2\n3\t4\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(kind("a.txt", &utf16), Kind::Csv);
    }
}
