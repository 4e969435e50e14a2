//! What a person means by `--to`.

use std::{collections::BTreeMap, fmt};

use super::{Origin, Roster};
use crate::protocol::{IdError, PeerId, PeerName, id_prefix};

/// A peer that is in the room now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Who it is.
    pub id: PeerId,
    /// What it calls itself.
    pub name: PeerName,
}

/// Whom the text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Who it is.
    pub id: PeerId,
    /// The name it was found by, or the one it gives itself, or the one we know it by.
    pub name: Option<PeerName>,
    /// Whether it is in the room now.
    pub present: bool,
    /// By what it was found.
    pub how: How,
}

/// By what a peer was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The whole ID.
    Id,
    /// A name that belongs to its key.
    KnownName,
    /// The name that it gives itself, and that nobody else has.
    PresentName,
    /// The beginning of its ID, which no other has.
    Prefix,
}

/// One of several peers that may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who it is.
    pub id: PeerId,
    /// What it is called, if that is known.
    pub name: Option<PeerName>,
}

/// Why a text means nobody, or nobody for certain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nobody is called so.
    #[error("no peer is called {text:?}")]
    NotFound {
        /// What was asked for.
        text: String,
        /// Whether an ID here begins so: then `id:` was left out.
        begins_id: bool,
        /// The name most like it, if one is.
        nearest: Option<PeerName>,
    },
    /// No ID begins so.
    #[error("no peer ID begins with {text:?}")]
    NoSuchId {
        /// What followed `id:`.
        text: String,
    },
    /// Too little of an ID to be sure of one.
    #[error("`id:` takes at least {PREFIX_MIN} characters of a peer ID, and {text:?} has {got}")]
    ShortPrefix {
        /// What followed `id:`.
        text: String,
        /// Its characters, dashes not counted.
        got: usize,
    },
    /// An ID with a typing error in it.
    #[error("{text:?} looks like a peer ID, but there is a typing error in it")]
    MistypedId {
        /// What was asked for.
        text: String,
    },
    /// Several may be meant.
    #[error("{text:?} may mean {}", List(candidates))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// Those who may be meant, at most eight.
        candidates: Vec<Candidate>,
    },
    /// Another peer goes by a name that belongs to a key that is not here.
    #[error("{name:?} is the name of {pinned}, but the peer of that name here is {got}")]
    KeyChanged {
        /// The name.
        name: PeerName,
        /// Whose it is.
        pinned: PeerId,
        /// Who goes by it now.
        got: PeerId,
    },
}

/// Finds the peer that `text` means: a whole ID, `id:` and the beginning of one, a known name, or a
/// name in the room.
///
/// No name can be written like an ID ([`PeerName`] refuses those), so what a peer calls itself never
/// resolves as one. A name that is known means its key, whoever else goes by it. A text that is the
/// name of one peer and begins the ID of another, as people see it, is ambiguous unless a person gave
/// that name.
///
/// # Errors
/// Whenever a person should decide; nothing is guessed.
pub fn resolve(text: &str, known: &Roster, present: &[Present]) -> Result<Resolved, ResolveError> {
    let text = text.trim();
    let all = Everybody { known, present };
    if let Some(prefix) = id_prefix(text) {
        return all.by_id(prefix.trim());
    }
    let id_error = match text.parse::<PeerId>() {
        Ok(id) => return Ok(all.resolved(id, None, How::Id)),
        Err(e) => e,
    };
    let alike = if digits(text) < SHORT_ID {
        Vec::new()
    } else {
        all.beginning_with(text)
    };
    if let Ok(name) = text.parse::<PeerName>()
        && let Some(found) = all.by_name(text, &name, &alike)?
    {
        return Ok(found);
    }
    if !matches!(id_error, IdError::Length { .. }) {
        let text = text.to_owned();
        return Err(ResolveError::MistypedId { text });
    }
    Err(ResolveError::NotFound {
        text: text.to_owned(),
        begins_id: !alike.is_empty(),
        nearest: all.nearest(text),
    })
}

/// Characters of an ID, dashes not counted.
fn digits(text: &str) -> usize {
    text.chars().filter(|c| *c != '-').count()
}

struct Everybody<'a> {
    known: &'a Roster,
    present: &'a [Present],
}

impl Everybody<'_> {
    /// The only peer whose ID begins so.
    fn by_id(&self, prefix: &str) -> Result<Resolved, ResolveError> {
        if let Ok(id) = prefix.parse() {
            return Ok(self.resolved(id, None, How::Id));
        }
        let (text, got) = (prefix.to_owned(), digits(prefix));
        if got < PREFIX_MIN {
            return Err(ResolveError::ShortPrefix { text, got });
        }
        match self.beginning_with(prefix).as_slice() {
            [] => Err(ResolveError::NoSuchId { text }),
            [id] => Ok(self.resolved(*id, None, How::Prefix)),
            several => Err(self.ambiguous(prefix, several)),
        }
    }

    fn by_name(
        &self,
        text: &str,
        name: &PeerName,
        alike: &[PeerId],
    ) -> Result<Option<Resolved>, ResolveError> {
        let mut bearers: Vec<PeerId> = self
            .present
            .iter()
            .filter(|peer| peer.name == *name)
            .map(|peer| peer.id)
            .collect();
        bearers.sort_unstable();
        bearers.dedup();
        let pinned = self.known.get(name);
        let (id, how) = match (&pinned, bearers.as_slice()) {
            (Some(pinned), bearers) => {
                let here = self.present.iter().any(|peer| peer.id == pinned.id);
                match bearers {
                    // It was only received from: that is no choice of this side, to be kept to.
                    [id] if !here && pinned.origin == Origin::Seen => (*id, How::PresentName),
                    [_, _, ..] if !here && pinned.origin == Origin::Seen => {
                        return Err(self.ambiguous(text, bearers));
                    }
                    [got, ..] if !here => {
                        return Err(ResolveError::KeyChanged {
                            name: name.clone(),
                            pinned: pinned.id,
                            got: *got,
                        });
                    }
                    _ => (pinned.id, How::KnownName),
                }
            }
            (None, []) => return Ok(None),
            (None, [id]) => (*id, How::PresentName),
            (None, several) => return Err(self.ambiguous(text, several)),
        };
        let given = pinned.is_some_and(|peer| peer.origin == Origin::Added);
        let mut others: Vec<PeerId> = alike.to_vec();
        others.retain(|other| *other != id);
        if !given && !others.is_empty() {
            others.insert(0, id);
            return Err(self.ambiguous(text, &others));
        }
        Ok(Some(self.resolved(id, Some(name.clone()), how)))
    }

    /// Everybody whose ID begins with the text.
    fn beginning_with(&self, text: &str) -> Vec<PeerId> {
        let mut ids: Vec<PeerId> = self
            .present
            .iter()
            .map(|peer| peer.id)
            .chain(self.known.iter().map(|peer| peer.id))
            .filter(|id| id.has_prefix(text))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn resolved(&self, id: PeerId, name: Option<PeerName>, how: How) -> Resolved {
        Resolved {
            id,
            name: name.or_else(|| self.name_of(id)),
            present: self.present.iter().any(|peer| peer.id == id),
            how,
        }
    }

    /// A name that is known to be the peer's goes before one that it gives itself.
    fn name_of(&self, id: PeerId) -> Option<PeerName> {
        let known = self.known.iter().find(|peer| peer.id == id);
        let present = || self.present.iter().find(|peer| peer.id == id);
        known
            .map(|peer| peer.name)
            .or_else(|| present().map(|peer| peer.name.clone()))
    }

    fn ambiguous(&self, text: &str, ids: &[PeerId]) -> ResolveError {
        let candidate = |id: &PeerId| Candidate {
            id: *id,
            name: self.name_of(*id),
        };
        ResolveError::Ambiguous {
            text: text.to_owned(),
            candidates: ids.iter().take(CANDIDATES_MAX).map(candidate).collect(),
        }
    }

    fn nearest(&self, text: &str) -> Option<PeerName> {
        let text = text.to_lowercase();
        let known = self.known.iter().map(|peer| peer.name);
        let present = self.present.iter().map(|peer| peer.name.clone());
        let mut scores: BTreeMap<PeerName, f64> = BTreeMap::new();
        for name in known.chain(present) {
            let score = strsim::jaro_winkler(&text, &name.as_str().to_lowercase());
            scores.insert(name, score);
        }
        scores
            .into_iter()
            .filter(|(_, score)| *score >= ALIKE)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(name, _)| name)
    }
}

struct List<'a>(&'a [Candidate]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, candidate) in self.0.iter().enumerate() {
            let or = if i == 0 { "" } else { " or " };
            write!(f, "{or}id:{}", candidate.beginning())?;
            if let Some(name) = &candidate.name {
                write!(f, " ({name})")?;
            }
        }
        Ok(())
    }
}

impl Candidate {
    /// As much of its ID as `--to` takes.
    #[must_use]
    pub fn beginning(&self) -> String {
        self.id.to_string().chars().take(BEGINNING).collect()
    }
}

/// Characters of an ID, with a dash, that tell a candidate from others.
const BEGINNING: usize = 13;

/// The shortest beginning of an ID that counts: 50 bits, more than anybody finds a twin for by chance.
pub const PREFIX_MIN: usize = 10;

/// Characters of the short form that people see.
const SHORT_ID: usize = 6;

/// The most candidates that an error lists.
const CANDIDATES_MAX: usize = 8;

/// How alike two names must be (Jaro-Winkler) for one to be suggested for the other.
const ALIKE: f64 = 0.8;

#[cfg(test)]
mod tests;
