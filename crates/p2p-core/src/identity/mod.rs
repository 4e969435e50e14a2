//! Who I am, which room I am in, and whom I know there. Pure values; no files, no network.
//!
//! | file | noun |
//! |---|---|
//! | `key` | [`Identity`]: my Ed25519 key, and the [`PublicKey`] of others |
//! | `name` | [`Name`]: what I call myself |
//! | `room` | [`RoomSecret`], and what is derived from it: room ID and [`MemberKey`] |
//! | `address` | [`HostPort`], [`RelayAddress`] |
//! | `invite` | [`Invite`]: relay and room in one string |
//! | `announcement` | [`Announcement`]: what a listener says of itself on its LAN |
//! | `bundle` | [`Bundle`]: what a member publishes about itself |
//! | `roster` | [`Roster`]: whom I know in one room |
//! | `resolve` | [`resolve`]: what `--to` means |

mod address;
mod announcement;
mod bundle;
mod hpke_key;
mod invite;
mod key;
mod name;
mod resolve;
mod room;
mod roster;

pub use crate::crypto::SIGNATURE_LEN;
pub use address::{DEFAULT_PORT, HostPort, HostPortError, RelayAddress, RelayAddressError};
pub use announcement::{AnnouncedAt, Announcement, LanKey};
pub use bundle::{BUNDLE_LIFETIME, Bundle, BundleError};
pub use hpke_key::{HpkeKeyError, HpkePublicKey};
pub use invite::{Invite, InviteError};
pub use key::{Identity, PublicKey, SignatureError};
pub use name::Name;
pub use resolve::{Candidate, How, PREFIX_MIN, Present, ResolveError, Resolved, resolve};
pub use room::{MAC_LEN, MacError, MemberKey, RoomSecret, RoomSecretError};
pub use roster::{KnownPeer, Origin, Roster, RosterFull, Standing, Verdict};
