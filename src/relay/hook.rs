//! A way to watch, or to corrupt, what the relay passes on.
//!
//! Peers must not depend on the relay's honesty; the tests prove it by building a relay that lies.

use bytes::Bytes;

use crate::protocol::{FileHeader, PeerId, ServerToClient};

/// Stands between the relay and its peers.
///
/// Every method's default passes things on unchanged.
pub trait Hook: Send + Sync + std::fmt::Debug {
    /// What is said to `to` in place of `message`.
    fn message(&self, _to: PeerId, message: ServerToClient) -> Vec<ServerToClient> {
        vec![message]
    }

    /// Who stands between one file and one of its recipients; `None` is nobody.
    fn file(&self, _header: &FileHeader, _to: PeerId) -> Option<Box<dyn FileHook>> {
        None
    }
}

/// Stands between one file and one of its recipients.
pub trait FileHook: Send + std::fmt::Debug {
    /// What is sent in place of the clear header.
    fn header(&mut self, header: FileHeader) -> FileHeader {
        header
    }

    /// What is sent in place of the next piece of the stream; pieces end anywhere.
    fn piece(&mut self, piece: Bytes) -> Vec<Bytes>;

    /// What is sent after the last piece, before the stream is finished.
    fn end(&mut self) -> Vec<Bytes> {
        Vec::new()
    }
}
