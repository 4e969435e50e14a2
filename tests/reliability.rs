//! Transfers that people can rely on: trees, pipes, resume after any kill, conflicts, policies.

mod common;
#[path = "reliability/conflicts.rs"]
mod conflicts;
#[path = "reliability/hashing.rs"]
mod hashing;
#[path = "reliability/limits.rs"]
mod limits;
#[path = "reliability/machines.rs"]
mod machines;
#[path = "reliability/many.rs"]
mod many;
#[path = "reliability/once.rs"]
mod once;
#[path = "reliability/people.rs"]
mod people;
#[path = "reliability/pipes.rs"]
mod pipes;
#[path = "reliability/policies.rs"]
mod policies;
#[path = "reliability/rates.rs"]
mod rates;
#[path = "reliability/receiving.rs"]
mod receiving;
#[path = "reliability/resume.rs"]
mod resume;
#[path = "reliability/sending.rs"]
mod sending;
#[path = "reliability/trees.rs"]
mod trees;
#[path = "reliability/waiting.rs"]
mod waiting;
