//! Text from the far end that people will see: parsed into types that cannot hurt a terminal.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::UnicodeNormalization;

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

/// What a peer calls itself: 1 to 64 printable characters, no white space at the ends.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerName(String);

/// Why a text is no peer name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a peer name has 1 to 64 printable characters and no space at its ends")]
pub struct PeerNameError;

impl PeerName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The nearest valid name to any text: what cannot be in a name is dropped.
    ///
    /// Used for the host name, which nobody chose with this program in mind.
    #[must_use]
    pub fn from_lossy(text: &str) -> Self {
        let kept: String = text
            .chars()
            .filter(|c| is_printable(*c))
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
            && name.chars().all(is_printable);
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
            &"x".repeat(65),
        ] {
            assert_eq!(bad.parse::<PeerName>(), Err(PeerNameError), "{bad:?}");
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
