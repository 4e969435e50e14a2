//! What a file is called and what it is, sealed before its content.

use serde::{Deserialize, Serialize};

/// The head of a file's stream. All of it comes from the far end: parse the path before you use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Where it goes below the target directory, with `/` between the parts. Not checked here.
    pub path: String,
    /// What it is.
    pub kind: HeadKind,
    /// Bytes of content; `None` when the sender does not know, as of a pipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where a symbolic link leads, or the path of the file in the same transfer that a hard link is another
    /// name of. Not checked here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether its owner may execute it.
    #[serde(default)]
    pub exec: bool,
    /// The permission bits that it has at the sender, where they are to be kept. A recipient grants no
    /// more than it would without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Whether there are holes in it, so that blocks of zeros need no room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sparse: bool,
    /// Whether it may have further names, which come after it as hard links.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub linked: bool,
    /// Whether characters of its path stand for others, which cannot be shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaced: bool,
    /// When its content last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<ModifiedTime>,
    /// BLAKE3 of the content, where the sender knows it before it sends it: then a recipient that has
    /// just that says so. To a sender that does not show that it knows the content, nothing is said.
    ///
    /// Only a claim until the trailer, which is what counts.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub blake3: Option<[u8; 32]>,
}

/// A hash as text: lower-case hex.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        hash: &Option<[u8; 32]>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => s.serialize_str(&data_encoding::HEXLOWER.encode(hash)),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(d)? else {
            return Ok(None);
        };
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes());
        let hash = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        hash.map(Some)
            .ok_or_else(|| D::Error::custom("a hash has 64 hexadecimal digits"))
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// A regular file.
    File,
    /// A directory; it has no content.
    Dir,
    /// A symbolic link; it has no content.
    Symlink,
    /// Another name of a file of the same transfer; it has no content. Only for recipients whose bundle says
    /// that they take it.
    HardLink,
    /// A message to show and not to store.
    Text,
}

/// Seconds since 1970, and nanoseconds (below 1,000,000,000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModifiedTime(pub i64, pub u32);

/// A head that is too long to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path of {got} bytes with what belongs to it, where {HEAD_MAX} are allowed")]
pub struct HeadError {
    /// Bytes of the head.
    pub got: usize,
}

impl Head {
    /// A head that says nothing which need not be said.
    #[must_use]
    pub fn new(kind: HeadKind, path: impl Into<String>, size: Option<u64>) -> Self {
        Self {
            path: path.into(),
            kind,
            size,
            target: None,
            exec: false,
            mode: None,
            sparse: false,
            linked: false,
            replaced: false,
            mtime: None,
            blake3: None,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, HeadError> {
        let json = serde_json::to_vec(self).expect("strings and numbers are JSON");
        match json.len() {
            0..=HEAD_MAX => Ok(json),
            got => Err(HeadError { got }),
        }
    }

    pub(super) fn decode(json: &[u8]) -> Option<Self> {
        let head: Self = serde_json::from_slice(json).ok()?;
        let in_range = head.mtime.is_none_or(|time| time.1 < 1_000_000_000);
        (json.len() <= HEAD_MAX && in_range).then_some(head)
    }

    /// Bytes of content that must follow, if that is known.
    pub(super) fn content_size(&self) -> Option<u64> {
        match self.kind {
            HeadKind::Dir | HeadKind::Symlink | HeadKind::HardLink => Some(0),
            HeadKind::File | HeadKind::Text => self.size,
        }
    }
}

/// The longest head, in bytes of JSON: four times the longest path that Linux knows.
pub const HEAD_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_its_text_is_fixed() {
        let head = Head {
            exec: true,
            mtime: Some(ModifiedTime(-1, 999_999_999)),
            ..Head::new(HeadKind::File, "a/b.sh", Some(u64::MAX))
        };
        let json = head.encode().unwrap();
        assert_eq!(
            std::str::from_utf8(&json).unwrap(),
            r#"{"path":"a/b.sh","kind":"file","size":18446744073709551615,"exec":true,"mtime":[-1,999999999]}"#
        );
        assert_eq!(Head::decode(&json), Some(head.clone()));
        let known = Head {
            blake3: Some([0xab; 32]),
            ..head
        };
        assert_eq!(Head::decode(&known.encode().unwrap()), Some(known));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"path":"a","kind":"socket"}"#,
            r#"{"path":"a","kind":"file","size":-1}"#,
            r#"{"path":"a","kind":"file","mtime":[0,1000000000]}"#,
            r#"{"path":"a","kind":"file","blake3":"ab"}"#,
        ] {
            assert_eq!(Head::decode(bad.as_bytes()), None, "{bad}");
        }
        let long = Head {
            path: "x".repeat(HEAD_MAX),
            ..Head::decode(br#"{"path":"a","kind":"text"}"#).unwrap()
        };
        assert!(long.encode().is_err());
    }
}
