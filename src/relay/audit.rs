//! Who came in, who did not, and who sent how much to whom: records of their own in the log.
//!
//! Their target is [`TARGET`]. They name peers, rooms and addresses, never a file: the relay knows none.

use std::net::SocketAddr;

use tracing::info;

use crate::protocol::{Code, PeerId, Road, RoomId, TransferId};

/// The target of the records in `tracing`.
pub const TARGET: &str = "p2p::audit";

/// What one recipient got of a transfer.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Delivered {
    /// Files that were passed on whole.
    pub(super) files: u64,
    /// Those that were not.
    pub(super) failed: u64,
    /// Bytes of both.
    pub(super) bytes: u64,
}

pub(super) fn admitted(peer: PeerId, room: RoomId, (remote, road): (SocketAddr, Road)) {
    let room = abbreviated(room);
    let road = road.as_str();
    info!(target: TARGET, event = "admitted", %peer, room, %remote, road);
}

pub(super) fn refused(peer: PeerId, remote: SocketAddr, code: Code) {
    info!(target: TARGET, event = "refused", %peer, %remote, code = super::meters::code_name(code));
}

pub(super) fn left(peer: PeerId, room: RoomId, (received, sent): (u64, u64), seconds: u64) {
    let room = abbreviated(room);
    info!(target: TARGET, event = "left", %peer, room, received, sent, seconds);
}

pub(super) fn transfer(
    room: RoomId,
    transfer: TransferId,
    sender: PeerId,
    (files, bytes): (u64, u64),
) {
    let room = abbreviated(room);
    info!(target: TARGET, event = "transfer", room, %transfer, %sender, files, bytes);
}

pub(super) fn delivery(
    (room, transfer): (RoomId, TransferId),
    (sender, recipient): (PeerId, PeerId),
    delivered: Delivered,
) {
    let Delivered {
        files,
        failed,
        bytes,
    } = delivered;
    let room = abbreviated(room);
    info!(target: TARGET, event = "delivery", room, %transfer, %sender, %recipient, files, failed, bytes);
}

/// Enough of a room's ID to find it among those that are admitted. Whoever has all of it may use the relay.
fn abbreviated(room: RoomId) -> String {
    room.short()
}
