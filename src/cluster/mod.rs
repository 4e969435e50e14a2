//! Several relays as one: which others there are, and which rooms they share with this one.
//!
//! A cluster is relays that have one [`ClusterKey`]. Each finds the others in the [`Directory`], which
//! discovery fills (over NATS, with the cargo feature `cluster`) and the relay reads. Bytes, messages and
//! presence never pass through here: relays carry them to each other.
//!
//! | file | noun |
//! |---|---|
//! | `key` | [`ClusterKey`]: what makes a relay a member, and what is derived from it |
//! | `token` | [`NodeToken`]: the cluster key's word that a node belongs to it |
//! | `node` | [`NodeId`], [`NodeName`], [`Instance`], [`RelayBeat`]: one relay, as others know it |
//! | `directory` | [`Directory`]: relays that are up, rooms that are shared |
//! | `events` | [`DirectoryEvent`]: what changes there |
//! | `nats` | `Discovery`: fills a directory over NATS |
//!
//! Without `--cluster` none of this runs.

mod directory;
mod events;
mod key;
#[cfg_attr(not(feature = "cluster"), path = "no_nats.rs")]
pub mod nats;
mod node;
pub mod token;

pub use directory::{Directory, DirectoryEvents, OwnBeat};
pub use events::{DirectoryEvent, Picture};
pub use key::{ClusterKey, RoomKey};
pub use node::{Instance, Load, NodeId, NodeName, NodeNameError, RelayBeat};
pub use token::{NodeToken, TokenError};
