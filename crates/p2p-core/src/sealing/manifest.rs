//! What a recipient decides by, before a byte of content is accepted.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{crypto::random, protocol::SafeText};

/// What is offered: how many files, how much, and the first names. Sealed once for all recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The same for every attempt at the same job, so that a later one can resume.
    pub job: JobId,
    /// How many files; `None` while the sender still looks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// How many bytes of content; `None` when it is not known, as of a pipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The room that they take on a disk, where that is less: there are holes in the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<u64>,
    /// The first names, at most [`Manifest::NAMES_MAX`], for people to read.
    #[serde(default)]
    pub names: Vec<ManifestEntry>,
    /// Whether it is a message to show and not to store.
    #[serde(default)]
    pub text: bool,
    /// Whether the sender understands that a file got another name ([`Outcome::Renamed`](super::Outcome)).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renames: bool,
}

/// A name in a manifest. The head of a file is what counts; this is to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The path, safe to print, not to store by.
    pub path: SafeText,
    /// Bytes of content, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// Which job an attempt belongs to: 16 random bytes of the sender. Text: lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub [u8; 16]);

impl Manifest {
    /// The most names in a manifest.
    pub const NAMES_MAX: usize = 32;

    /// The longest manifest, in bytes of JSON.
    ///
    /// In base64 and with the offer's header, half of a control message.
    pub(super) const MAX: usize = 16 * 1024;

    /// A manifest that says nothing but which job it is of.
    #[must_use]
    pub fn new(job: JobId) -> Self {
        Self {
            job,
            files: None,
            bytes: None,
            room: None,
            names: Vec::new(),
            text: false,
            renames: false,
        }
    }

    /// The manifest as it is sealed; of the names, only so many as fit.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut fitting = self.clone();
        fitting.names.truncate(Self::NAMES_MAX);
        loop {
            let json = serde_json::to_vec(&fitting).expect("strings and numbers are JSON");
            if json.len() <= Self::MAX {
                return json;
            }
            fitting.names.pop();
        }
    }

    /// Reads a manifest that was sealed.
    pub(super) fn decode(json: &[u8]) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(json).ok()?;
        (manifest.names.len() <= Self::NAMES_MAX).then_some(manifest)
    }
}

impl JobId {
    /// A new job.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; 16];
        random(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| JobIdError)?;
        bytes.try_into().map(Self).map_err(|_| JobIdError)
    }
}

/// A text that is no job ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job ID has 32 lower-case hexadecimal digits")]
pub struct JobIdError;

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(names: usize, path: &str) -> Manifest {
        let entry = ManifestEntry {
            path: SafeText::new(path),
            size: Some(1),
        };
        Manifest {
            job: JobId([7; 16]),
            files: Some(names as u64),
            bytes: None,
            room: None,
            names: vec![entry; names],
            text: false,
            renames: false,
        }
    }

    #[test]
    fn a_manifest_reads_back() {
        let manifest = manifest(Manifest::NAMES_MAX, "a/b");
        assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
    }

    #[test]
    fn long_names_are_left_out_until_it_fits() {
        let manifest = manifest(100, &"\u{1f600}".repeat(200));
        let json = manifest.encode();
        assert!(json.len() <= Manifest::MAX);
        let read = Manifest::decode(&json).unwrap();
        assert!((10..Manifest::NAMES_MAX).contains(&read.names.len()));
        assert_eq!(read.files, Some(100));
    }

    #[test]
    fn what_a_hostile_sender_puts_in_cannot_reach_a_terminal() {
        let json = br#"{"job":"00000000000000000000000000000000","names":[{"path":"\u001b[2J"}]}"#;
        let read = Manifest::decode(json).unwrap();
        assert!(!read.names[0].path.as_str().contains('\u{1b}'));
        assert_eq!(Manifest::decode(b"{}"), None);
        let names = r#"{"path":"a"},"#.repeat(Manifest::NAMES_MAX) + r#"{"path":"a"}"#;
        let many = format!(r#"{{"job":"{}","names":[{names}]}}"#, "00".repeat(16));
        assert_eq!(Manifest::decode(many.as_bytes()), None);
    }
}
