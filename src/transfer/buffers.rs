//! Large buffers that are used again.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// Buffers that one file's chunks pass through, each many times.
///
/// An allocation as large as a chunk comes from the system and goes back to it: new pages and their
/// zeroing took a tenth of a sender's and of a listener's processor time. Clones share the buffers.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer, which holds anything at first; it goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// A buffer with what it held before, or an empty one.
    pub(super) fn take(&self) -> Buffer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Buffer {
            bytes: kept.pop().unwrap_or_default(),
            home: self.clone(),
        }
    }
}

impl Buffer {
    /// Makes it readable for many; it goes back when the last clone is dropped.
    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// What is kept for later: as many chunks as a send window holds, and a few that wait.
const KEPT: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_reader_is_gone() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"chunk");
        let place = buffer.as_ptr();
        let bytes = buffer.freeze();
        let clone = bytes.slice(1..);
        drop(bytes);
        assert!(buffers.take().is_empty(), "a reader is still there");
        drop(clone);
        let again = buffers.take();
        assert_eq!((again.as_ptr(), &again[..]), (place, &b"chunk"[..]));
    }
}
