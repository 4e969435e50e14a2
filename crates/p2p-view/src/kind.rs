//! What a file is, told from what is in it before what it is called.

use image::ImageFormat;
use infer::MatcherType;

use super::{csv, json, source::Source};

/// What a file is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// JSON, or JSON values one after the other on lines.
    Json,
    /// Values separated by commas, semicolons, tabs or bars.
    Csv,
    /// A picture: drawn if it is PNG, JPEG, GIF, WebP, BMP or ICO, and else described.
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
            "png" | "jpg" | "jpeg" | "jpe" | "jfif" | "gif" | "webp" | "bmp" | "dib" | "ico"
            | "tif" | "tiff" | "svg" => Self::Image,
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
            let known = infer::get(source.head()).map(|it| it.matcher_type());
            if image_format(source.head()).is_some() || known == Some(MatcherType::Image) {
                return Self::Image;
            }
            if nature == Nature::Binary || known.is_some_and(|it| it != MatcherType::Text) {
                return Self::Binary;
            }
        }
        if is_svg(&text) {
            return Self::Image;
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

/// Whether a text is SVG: its first element, after what may stand before it, is `svg`.
pub(super) fn is_svg(text: &[u8]) -> bool {
    let mut rest = text.trim_ascii_start();
    loop {
        let end: &[u8] = match rest {
            [
                b'<',
                b's',
                b'v',
                b'g',
                b' ' | b'\t' | b'\n' | b'\r' | b'>' | b'/',
                ..,
            ] => return true,
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            [b'<', b'?' | b'!', ..] => b">",
            _ => return false,
        };
        let Some(at) = rest.windows(end.len()).position(|it| it == end) else {
            return false;
        };
        rest = rest[at + end.len()..].trim_ascii_start();
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
        // As weak: at least one picture, and in the first entry a field that is reserved.
        ImageFormat::Ico => (head.get(4..6)? != [0; 2] && *head.get(9)? == 0).then_some(format),
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
    fn pictures_are_known_even_where_they_are_not_drawn() {
        assert_eq!(kind("a", b"II*\0\x08\0\0\0\0\0"), Kind::Image);
        assert_eq!(kind("a", b"\0\0\x01\0\x01\0\x10\x10\0\0"), Kind::Image);
        let prolog = b"<?xml version='1.0'?>\n<!-- a > b -->\n<!DOCTYPE svg>\n<svg width='1'/>";
        assert_eq!(kind("a", prolog), Kind::Image);
        assert_eq!(kind("a", b"<!DOCTYPE html><p><svg></svg>"), Kind::Text);
        assert_eq!(kind("a.xml", b"<svgs/>"), Kind::Text);
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
