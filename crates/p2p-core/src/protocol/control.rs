//! Framing of the control stream: a four-byte big-endian length, then that many bytes of JSON.

use serde::{Serialize, de::DeserializeOwned};

/// The longest control message, in bytes of JSON.
///
/// A bundle with its post-quantum key takes 2.5 KiB, a batch of 256 receipts 18 KiB; 64 KiB leaves
/// room for both to grow, and bounds what a hostile peer can make us hold.
pub const CONTROL_MESSAGE_MAX: usize = 64 * 1024;

/// Why a control message could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The length prefix or the message is over the limit, mostly [`CONTROL_MESSAGE_MAX`].
    #[error("a control message of {got} bytes, where {max} are allowed")]
    TooLong {
        /// Bytes announced or needed.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The bytes are no message.
    #[error("a control message that cannot be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// A message as it goes on the wire, length prefix included.
///
/// # Errors
/// [`ControlError::TooLong`] when the message does not fit.
pub fn encode_control<M: Serialize>(message: &M) -> Result<Vec<u8>, ControlError> {
    encode_control_within(message, CONTROL_MESSAGE_MAX)
}

/// The same, of at most `max` bytes of JSON.
///
/// # Errors
/// [`ControlError::TooLong`] when the message does not fit.
pub fn encode_control_within<M: Serialize>(
    message: &M,
    max: usize,
) -> Result<Vec<u8>, ControlError> {
    let mut out = vec![0; 4];
    serde_json::to_writer(&mut out, message)?;
    let length = out.len() - 4;
    let got = length;
    let prefix = u32::try_from(length).ok().filter(|_| length <= max);
    let prefix = prefix.ok_or(ControlError::TooLong { got, max })?;
    out[..4].copy_from_slice(&prefix.to_be_bytes());
    Ok(out)
}

/// Reads a length prefix, before anything is allocated for the message.
///
/// # Errors
/// [`ControlError::TooLong`] when the announced message is longer than allowed.
pub fn parse_length(prefix: [u8; 4]) -> Result<usize, ControlError> {
    parse_length_within(prefix, CONTROL_MESSAGE_MAX)
}

/// The same, of at most `max` bytes.
///
/// # Errors
/// [`ControlError::TooLong`] when the announced message is longer than that.
pub fn parse_length_within(prefix: [u8; 4], max: usize) -> Result<usize, ControlError> {
    let got = u32::from_be_bytes(prefix) as usize;
    if got > max {
        return Err(ControlError::TooLong { got, max });
    }
    Ok(got)
}

/// Reads a message's JSON, without its prefix.
///
/// # Errors
/// [`ControlError::Json`] when it is none.
pub fn parse_control<M: DeserializeOwned>(body: &[u8]) -> Result<M, ControlError> {
    Ok(serde_json::from_slice(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ClientToServer, ServerToClient};

    #[test]
    fn a_message_survives_its_framing() {
        let bytes = encode_control(&ServerToClient::PeersEnd {}).unwrap();
        let (prefix, body) = bytes.split_first_chunk::<4>().unwrap();
        assert_eq!(parse_length(*prefix).unwrap(), body.len());
        assert_eq!(
            parse_control::<ServerToClient>(body).unwrap(),
            ServerToClient::PeersEnd {}
        );
    }

    #[test]
    fn an_oversize_length_is_refused_before_anything_is_allocated() {
        assert!(matches!(
            parse_length([0xff; 4]),
            Err(ControlError::TooLong { .. })
        ));
        let just_over = u32::try_from(CONTROL_MESSAGE_MAX + 1).unwrap();
        assert!(parse_length(just_over.to_be_bytes()).is_err());
    }

    #[test]
    fn garbage_is_an_error_and_not_a_panic() {
        for body in [
            &b""[..],
            b"{",
            b"[]",
            b"\xff\xfe",
            br#"{"type":"begin"}"#,
            &b"[".repeat(50_000),
        ] {
            assert!(parse_control::<ClientToServer>(body).is_err());
        }
    }
}
