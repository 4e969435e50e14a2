//! Several relays as one: discovery with a real `nats-server` (without that program, tests of it say that
//! they were skipped), and clients that know several relays.

#[path = "cluster/clients.rs"]
mod clients;
#[path = "common/mod.rs"]
mod common;
#[path = "cluster/discovery.rs"]
mod discovery;
#[path = "cluster/hostile.rs"]
mod hostile;
#[path = "cluster/nats.rs"]
mod nats;
