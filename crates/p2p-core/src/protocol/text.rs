//! Text from the far end that people will see: parsed into types that cannot hurt a terminal.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::UnicodeNormalization;
use unicode_security::MixedScript;

use super::PeerId;

/// Whether a character may reach a terminal or a log.
///
/// Refused are control characters (which carry escape sequences), and the format characters that
/// reorder or hide text (Unicode bidi controls, zero-width characters, tags), by which one name
/// can be made to look like another.
pub fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a character shows where it stands: printable, and neither blank nor left out by fonts.
///
/// A plain space counts. Default-ignorable characters (Unicode Standard Annex #44) such as variation
/// selectors and Hangul fillers, and characters that look like a space or nothing, make two names out
/// of what people see as one.
fn is_visible(c: char) -> bool {
    is_printable(c)
        && (c == ' ' || !c.is_whitespace())
        && !matches!(c,
            '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}')
}

/// What follows `id:`, in any case and spelling: the mark of an ID where a name could stand.
#[must_use]
pub fn id_prefix(text: &str) -> Option<&str> {
    let (mark, rest) = text.split_once(':')?;
    (mark
        .trim()
        .nfkc()
        .collect::<String>()
        .eq_ignore_ascii_case("id"))
    .then_some(rest)
}

/// What a peer calls itself: 1 to 64 visible characters, no space at the ends, not written like an ID.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerName(String);

/// Why a text is no peer name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a peer name has 1 to 64 visible characters, no space at its ends, and does not look like an ID"
)]
pub struct PeerNameError;

impl PeerName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind a name that mixes scripts, wherever people see it first; else nothing.
    #[must_use]
    pub fn caution(&self) -> &'static str {
        match self.mixes_scripts() {
            true => " (letters of several scripts)",
            false => "",
        }
    }

    /// Whether letters of several scripts stand in the name, as where a Cyrillic `а` poses as a Latin `a`.
    ///
    /// Scripts that are written together, such as Han and Kana, count as one (Unicode Technical Standard #39).
    #[must_use]
    pub fn mixes_scripts(&self) -> bool {
        !self.0.as_str().is_single_script()
    }

    /// The nearest valid name to any text: what cannot be in a name is dropped.
    ///
    /// Used for the host name, which nobody chose with this program in mind.
    #[must_use]
    pub fn from_lossy(text: &str) -> Self {
        let kept: String = text
            .chars()
            .filter(|c| is_visible(*c))
            .take(Self::MAX_CHARS)
            .collect();
        kept.parse().unwrap_or_else(|_| Self("peer".to_owned()))
    }
}

impl FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(text: &str) -> Result<Self, PeerNameError> {
        // Two spellings of one name would be two names that nobody can tell apart.
        let name: String = text.nfc().take(Self::MAX_CHARS + 1).collect();
        let fits = !name.is_empty()
            && name.trim() == name
            && name.chars().count() <= Self::MAX_CHARS
            && name.chars().all(is_visible)
            && id_prefix(&name).is_none()
            && name.parse::<PeerId>().is_err();
        if fits {
            Ok(Self(name))
        } else {
            Err(PeerNameError)
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for PeerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PeerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A sentence from the far end, such as a reason: cut to 200 characters, unprintable ones replaced.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SafeText(String);

impl SafeText {
    /// The longest text, in characters.
    pub const MAX_CHARS: usize = 200;

    /// Makes any text safe to print on one line.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let clean = |c| if is_printable(c) { c } else { '\u{fffd}' };
        Self(text.chars().take(Self::MAX_CHARS).map(clean).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Serialize for SafeText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SafeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self::new(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_fool_a_terminal_or_a_reader_is_refused() {
        for bad in [
            "",
            " a",
            "a ",
            "a\nb",
            "\u{1b}[31m",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{9b}2J",
            "a\u{fe0f}",
            "a\u{3164}b",
            "a\u{34f}b",
            "\u{2800}",
            "a\u{a0}b",
            "a\u{2003}b",
            "id:k7m2qx",
            "ID: k7m2qx",
            "\u{ff49}\u{ff44}:k7m2qx",
            &PeerId::from_bytes([7; 32]).to_string(),
            &PeerId::from_bytes([7; 32]).compact(),
            &"x".repeat(65),
        ] {
            assert_eq!(bad.parse::<PeerName>(), Err(PeerNameError), "{bad:?}");
        }
    }

    #[test]
    fn a_name_of_two_scripts_is_noticed() {
        for (name, mixed) in [
            ("alice", false),
            ("Zoë 2", false),
            ("東京タワー", false),
            ("Борис", false),
            ("\u{430}lice", true),
        ] {
            assert_eq!(
                name.parse::<PeerName>().unwrap().mixes_scripts(),
                mixed,
                "{name}"
            );
        }
    }

    #[test]
    fn names_in_any_script_are_kept_and_spelled_one_way() {
        assert_eq!("Zoë 文".parse::<PeerName>().unwrap().as_str(), "Zoë 文");
        assert_eq!("Zoe\u{308}".parse::<PeerName>(), "Zoë".parse::<PeerName>());
    }

    #[test]
    fn text_from_afar_never_carries_an_escape_sequence_or_a_second_line() {
        let text = SafeText::new("no\u{1b}]0;x\u{7}\nspace\u{202e}");
        assert!(text.as_str().chars().all(is_printable));
        assert_eq!(
            SafeText::new(&"x".repeat(1000)).as_str().len(),
            SafeText::MAX_CHARS
        );
    }
}
