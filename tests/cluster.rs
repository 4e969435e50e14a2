//! Several relays as one, with a real `nats-server`. Without that program the tests say that they were
//! skipped.

#[path = "cluster/discovery.rs"]
mod discovery;
#[path = "cluster/hostile.rs"]
mod hostile;
#[path = "cluster/nats.rs"]
mod nats;
