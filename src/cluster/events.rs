//! What changes in the directory.

use std::collections::{BTreeMap, BTreeSet};

use super::{Instance, RelayBeat};
use crate::protocol::RoomId;

/// Something that changed. Hints: what they lead to is authenticated on the trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryEvent {
    /// Everything that is so now: at the beginning, and after changes were missed.
    Picture(Picture),
    /// A relay came, or says something else of itself than before.
    RelayUp(RelayBeat),
    /// A relay has not been heard of for some time, or says that it ends. A trunk to it that is up is
    /// better evidence: keep it.
    RelayGone(Instance),
    /// A relay has members of a room that is open here.
    RoomShared {
        /// The room.
        room: RoomId,
        /// The relay, which is up.
        instance: Instance,
    },
    /// It has no more of them, or is gone, or the room was closed here.
    RoomLeft {
        /// The room.
        room: RoomId,
        /// The relay.
        instance: Instance,
    },
}

/// Who is there, and which rooms of this relay they share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// The other relays that are up.
    pub relays: BTreeMap<Instance, RelayBeat>,
    /// The rooms that are open here and at others, and where.
    pub rooms: BTreeMap<RoomId, BTreeSet<Instance>>,
}
