//! Who I am, which room I am in, and whom I know there. Pure values; no files, no network.
//!
//! | file | noun |
//! |---|---|
//! | `key` | [`Identity`]: my Ed25519 key, and the [`PublicKey`] of others |
//! | `name` | [`Name`]: what I call myself |
//! | `room` | [`RoomSecret`], and what is derived from it: room ID and [`MemberKey`] |
//! | `address` | [`HostPort`], [`RelayAddress`] |
//! | `invite` | [`Invite`]: relay and room in one string |
//! | `bundle` | [`Bundle`]: what a member publishes about itself |
//! | `roster` | [`Roster`]: whom I know in one room |
//! | `resolve` | [`resolve`]: what `--to` means |

mod address;
mod bundle;
mod hpke_key;
mod invite;
mod key;
mod name;
mod resolve;
mod room;
mod roster;

pub use address::{DEFAULT_PORT, HostPort, HostPortError, RelayAddress, RelayAddressError};
pub use bundle::{BUNDLE_LIFETIME, Bundle, BundleError};
pub use hpke_key::{HpkeKeyError, HpkePublicKey};
pub use invite::{Invite, InviteError};
pub use key::{Identity, PublicKey, SIGNATURE_LEN, SignatureError};
pub use name::Name;
pub use resolve::{Candidate, How, PREFIX_MIN, Present, ResolveError, Resolved, resolve};
pub use room::{MAC_LEN, MacError, MemberKey, RoomSecret, RoomSecretError};
pub use roster::{KnownPeer, Origin, Roster, RosterFull, Verdict};

use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

/// 32 bytes of HKDF-SHA256 (RFC 5869).
///
/// `salt` and `info` are what keeps two uses of one secret apart.
pub(crate) fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .expect("32 bytes are within what HKDF-SHA256 gives");
    key
}

/// Fills `out` with random bytes.
///
/// # Panics
/// When the operating system has no randomness to give: nothing secret can be made then.
pub(crate) fn random(out: &mut [u8]) {
    aws_lc_rs::rand::fill(out).expect("the operating system gives random bytes");
}
