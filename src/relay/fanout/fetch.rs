//! What a recipient gets next of a file, and from where.

use bytes::Bytes;

use super::{destination::Start, spool::SpoolRead};
use crate::protocol::Code;

/// What a recipient gets next.
#[derive(Debug)]
pub(super) enum Fetch {
    /// Bytes.
    Bytes(Source, Option<Skip>),
    /// None yet.
    Wait,
    /// It has had everything.
    End,
    /// It is to be reset with this code.
    Stop(Code),
}

/// Where bytes are.
#[derive(Debug)]
pub(super) enum Source {
    /// Here.
    Memory(Bytes),
    /// On disk.
    Spool(SpoolRead),
}

/// That a recipient does not get the frames as they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Skip {
    /// What it gets.
    pub(super) start: Start,
    /// How many bytes, from where it is, belong to the head.
    pub(super) head_left: u64,
}
