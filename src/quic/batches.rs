//! A UDP socket that takes batches of any size.

use std::{
    fmt::Debug,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use quinn::{
    AsyncUdpSocket, Runtime, UdpPoller,
    udp::{RecvMeta, Transmit},
};

/// What one call may hand to the kernel: the most that a UDP datagram over IPv4 carries, in bytes
/// (RFC 768). Segmentation offload is held to it as a whole.
const BATCH_MAX: usize = 65_507;

/// Wraps a socket for an endpoint, so that packets may be larger than a tenth of `BATCH_MAX`.
///
/// quinn hands ten packets over at once, whatever their size. The kernel refuses a batch that is too
/// large, and quinn-udp then drops it without a word: measured on loopback, packets of 8,972 bytes
/// never completed a transfer.
///
/// # Errors
/// When the runtime cannot take the socket.
pub fn batching(runtime: &dyn Runtime, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let socket = runtime.wrap_udp_socket(socket)?;
    Ok(Arc::new(Batches(socket)))
}

#[derive(Debug)]
struct Batches(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for Batches {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    /// Sends in as many calls as it takes. When one of them would block, quinn repeats the batch: a
    /// peer ignores the packets that it then gets twice (RFC 9000, section 12.3).
    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let segment = match transmit.segment_size {
            Some(segment) if transmit.contents.len() > BATCH_MAX => segment,
            _ => return self.0.try_send(transmit),
        };
        for contents in transmit.contents.chunks(fitting(segment)) {
            self.0.try_send(&Transmit {
                destination: transmit.destination,
                ecn: transmit.ecn,
                contents,
                segment_size: (contents.len() > segment).then_some(segment),
                src_ip: transmit.src_ip,
            })?;
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.0.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.may_fragment()
    }
}

/// How many bytes of packets of `segment` bytes one call may take.
fn fitting(segment: usize) -> usize {
    (BATCH_MAX / segment).max(1) * segment
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::Ipv4Addr, time::Duration};

    use quinn::TokioRuntime;

    use super::*;

    fn sockets() -> (Arc<dyn AsyncUdpSocket>, tokio::net::UdpSocket) {
        let bind = || super::super::bind_udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let sending = batching(&TokioRuntime, bind().0).unwrap();
        let receiving = bind().0;
        receiving.set_nonblocking(true).unwrap();
        (sending, tokio::net::UdpSocket::from_std(receiving).unwrap())
    }

    /// Packets of `segment` bytes and a shorter last one, each filled with its number.
    fn packets(segment: usize, count: u8) -> Vec<u8> {
        let mut packets: Vec<_> = (0..count)
            .flat_map(|number| vec![number; segment])
            .collect();
        packets.truncate(packets.len() - segment / 2);
        packets
    }

    #[tokio::test]
    async fn a_batch_that_the_kernel_would_refuse_arrives_packet_by_packet() {
        for segment in [1_452, 6_550, 6_551, 8_952, 16_376, 40_000] {
            let (sending, receiving) = sockets();
            if sending.max_transmit_segments() < 10 {
                return;
            }
            let contents = packets(segment, 10);
            let transmit = Transmit {
                destination: receiving.local_addr().unwrap(),
                ecn: None,
                contents: &contents,
                segment_size: Some(segment),
                src_ip: None,
            };
            let mut poller = Arc::clone(&sending).create_io_poller();
            poll_fn(|cx| poller.as_mut().poll_writable(cx))
                .await
                .unwrap();
            sending.try_send(&transmit).unwrap();
            let mut packet = vec![0; 65_536];
            for expected in contents.chunks(segment) {
                let receive = receiving.recv(&mut packet);
                let len = tokio::time::timeout(Duration::from_secs(5), receive);
                let len = len.await.expect("nothing is dropped").unwrap();
                assert!(packet[..len] == *expected, "packets of {segment} bytes");
            }
        }
    }
}
