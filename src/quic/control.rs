//! The control stream: typed messages, one type per direction.

use std::{marker::PhantomData, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use tokio::time::timeout;

use super::StreamError;
use crate::protocol::{
    CONTROL_MESSAGE_MAX, Code, encode_control, parse_control, parse_length_within,
};

/// The control stream goes before every file.
const PRIORITY_CONTROL: i32 = 100;

/// From a message's first byte to its last. Between messages a peer may be silent for ever; in the
/// middle of one only a peer that wants to hold on to us is.
const MESSAGE_LIMIT: Duration = Duration::from_secs(15);

/// Sends control messages of one type.
#[derive(Debug)]
pub struct ControlSender<M> {
    stream: quinn::SendStream,
    message: PhantomData<fn(M)>,
}

impl<M: Serialize> ControlSender<M> {
    pub(super) fn new(stream: quinn::SendStream) -> Self {
        // Control goes before any file (RFC 9000, section 2.3, leaves priorities to us).
        let _ = stream.set_priority(PRIORITY_CONTROL);
        Self {
            stream,
            message: PhantomData,
        }
    }

    /// The stream's number among all of its connection, the same at both ends.
    #[must_use]
    pub fn number(&self) -> u64 {
        quinn::VarInt::from(self.stream.id()).into_inner()
    }

    /// Sends one message.
    ///
    /// Not cancel-safe: a dropped future may leave half a message on the stream.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] for a message that is too long; otherwise the stream is over.
    pub async fn send(&mut self, message: &M) -> Result<(), StreamError> {
        let bytes = encode_control(message)?;
        Ok(self.stream.write_chunk(bytes.into()).await?)
    }

    /// Sends one message that [`encode_control`] has encoded already.
    ///
    /// Not cancel-safe: a dropped future may leave half a message on the stream.
    ///
    /// # Errors
    /// When the stream is over.
    pub async fn send_encoded(&mut self, message: bytes::Bytes) -> Result<(), StreamError> {
        Ok(self.stream.write_chunk(message).await?)
    }

    /// Ends the stream early and says why.
    pub fn reset(mut self, code: Code) {
        let _ = self.stream.reset(code.number().into());
    }

    /// Says that no message follows, and waits until the other end has everything.
    ///
    /// A connection that is closed earlier takes what is still on its way with it.
    pub async fn finish(mut self) {
        if self.stream.finish().is_ok() {
            let _ = self.stream.stopped().await;
        }
    }
}

/// Receives control messages of one type.
#[derive(Debug)]
pub struct ControlReceiver<M> {
    stream: quinn::RecvStream,
    message: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> ControlReceiver<M> {
    pub(super) fn new(stream: quinn::RecvStream) -> Self {
        Self {
            stream,
            message: PhantomData,
        }
    }

    /// Receives one message; `None` when the other end has said its last.
    ///
    /// Not cancel-safe: a dropped future may have taken half a message. Own it in one task.
    ///
    /// # Errors
    /// [`StreamError::Malformed`] for an oversize or unreadable message,
    /// [`StreamError::Ended`] with [`Code::Timeout`] for one that is begun and not finished;
    /// otherwise the stream is over.
    pub async fn receive(&mut self) -> Result<Option<M>, StreamError> {
        self.receive_within(CONTROL_MESSAGE_MAX).await
    }

    /// The same, of at most `max` bytes: before it is known who speaks.
    ///
    /// # Errors
    /// As for [`receive`](Self::receive).
    pub async fn receive_within(&mut self, max: usize) -> Result<Option<M>, StreamError> {
        let mut prefix = [0; 4];
        match self.stream.read_exact(&mut prefix[..1]).await {
            Err(quinn::ReadExactError::FinishedEarly(0)) => return Ok(None),
            other => other?,
        }
        // Boxed: an idle peer waits for its first byte, and needs no room for the rest.
        Box::pin(timeout(MESSAGE_LIMIT, self.rest(prefix, max)))
            .await
            .unwrap_or(Err(StreamError::Ended(Code::Timeout)))
            .map(Some)
    }

    /// The rest of a message whose first byte is there.
    async fn rest(&mut self, mut prefix: [u8; 4], max: usize) -> Result<M, StreamError> {
        self.stream.read_exact(&mut prefix[1..]).await?;
        let length = parse_length_within(prefix, max)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(parse_control(&body)?)
    }

    /// Tells the other end to say nothing further.
    pub fn stop(mut self, code: Code) {
        let _ = self.stream.stop(code.number().into());
    }
}
