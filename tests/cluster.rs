//! Several relays as one: discovery with a real `nats-server` (without that program, tests of it say that
//! they were skipped), clients that know several relays, and what members of one room see, say and send
//! when their relays are not the same.

#[path = "cluster/across.rs"]
mod across;
#[path = "cluster/clients.rs"]
mod clients;
#[path = "common/mod.rs"]
mod common;
#[path = "cluster/discovery.rs"]
mod discovery;
#[path = "cluster/failures.rs"]
mod failures;
#[path = "cluster/hostile.rs"]
mod hostile;
#[path = "cluster/hostile_trunk.rs"]
mod hostile_trunk;
#[path = "cluster/nats.rs"]
mod nats;
#[path = "cluster/nats_access.rs"]
mod nats_access;
#[path = "cluster/real.rs"]
mod real;
#[path = "cluster/relays.rs"]
mod relays;
#[path = "cluster/standstill.rs"]
mod standstill;
