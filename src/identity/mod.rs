//! Who I am, which room I am in, and whom I know there. Files and pure values; no network.
//!
//! | file | noun |
//! |---|---|
//! | `home` | [`Home`]: the directory that holds all state |
//! | `key` | [`Identity`]: my Ed25519 key, and the [`PublicKey`] of others |
//! | `room` | [`RoomSecret`], and what is derived from it: room ID and [`MemberKey`] |
//! | `address` | [`HostPort`], [`RelayAddress`] |
//! | `invite` | [`Invite`]: relay and room in one string |
//! | `bundle` | [`Bundle`]: what a member publishes about itself |
//! | `known` | [`KnownPeers`]: names that belong to a key, once and for all, in a file |
//! | `roster` | [`Roster`]: the known peers of one room at one moment |
//! | `resolve` | [`resolve`]: what `--to` means |

mod address;
mod bundle;
mod home;
mod hpke_key;
mod invite;
mod key;
mod known;
mod private_file;
mod resolve;
mod room;
mod roster;

pub use address::{DEFAULT_PORT, HostPort, HostPortError, RelayAddress, RelayAddressError};
pub use bundle::{BUNDLE_LIFETIME, Bundle, BundleError};
pub use home::{Home, HomeError, Name};
pub use hpke_key::{HpkeKeyError, HpkePublicKey};
pub use invite::{Invite, InviteError, InviteFileError};
pub use key::{Certificate, Identity, IdentityError, PublicKey, SIGNATURE_LEN, SignatureError};
pub use known::{KnownError, KnownPeers};
pub use private_file::PrivateFileError;
pub use resolve::{Candidate, How, PREFIX_MIN, Present, ResolveError, Resolved, resolve};
pub use room::{MAC_LEN, MacError, MemberKey, RoomSecret, RoomSecretError};
pub use roster::{KnownPeer, Origin, Roster, Verdict};

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
