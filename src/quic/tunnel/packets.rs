//! How packets lie in a message: `size(u16, big-endian) ‖ packets`, each of `size` bytes except the
//! last, which may be shorter. It is how quinn hands packets over, in both directions.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quinn::udp::Transmit;

use super::MESSAGE_MAX;

/// Bytes before the packets.
pub(super) const HEADER: usize = 2;

/// Packets as they arrived in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packets {
    /// Bytes of each packet but the last.
    pub(super) size: usize,
    /// All of them; never empty.
    pub(super) content: Bytes,
}

/// Puts packets into a message; `None` where they are larger than any that this room announces.
pub(super) fn encode(transmit: &Transmit) -> Option<Bytes> {
    let content = transmit.contents;
    let size = transmit.segment_size.unwrap_or(content.len());
    let size = u16::try_from(size).ok()?;
    let len = HEADER + content.len();
    if size == 0 || len > MESSAGE_MAX {
        return None;
    }
    let mut message = BytesMut::with_capacity(len);
    message.put_u16(size);
    message.put_slice(content);
    Some(message.freeze())
}

/// Takes a message apart; `None` for what no honest end sends.
pub(super) fn decode(mut message: Bytes) -> Option<Packets> {
    if message.len() <= HEADER || message.len() > MESSAGE_MAX {
        return None;
    }
    let size = usize::from(message.get_u16());
    (size > 0).then_some(Packets {
        size,
        content: message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
        Transmit {
            destination: ([127, 0, 0, 1], 9).into(),
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        }
    }

    #[test]
    fn packets_read_back_as_they_were_handed_over() {
        let contents: Vec<u8> = (0..=255).cycle().take(2_500).collect();
        for segment in [None, Some(1_000), Some(2_500)] {
            let message = encode(&transmit(&contents, segment)).unwrap();
            let packets = decode(message).unwrap();
            assert_eq!(packets.size, segment.unwrap_or(2_500));
            assert_eq!(packets.content, contents);
        }
    }

    #[test]
    fn the_bytes_on_the_wire_stay() {
        let message = encode(&transmit(b"abcde", Some(2))).unwrap();
        assert_eq!(&message[..], b"\x00\x02abcde");
    }

    #[test]
    fn what_no_honest_end_sends_is_dropped() {
        for message in [&b""[..], b"\x00", b"\x00\x05", b"\x00\x00abc"] {
            assert_eq!(decode(Bytes::from_static(message)), None, "{message:?}");
        }
        assert_eq!(decode(vec![1; MESSAGE_MAX + 1].into()), None);
        assert!(encode(&transmit(&vec![0; MESSAGE_MAX], Some(1_200))).is_none());
    }
}
