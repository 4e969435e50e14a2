//! What quinn takes for a UDP socket.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Buf;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::sync::mpsc;

use super::{
    PACKETS_MAX,
    packets::{Packets, encode},
    queue::Queue,
};

/// One end of a tunnel. There is one address at its other end, whoever a packet is for.
#[derive(Debug)]
pub(super) struct TunnelSocket {
    local: SocketAddr,
    remote: SocketAddr,
    outgoing: Arc<Queue>,
    incoming: Mutex<Incoming>,
}

#[derive(Debug)]
struct Incoming {
    messages: mpsc::Receiver<Packets>,
    /// What of a message did not fit the buffers of the last call.
    rest: Option<Packets>,
}

impl TunnelSocket {
    /// From the two ends of its TCP connection, and the two queues of its pump.
    pub(super) fn new(
        (local, remote): (SocketAddr, SocketAddr),
        outgoing: Arc<Queue>,
        messages: mpsc::Receiver<Packets>,
    ) -> Self {
        Self {
            local,
            remote,
            outgoing,
            incoming: Mutex::new(Incoming {
                messages,
                rest: None,
            }),
        }
    }
}

impl Drop for TunnelSocket {
    /// quinn needs it no longer: what waits is sent, then the tunnel ends.
    fn drop(&mut self) {
        self.outgoing.close();
    }
}

impl AsyncUdpSocket for TunnelSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Room(self.outgoing.clone()))
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let Some(message) = encode(transmit) else {
            return Ok(());
        };
        if self.outgoing.push(message) {
            Ok(())
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    /// Takes one message at a time: quinn asks again while there is more.
    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut packets = match incoming.rest.take() {
                Some(rest) => rest,
                None => match incoming.messages.poll_recv(cx) {
                    Poll::Ready(Some(packets)) => packets,
                    // The tunnel has ended, which whoever made it hears. quinn would log a failed
                    // socket as an error, and forget the reason that a peer gave last.
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                },
            };
            let room = bufs[0].len() / packets.size * packets.size;
            let len = room.min(packets.content.len());
            if len == 0 {
                continue; // A packet larger than any that we announce to take.
            }
            bufs[0][..len].copy_from_slice(&packets.content[..len]);
            meta[0] = RecvMeta {
                addr: self.remote,
                len,
                stride: packets.size.min(len),
                ecn: None,
                dst_ip: None,
            };
            packets.content.advance(len);
            if packets.content.has_remaining() {
                incoming.rest = Some(packets);
            }
            return Poll::Ready(Ok(1));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_transmit_segments(&self) -> usize {
        PACKETS_MAX
    }

    fn max_receive_segments(&self) -> usize {
        PACKETS_MAX
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Room(Arc<Queue>);

impl UdpPoller for Room {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_room(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::{super::packets::decode, *};

    fn pair(messages: mpsc::Receiver<Packets>) -> TunnelSocket {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        TunnelSocket::new((address, address), Arc::default(), messages)
    }

    async fn receive(socket: &TunnelSocket, room: usize) -> io::Result<(Vec<u8>, usize)> {
        let mut buffer = vec![0; room];
        let mut meta = [RecvMeta::default()];
        poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta)).await?;
        Ok((buffer[..meta[0].len].to_vec(), meta[0].stride))
    }

    #[tokio::test]
    async fn a_message_larger_than_a_buffer_comes_in_whole_packets() {
        let (sender, messages) = mpsc::channel(4);
        let socket = pair(messages);
        sender
            .send(decode(b"\x00\x02aabbc"[..].into()).unwrap())
            .await
            .unwrap();
        assert_eq!(receive(&socket, 3).await.unwrap(), (b"aa".to_vec(), 2));
        assert_eq!(receive(&socket, 3).await.unwrap(), (b"bb".to_vec(), 2));
        assert_eq!(receive(&socket, 3).await.unwrap(), (b"c".to_vec(), 1));
    }

    #[tokio::test]
    async fn a_packet_that_fits_no_buffer_is_dropped_and_the_next_one_arrives() {
        let (sender, messages) = mpsc::channel(4);
        let socket = pair(messages);
        for message in [&b"\x00\x04abcd"[..], b"\x00\x01x"] {
            sender.send(decode(message.into()).unwrap()).await.unwrap();
        }
        assert_eq!(receive(&socket, 3).await.unwrap(), (b"x".to_vec(), 1));
    }
}
