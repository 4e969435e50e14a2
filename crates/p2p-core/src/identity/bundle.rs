//! What a member publishes about itself when it joins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    HpkeKeyError, HpkePublicKey, Identity, MAC_LEN, MemberKey, Name, PublicKey, SIGNATURE_LEN,
};
use crate::protocol::{Base64, PeerId, PeerName, SignedBundle};

/// A member's word about itself: signed by its key, vouched for by the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Whose bundle it is.
    pub key: PublicKey,
    /// What the member calls itself.
    pub name: PeerName,
    /// Whether a person chose that name; otherwise it is the host's.
    pub chosen: bool,
    /// What to seal transfers to the member with; `None` from one that does not listen.
    pub hpke: Option<HpkePublicKey>,
    /// Whether the member takes direct connections, and says where once it has accepted an offer.
    pub direct: bool,
    /// Whether the member takes hard links as such.
    pub hard_links: bool,
    /// From when on the bundle is void, in seconds since 1970.
    pub expires_unix: u64,
}

/// Why a bundle is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A part is longer than it can be.
    #[error("a bundle's {part} of {got} bytes, expected at most {max}")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// Its bytes.
        got: usize,
        /// The most it can have.
        max: usize,
    },
    /// No member of the room vouches for it: the relay, or a stranger, made it or changed it.
    #[error("no member of this room vouches for the bundle")]
    Mac,
    /// The body is not the JSON of a bundle.
    #[error("a bundle that cannot be read")]
    Malformed,
    /// The identity key has another length than 32 bytes.
    #[error("a bundle with an identity key of {got} bytes, expected 32")]
    Key {
        /// Its bytes.
        got: usize,
    },
    /// The HPKE key is none.
    #[error("a bundle with {0}")]
    Hpke(#[from] HpkeKeyError),
    /// The bundle is of a version that this program does not know.
    #[error("a bundle of version {got}, expected {VERSION}")]
    Version {
        /// Its version.
        got: u32,
    },
    /// The bundle is of another peer than the relay says.
    #[error("a bundle of {got}, expected one of {expected}")]
    Peer {
        /// Whom the connection belongs to.
        expected: PeerId,
        /// Whose bundle it is.
        got: PeerId,
    },
    /// The member did not sign this.
    #[error("the bundle's signature does not hold")]
    Signature,
    /// The bundle is too old, or one of the two clocks is wrong.
    #[error("the bundle expired {late_secs} s ago")]
    Expired {
        /// For how many seconds it has been void.
        late_secs: u64,
    },
    /// The bundle would hold for longer than any does, so one of the two clocks is wrong.
    #[error("the bundle was made {ahead_secs} s from now")]
    Early {
        /// How far ahead of this machine's clock it was made.
        ahead_secs: u64,
    },
}

impl Bundle {
    /// A bundle of a member that knows nothing which is optional.
    #[must_use]
    pub fn new(
        key: PublicKey,
        name: &Name,
        hpke: Option<HpkePublicKey>,
        expires_unix: u64,
    ) -> Self {
        Self {
            key,
            name: name.name.clone(),
            chosen: name.chosen,
            hpke,
            direct: false,
            hard_links: false,
            expires_unix,
        }
    }

    /// Signs the bundle and vouches for it.
    ///
    /// # Panics
    /// If `identity` is not the one whose key is in the bundle.
    #[must_use]
    pub fn sign(&self, identity: &Identity, member_key: &MemberKey) -> SignedBundle {
        assert!(
            self.key == identity.public_key(),
            "a bundle is signed by the key in it"
        );
        let body = Body {
            v: VERSION,
            key: Base64(self.key.as_bytes().to_vec()),
            name: self.name.clone(),
            chosen: self.chosen,
            hpke: self.hpke.as_ref().map(|key| Base64(key.to_bytes())),
            direct: self.direct,
            hard_links: self.hard_links,
            expires: self.expires_unix,
        };
        let body = serde_json::to_vec(&body).expect("strings and numbers are JSON");
        let signature = identity.sign(CONTEXT, &body);
        let mac = member_key.mac(CONTEXT, &[&body, &signature]);
        SignedBundle {
            body: Base64(body),
            signature: Base64(signature.to_vec()),
            mac: Base64(mac.to_vec()),
        }
    }

    /// Reads the bundle of `expected`, as TLS or the relay names it, if a member of the room made it.
    ///
    /// # Errors
    /// Sizes are checked first, then the MAC, so that only members reach the parser behind it.
    pub fn verify(
        signed: &SignedBundle,
        member_key: &MemberKey,
        expected: PeerId,
        now_unix: u64,
    ) -> Result<Self, BundleError> {
        check_sizes(signed)?;
        let parts: [&[u8]; 2] = [&signed.body.0, &signed.signature.0];
        member_key
            .verify(CONTEXT, &parts, &signed.mac.0)
            .map_err(|_| BundleError::Mac)?;
        let bundle = Self::parse(signed, expected)?;
        if bundle.expires_unix <= now_unix {
            return Err(BundleError::Expired {
                late_secs: now_unix - bundle.expires_unix,
            });
        }
        let made_unix = bundle
            .expires_unix
            .saturating_sub(BUNDLE_LIFETIME.as_secs());
        let ahead_secs = made_unix.saturating_sub(now_unix);
        if ahead_secs > BUNDLE_LIFETIME.as_secs() {
            return Err(BundleError::Early { ahead_secs });
        }
        Ok(bundle)
    }

    /// Reads the bundle of `expected` as the relay can: whether the room vouches for it is not known.
    ///
    /// # Errors
    /// When the bundle is not of that peer's own making.
    pub fn peek(signed: &SignedBundle, expected: PeerId) -> Result<Self, BundleError> {
        check_sizes(signed)?;
        Self::parse(signed, expected)
    }

    fn parse(signed: &SignedBundle, expected: PeerId) -> Result<Self, BundleError> {
        let body: Body =
            serde_json::from_slice(&signed.body.0).map_err(|_| BundleError::Malformed)?;
        if body.v != VERSION {
            return Err(BundleError::Version { got: body.v });
        }
        let key = <[u8; 32]>::try_from(body.key.0.as_slice())
            .map(PublicKey::from_bytes)
            .map_err(|_| BundleError::Key {
                got: body.key.0.len(),
            })?;
        if key.peer_id() != expected {
            return Err(BundleError::Peer {
                expected,
                got: key.peer_id(),
            });
        }
        key.verify(CONTEXT, &signed.body.0, &signed.signature.0)
            .map_err(|_| BundleError::Signature)?;
        let hpke = body.hpke.map(|key| HpkePublicKey::from_bytes(&key.0));
        Ok(Self {
            key,
            name: body.name,
            chosen: body.chosen,
            hpke: hpke.transpose()?,
            direct: body.direct,
            hard_links: body.hard_links,
            expires_unix: body.expires,
        })
    }
}

/// The bundle as it is signed: JSON, fields of later versions tolerated.
#[derive(Serialize, Deserialize)]
struct Body {
    v: u32,
    key: Base64,
    name: PeerName,
    chosen: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hpke: Option<Base64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    direct: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hard_links: bool,
    expires: u64,
}

fn check_sizes(signed: &SignedBundle) -> Result<(), BundleError> {
    for (part, bytes, max) in [
        ("body", &signed.body.0, BODY_MAX),
        ("signature", &signed.signature.0, SIGNATURE_LEN),
        ("MAC", &signed.mac.0, MAC_LEN),
    ] {
        if bytes.len() > max {
            let got = bytes.len();
            return Err(BundleError::TooLong { part, got, max });
        }
    }
    Ok(())
}

/// For how long a bundle holds.
///
/// A listener publishes a fresh one well before; a day bounds for how long a relay can pass off an
/// old key as the current one, and forgives clocks that are hours apart: up to a day in either direction.
pub const BUNDLE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The version of the body.
const VERSION: u32 = 1;

/// What keeps signature and MAC of a bundle apart from those of anything else.
const CONTEXT: &str = "p2p/1 bundle";

/// A bundle takes 1.9 KiB, of which the HPKE key takes 1.6; the rest is for later fields.
const BODY_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
