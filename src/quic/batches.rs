//! A UDP socket that takes batches of any size.

use std::{
    fmt::Debug,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use quinn::{
    AsyncUdpSocket, Runtime, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::sync::mpsc;

use super::batch_size;

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
    let inner = runtime.wrap_udp_socket(socket)?;
    Ok(Arc::new(Batches {
        inner,
        others: None,
        heard: Arc::default(),
    }))
}

/// A datagram that is no QUIC packet, and whence it came.
pub(super) type Datagram = (SocketAddr, [u8; DATAGRAM_LEN]);

/// The same for a socket that carries other datagrams beside QUIC's: those of [`DATAGRAM_LEN`] bytes whose
/// first byte lacks QUIC's fixed bit. They go to `others`, or are lost where that is full. `heard` is set by
/// whatever arrives.
///
/// # Errors
/// When the runtime cannot take the socket.
pub(super) fn sharing(
    runtime: &dyn Runtime,
    socket: UdpSocket,
    others: mpsc::Sender<Datagram>,
    heard: Arc<AtomicBool>,
) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    let inner = runtime.wrap_udp_socket(socket)?;
    Ok(Arc::new(Batches {
        inner,
        others: Some(others),
        heard,
    }))
}

/// Bytes of a datagram that is no QUIC packet.
const DATAGRAM_LEN: usize = 64;

/// Set in the first byte of every QUIC packet (RFC 9000, section 17), unless this end says that it may be
/// greased (RFC 9287), which an endpoint on a shared socket does not.
const FIXED_BIT: u8 = 0x40;

#[derive(Debug)]
struct Batches {
    inner: Arc<dyn AsyncUdpSocket>,
    others: Option<mpsc::Sender<Datagram>>,
    heard: Arc<AtomicBool>,
}

/// Takes the datagrams that are no QUIC out of what one call has brought, from one address.
///
/// The kernel joins datagrams of one size, and a last one that is shorter: so either all have the
/// length of such a datagram, or the last alone.
fn take_others(buffer: &mut [u8], meta: &mut RecvMeta, others: &mpsc::Sender<Datagram>) {
    let stride = meta.stride.max(1);
    let first = match stride {
        DATAGRAM_LEN => 0,
        _ if meta.len % stride == DATAGRAM_LEN => meta.len - DATAGRAM_LEN,
        _ => return,
    };
    let mut kept = first;
    let mut at = first;
    while at < meta.len {
        let end = meta.len.min(at + DATAGRAM_LEN);
        match <[u8; DATAGRAM_LEN]>::try_from(&buffer[at..end]) {
            Ok(datagram) if datagram[0] & FIXED_BIT == 0 => {
                let _ = others.try_send((meta.addr, datagram));
            }
            _ => {
                buffer.copy_within(at..end, kept);
                kept += end - at;
            }
        }
        at = end;
    }
    // Where nothing is left, quinn finds nothing in it.
    meta.len = kept;
}

impl AsyncUdpSocket for Batches {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    /// Sends in as many calls as it takes. When one of them would block, quinn repeats the batch: a
    /// peer ignores the packets that it then gets twice (RFC 9000, section 12.3).
    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        let bytes = transmit.contents.len();
        batch_size::note_sent(bytes, transmit.segment_size.unwrap_or(bytes));
        let segment = match transmit.segment_size {
            Some(segment) if transmit.contents.len() > BATCH_MAX => segment,
            _ => return self.inner.try_send(transmit),
        };
        for contents in transmit.contents.chunks(fitting(segment)) {
            self.inner.try_send(&Transmit {
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
        let received = ready!(self.inner.poll_recv(cx, bufs, meta))?;
        self.heard.store(true, Relaxed);
        if let Some(others) = &self.others {
            for (buffer, meta) in bufs.iter_mut().zip(&mut *meta).take(received) {
                take_others(buffer, meta, others);
            }
        }
        Poll::Ready(Ok(received))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        batch_size::allowed(self.inner.max_transmit_segments())
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
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

    /// What quinn is left with, and what the others get, of datagrams that came as one batch.
    fn split(datagrams: &[Vec<u8>]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut buffer = datagrams.concat();
        let mut meta = RecvMeta {
            addr: (Ipv4Addr::LOCALHOST, 9).into(),
            len: buffer.len(),
            stride: datagrams[0].len(),
            ecn: None,
            dst_ip: None,
        };
        let (sender, mut receiver) = mpsc::channel(64);
        take_others(&mut buffer, &mut meta, &sender);
        drop(sender);
        let mut others = Vec::new();
        while let Ok((_, datagram)) = receiver.try_recv() {
            others.push(datagram.to_vec());
        }
        (buffer[..meta.len].to_vec(), others)
    }

    #[test]
    fn datagrams_are_told_from_packets_wherever_in_a_batch_they_are() {
        let packet = |len: usize| vec![0x41; len];
        let other = |n: u8| [vec![n], vec![7; DATAGRAM_LEN - 1]].concat();
        let kept = |packets: &[Vec<u8>]| packets.concat();
        // What came, what of it quinn keeps, and what the others get.
        type Batch = [Vec<Vec<u8>>; 3];
        let batches: [Batch; 7] = [
            [
                vec![packet(1452), packet(1452)],
                vec![packet(1452), packet(1452)],
                vec![],
            ],
            [vec![other(1)], vec![], vec![other(1)]],
            [
                vec![packet(1452), other(2)],
                vec![packet(1452)],
                vec![other(2)],
            ],
            [
                vec![packet(1452), packet(64)],
                vec![packet(1452), packet(64)],
                vec![],
            ],
            [
                vec![other(1), packet(64), other(2), packet(64)],
                vec![packet(64), packet(64)],
                vec![other(1), other(2)],
            ],
            [vec![other(1), packet(30)], vec![packet(30)], vec![other(1)]],
            [
                vec![vec![1; 63], vec![1; 40]],
                vec![vec![1; 63], vec![1; 40]],
                vec![],
            ],
        ];
        for [batch, packets, others] in batches {
            assert_eq!(split(&batch), (kept(&packets), others));
        }
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
