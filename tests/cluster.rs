//! Several relays as one: what members of one room see, say and send when their relays are not the same.

#[path = "cluster/across.rs"]
mod across;
#[path = "common/mod.rs"]
mod common;
#[path = "cluster/relays.rs"]
mod relays;
