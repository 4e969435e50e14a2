//! Identifiers that cross the wire, each its own type so that two cannot be swapped.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::crypto::sha256;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text has the wrong number of characters.
    #[error("expected {expected} characters besides dashes, got {got}")]
    Length {
        /// Characters in a whole identifier, dashes not counted.
        expected: usize,
        /// Characters in the text, dashes not counted.
        got: usize,
    },
    /// The text has a character outside a-z and 2-7.
    #[error("only letters a-z and digits 2-7 can occur")]
    Alphabet,
    /// The last two characters do not fit the others.
    #[error("the check characters do not fit: there is a typing error in it")]
    Check,
}

/// Characters of base32 that carry 32 bytes.
const LONG_DIGITS: usize = 52;
/// Characters of the checksum: 10 bits, so one typing error in 1,024 slips through.
const CHECK_DIGITS: usize = 2;
/// Characters between two dashes.
const GROUP: usize = 6;

/// The 10-bit checksum of `bytes` as two characters: the head of their SHA-256.
fn check_digits(bytes: &[u8; 32]) -> String {
    let mut text = BASE32_NOPAD.encode(&sha256(bytes)[..2]);
    text.truncate(CHECK_DIGITS);
    text
}

fn encode_checked(bytes: &[u8; 32]) -> String {
    let mut text = BASE32_NOPAD.encode(bytes);
    text.push_str(&check_digits(bytes));
    text.make_ascii_lowercase();
    text
}

fn decode_checked(text: &str) -> Result<[u8; 32], IdError> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let expected = LONG_DIGITS + CHECK_DIGITS;
    if digits.chars().count() != expected {
        let got = digits.chars().count();
        return Err(IdError::Length { expected, got });
    }
    if !digits.is_ascii() {
        return Err(IdError::Alphabet);
    }
    let digits = digits.to_ascii_uppercase();
    let (body, check) = digits.split_at(LONG_DIGITS);
    let bytes = BASE32_NOPAD
        .decode(body.as_bytes())
        .map_err(|e| match e.kind {
            // The last digit carries four spare bits that a typing error can set.
            data_encoding::DecodeKind::Trailing => IdError::Check,
            _ => IdError::Alphabet,
        })?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| IdError::Check)?;
    if check_digits(&bytes) != check {
        return Err(IdError::Check);
    }
    Ok(bytes)
}

/// Writes groups of six with dashes between.
fn grouped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / GROUP);
    for (i, c) in text.chars().enumerate() {
        if i > 0 && i % GROUP == 0 {
            out.push('-');
        }
        out.push(c);
    }
    out
}

macro_rules! checked_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes that are already known to be such an identifier.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first group of six characters, for people.
            #[must_use]
            pub fn short(&self) -> String {
                let mut text = encode_checked(&self.0);
                text.truncate(GROUP);
                text
            }

            /// The text form without dashes: 54 characters.
            #[must_use]
            pub fn compact(&self) -> String {
                encode_checked(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&grouped(&encode_checked(&self.0)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                decode_checked(text.trim()).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

checked_id! {
    /// Who a peer, or a relay, is: the SHA-256 of the DER `SubjectPublicKeyInfo` of its Ed25519 key.
    ///
    /// Text: lower-case base32 (RFC 4648) and two check characters, in nine groups of six.
    /// Parsing takes any case, with or without dashes.
    PeerId
}

checked_id! {
    /// Which room on a relay: derived from the room's secret, which it does not reveal.
    RoomId
}

impl PeerId {
    /// The peer whose public key has this DER `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Self {
        Self(sha256(der))
    }

    /// Whether `prefix`, in any case and with or without dashes, begins this ID's text.
    ///
    /// The caller decides how long a prefix must be to count.
    #[must_use]
    pub fn has_prefix(&self, prefix: &str) -> bool {
        let wanted: String = prefix.chars().filter(|c| *c != '-').collect();
        !wanted.is_empty() && self.compact().starts_with(&wanted.to_ascii_lowercase())
    }
}

/// One offer: some files for some recipients. Random, chosen by the sender, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId([u8; 16]);

impl TransferId {
    /// Wraps 16 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransferId({})", &self.to_string()[..6])
    }
}

impl FromStr for TransferId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let expected = 26;
        let got = text.chars().count();
        if got != expected {
            return Err(IdError::Length { expected, got });
        }
        let bytes = BASE32_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .map_err(|_| IdError::Alphabet)?;
        bytes.try_into().map(Self).map_err(|_| IdError::Alphabet)
    }
}

impl Serialize for TransferId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TransferId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A file's number within its transfer, in the order in which the sender found it, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileIndex(pub u64);

impl fmt::Display for FileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> PeerId {
        PeerId::of_spki(b"a key")
    }

    #[test]
    fn an_id_reads_back_in_every_form_a_person_may_type() {
        let text = id().to_string();
        assert_eq!(text.len(), 62);
        assert_eq!(text.split('-').count(), 9);
        for form in [
            text.clone(),
            text.replace('-', ""),
            text.to_uppercase(),
            format!(" {text}\n"),
        ] {
            assert_eq!(form.parse::<PeerId>().as_ref(), Ok(&id()));
        }
    }

    #[test]
    fn nearly_every_single_typing_error_is_caught() {
        let text = id().compact();
        let mut missed = 0;
        let mut tried = 0;
        for i in 0..text.len() {
            for c in "abcdefghijklmnopqrstuvwxyz234567".chars() {
                let mut wrong = text.clone();
                wrong.replace_range(i..=i, &c.to_string());
                if wrong != text {
                    tried += 1;
                    missed += usize::from(wrong.parse::<PeerId>().is_ok());
                }
            }
        }
        assert!(
            missed * 200 < tried,
            "{missed} of {tried} typing errors passed"
        );
    }

    #[test]
    fn what_is_no_id_is_refused_with_the_reason() {
        assert!(matches!(
            "abc".parse::<PeerId>(),
            Err(IdError::Length { got: 3, .. })
        ));
        let ones = "1".repeat(54);
        assert_eq!(ones.parse::<PeerId>(), Err(IdError::Alphabet));
        let wide = "é".repeat(54);
        assert_eq!(wide.parse::<PeerId>(), Err(IdError::Alphabet));
    }

    #[test]
    fn a_prefix_matches_with_or_without_dashes() {
        let text = id().to_string();
        assert!(id().has_prefix(&text[..6]));
        assert!(id().has_prefix(&text[..10]));
        assert!(id().has_prefix(&text[..10].to_uppercase()));
        assert!(!id().has_prefix(""));
        assert!(!id().has_prefix("222222"));
    }

    #[test]
    fn a_transfer_id_reads_back() {
        let id = TransferId::from_bytes([7; 16]);
        assert_eq!(id.to_string().parse::<TransferId>(), Ok(id));
        assert!("x".parse::<TransferId>().is_err());
    }
}
