//! A room's secret, and what is derived from it.

use std::{fmt, str::FromStr};

use data_encoding::BASE32_NOPAD;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    crypto::{MacKey, derive, random, same, sha256},
    protocol::RoomId,
};

/// What makes a member of a room: 128 random bits. Never sent to the relay.
///
/// Text: 26 characters of lower-case base32 (RFC 4648) and two check characters; parsing takes any
/// case, with or without dashes. There is no `Display`: [`RoomSecret::reveal`] says what it does.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RoomSecret([u8; 16]);

/// What members vouch for each other with; the relay never has it.
#[derive(Clone)]
pub struct MemberKey(MacKey);

/// Why a text is no room secret. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomSecretError {
    /// The text has the wrong number of characters.
    #[error("the room secret has {got} characters besides dashes, expected {TEXT_LEN}")]
    Length {
        /// Characters in the text, dashes not counted.
        got: usize,
    },
    /// The text has a character outside a-z and 2-7.
    #[error("only letters a-z and digits 2-7 can occur in a room secret")]
    Alphabet,
    /// The last two characters do not fit the others.
    #[error("the room secret's check characters do not fit: there is a typing error in it")]
    Check,
}

/// A MAC that no member of the room made over this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no member of this room vouches for it")]
pub struct MacError;

impl RoomSecret {
    /// A fresh room.
    #[must_use]
    pub fn generate() -> Self {
        let mut secret = Self([0; 16]);
        random(&mut secret.0);
        secret
    }

    /// Wraps 16 secret bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// What everything of the room is derived from.
    pub(super) const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The name of the room on a relay, which does not reveal the secret.
    #[must_use]
    pub fn room_id(&self) -> RoomId {
        RoomId::from_bytes(*derive(&self.0, b"", &[b"p2p/1 room id"]))
    }

    /// The key that members vouch for each other with.
    #[must_use]
    pub fn member_key(&self) -> MemberKey {
        let key = derive(&self.0, b"", &[b"p2p/1 member key"]);
        MemberKey(MacKey::new(key.as_slice()))
    }

    /// The secret as text, for an invite.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(BASE32_NOPAD.encode(&self.0));
        text.push_str(&check_digits(&self.0));
        text.make_ascii_lowercase();
        text
    }
}

impl FromStr for RoomSecret {
    type Err = RoomSecretError;

    fn from_str(text: &str) -> Result<Self, RoomSecretError> {
        let got = text.chars().filter(|c| *c != '-').count();
        if got != TEXT_LEN {
            return Err(RoomSecretError::Length { got });
        }
        if !text.is_ascii() {
            return Err(RoomSecretError::Alphabet);
        }
        let digits = text.chars().filter(|c| *c != '-');
        let digits = Zeroizing::new(digits.map(|c| c.to_ascii_uppercase()).collect::<String>());
        let (body, check) = digits.split_at(SECRET_DIGITS);
        let bytes = BASE32_NOPAD
            .decode(body.as_bytes())
            .map(Zeroizing::new)
            .map_err(|e| match e.kind {
                // The last digit carries two spare bits that a typing error can set.
                data_encoding::DecodeKind::Trailing => RoomSecretError::Check,
                _ => RoomSecretError::Alphabet,
            })?;
        let bytes = <[u8; 16]>::try_from(bytes.as_slice()).map_err(|_| RoomSecretError::Check)?;
        let secret = Self(bytes);
        if check_digits(&secret.0) != check {
            return Err(RoomSecretError::Check);
        }
        Ok(secret)
    }
}

impl fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSecret(..)")
    }
}

impl MemberKey {
    /// Vouches for `parts`, joined, for one purpose (HMAC-SHA256, RFC 2104).
    ///
    /// What is authenticated is the context, a zero byte and the parts; where one part ends and
    /// the next begins is for the caller to fix.
    ///
    /// # Panics
    /// If `context` has a zero byte in it.
    #[must_use]
    pub fn mac(&self, context: &str, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        assert!(!context.as_bytes().contains(&0), "a context is plain text");
        let prefix: [&[u8]; 2] = [context.as_bytes(), &[0]];
        self.0.mac(prefix.iter().chain(parts).copied())
    }

    /// Checks what [`MemberKey::mac`] made, in constant time.
    ///
    /// # Errors
    /// [`MacError`] unless key, context, parts and MAC all fit.
    pub fn verify(&self, context: &str, parts: &[&[u8]], mac: &[u8]) -> Result<(), MacError> {
        if same(&self.mac(context, parts), mac) {
            Ok(())
        } else {
            Err(MacError)
        }
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey(..)")
    }
}

/// Ten bits of the secret's SHA-256 as two characters.
fn check_digits(bytes: &[u8; 16]) -> String {
    let mut text = BASE32_NOPAD.encode(&sha256(bytes)[..2]);
    text.truncate(TEXT_LEN - SECRET_DIGITS);
    text
}

/// Bytes of a MAC.
pub const MAC_LEN: usize = 32;

/// Characters of base32 that carry 16 bytes.
const SECRET_DIGITS: usize = 26;
/// Those and two check characters.
const TEXT_LEN: usize = SECRET_DIGITS + 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_reads_back_in_every_form_a_person_may_type() {
        let secret = RoomSecret::generate();
        let text = secret.reveal();
        assert_eq!(text.len(), 28);
        let dashed = format!("{}-{}", &text[..7], &text[7..]);
        for form in [text.as_str(), &text.to_uppercase(), &dashed] {
            assert!(form.parse::<RoomSecret>().as_ref() == Ok(&secret));
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_with_the_reason() {
        let parse = |text: &str| text.parse::<RoomSecret>().unwrap_err();
        assert_eq!(parse("abc"), RoomSecretError::Length { got: 3 });
        assert_eq!(parse(&"1".repeat(28)), RoomSecretError::Alphabet);
        assert_eq!(parse(&"é".repeat(28)), RoomSecretError::Alphabet);
        let mut text = RoomSecret::from_bytes([9; 16]).reveal();
        let last = if text.ends_with('a') { "b" } else { "a" };
        text.replace_range(27.., last);
        assert_eq!(parse(&text), RoomSecretError::Check);
    }

    #[test]
    fn nothing_of_a_secret_is_in_what_may_be_printed() {
        let secret = RoomSecret::from_bytes([0xab; 16]);
        assert_eq!(format!("{secret:?}"), "RoomSecret(..)");
        assert_eq!(format!("{:?}", secret.member_key()), "MemberKey(..)");
        let text = secret.reveal().to_uppercase();
        let error = format!("{text}a").parse::<RoomSecret>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&text[..8]));
    }

    #[test]
    fn room_id_and_member_key_say_nothing_of_each_other() {
        let secret = RoomSecret::from_bytes([1; 16]);
        let key = derive(&[1; 16], b"", &[b"p2p/1 member key"]);
        assert_ne!(secret.room_id().as_bytes(), &*key);
        let other = RoomSecret::from_bytes([2; 16]);
        assert_ne!(secret.room_id(), other.room_id());
    }

    #[test]
    fn a_mac_holds_for_its_room_context_and_content_only() {
        let key = RoomSecret::from_bytes([1; 16]).member_key();
        let other = RoomSecret::from_bytes([2; 16]).member_key();
        let mac = key.mac("p2p/1 a", &[b"one", b"two"]);
        assert_eq!(key.verify("p2p/1 a", &[b"onetwo"], &mac), Ok(()));
        assert!(key.verify("p2p/1 b", &[b"onetwo"], &mac).is_err());
        assert!(key.verify("p2p/1 a", &[b"onetwO"], &mac).is_err());
        assert!(key.verify("p2p/1 a", &[b"onetwo"], &mac[1..]).is_err());
        assert!(key.verify("p2p/1 a", &[b"onetwo"], b"").is_err());
        assert!(other.verify("p2p/1 a", &[b"onetwo"], &mac).is_err());
    }
}
