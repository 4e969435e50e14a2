//! Where bytes come in and where they go out: all that the fan-out knows of a network.

use std::future::Future;

use bytes::{Bytes, BytesMut};

use crate::protocol::Code;

/// The incoming stream of one file, after its [`FileHeader`](crate::protocol::FileHeader).
pub trait Inlet: Send {
    /// Waits for bytes and appends what is there, at least one, to `buf`; 0 is the end.
    ///
    /// Only into the spare capacity that `buf` has, which is never 0: growing it would evade the
    /// memory budget. As much as is ready at once, since every call makes a piece that is handled
    /// on its own. May be dropped while it waits; then only [`stop`](Self::stop) follows.
    ///
    /// # Errors
    /// The code with which the sender reset the stream, or what stands for a lost connection.
    fn read(&mut self, buf: &mut BytesMut) -> impl Future<Output = Result<usize, Code>> + Send;

    /// Called where nothing is read for a while, since the recipients are behind; perhaps more than once.
    ///
    /// # Errors
    /// The code with which the file ends instead.
    fn stalls(&mut self) -> Result<(), Code> {
        Ok(())
    }

    /// Tells the sender that nothing further will be read, and why.
    fn stop(self, code: Code);
}

/// The outgoing stream to one recipient, its [`FileHeader`](crate::protocol::FileHeader) written.
pub trait Outlet: Send {
    /// Waits until some of `piece` can go out, at least one byte, and takes it off the front.
    ///
    /// `piece` is not empty. Partial writes are how a slow recipient is told from a dead one.
    /// Cancel-safe: a call that is dropped has taken nothing, or what it took off `piece`.
    ///
    /// # Errors
    /// The code with which the recipient stopped the stream, or what stands for a lost connection.
    fn write(&mut self, piece: &mut Bytes) -> impl Future<Output = Result<(), Code>> + Send;

    /// Marks the end of the stream after the last byte.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn finish(&mut self) -> impl Future<Output = Result<(), Code>> + Send;

    /// Ends the stream as failed. Also after an error, and when [`finish`](Self::finish) was
    /// dropped before it was done.
    fn reset(self, code: Code);
}
