//! Many sockets at once, of which one may turn out to lead to a peer.
//!
//! A NAT that gives out another port for each destination and each socket gives out as many to them, and it is
//! enough that the other end finds one (see `direct::guess`).

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{io::ReadBuf, net::UdpSocket};

use super::{Datagrams, DirectSocket, socket};

/// Bytes of the datagrams that they exchange.
const DATAGRAM_LEN: usize = 64;

/// Sockets in the family of one destination.
#[derive(Debug)]
pub struct ManySockets(Vec<UdpSocket>);

impl ManySockets {
    /// Opens as many as are wanted, or a quarter of what this process may have open. Call it inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// When not one can be had.
    pub fn towards(to: SocketAddr, wanted: usize) -> io::Result<Self> {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut sockets = Vec::new();
        for _ in 0..wanted.min(open_files() / 4).max(1) {
            let bound = std::net::UdpSocket::bind((any, 0)).and_then(|socket| {
                socket.set_nonblocking(true)?;
                UdpSocket::from_std(socket)
            });
            match bound {
                Ok(socket) => sockets.push(socket),
                Err(error) if sockets.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Self(sockets))
    }

    /// Sends a datagram from each; what a socket cannot send at once is lost, as on a network.
    pub fn send(&self, to: SocketAddr, mut datagram: impl FnMut() -> [u8; DATAGRAM_LEN]) {
        for socket in &self.0 {
            // Past tokio, which takes a fresh socket for one that is not ready yet.
            let _ = SockRef::from(socket).send_to(&datagram(), &to.into());
        }
    }

    /// The next datagram: at which socket, and whence it came.
    ///
    /// Cancel-safe.
    pub async fn recv(&self) -> (usize, SocketAddr, [u8; DATAGRAM_LEN]) {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<(usize, SocketAddr, [u8; DATAGRAM_LEN])> {
        // One byte more, or what is longer would look as long as it should be.
        let mut space = [0; DATAGRAM_LEN + 1];
        for (index, socket) in self.0.iter().enumerate() {
            let mut buffer = ReadBuf::new(&mut space);
            while let Poll::Ready(Ok(from)) = socket.poll_recv_from(context, &mut buffer) {
                if let Ok(datagram) = buffer.filled().try_into() {
                    return Poll::Ready((index, from, datagram));
                }
                buffer.clear();
            }
        }
        Poll::Pending
    }

    /// Makes one of them a socket for direct connections, like `beside`, and closes the others.
    ///
    /// # Errors
    /// When there is none of this number, or quinn cannot take it.
    pub fn take(
        mut self,
        index: usize,
        beside: &DirectSocket,
    ) -> io::Result<(DirectSocket, Datagrams)> {
        if index >= self.0.len() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (socket, _) = socket::adopt_udp(self.0.swap_remove(index).into_std()?)?;
        beside.another(socket)
    }
}

/// What this process may have open at once.
fn open_files() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        let limit = getrlimit(Resource::Nofile).current;
        limit.map_or(usize::MAX, |files| {
            usize::try_from(files).unwrap_or(usize::MAX)
        })
    }
    #[cfg(not(unix))]
    usize::MAX
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;

    #[tokio::test]
    async fn each_sends_from_a_port_of_its_own_and_hears_what_comes_there() {
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let many = ManySockets::towards(other.local_addr().unwrap(), 8).unwrap();
        many.send(other.local_addr().unwrap(), || [7; DATAGRAM_LEN]);
        let (mut ports, mut last) = (HashSet::new(), None);
        let limit = Duration::from_secs(30);
        for _ in 0..8 {
            let mut space = [0; 100];
            let (len, from) = tokio::time::timeout(limit, other.recv_from(&mut space))
                .await
                .expect("each sends")
                .unwrap();
            assert_eq!(space[..len], [7; DATAGRAM_LEN]);
            ports.insert(from.port());
            last = Some(from);
        }
        assert_eq!(ports.len(), 8);
        let to = last.unwrap();
        for datagram in [&[1; 63][..], &[2; 65], &[3; 64]] {
            other.send_to(datagram, to).await.unwrap();
        }
        let (index, from, datagram) = tokio::time::timeout(limit, many.recv()).await.unwrap();
        assert_eq!((from, datagram), (other.local_addr().unwrap(), [3; 64]));
        assert_eq!(many.0[index].local_addr().unwrap().port(), to.port());
    }
}
