//! Several UDP sockets behind one port, each of which gets the packets of its own connections.
//!
//! Left to itself, Linux spreads packets over such sockets by the addresses that they come from and go to: a
//! client whose address changes would arrive at an endpoint that does not know its connection. A program of
//! classic BPF reads the connection ID instead (socket(7), `SO_ATTACH_REUSEPORT_CBPF`).

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    num::NonZeroU8,
};

use super::socket::{SocketBuffers, adopt_udp, bind_udp};

/// The most sockets behind one port: what one byte can tell apart, with some choice left for each.
pub(super) const SOCKETS_MAX: NonZeroU8 = NonZeroU8::new(64).expect("not zero");

/// Which of several endpoints behind one port this is; its connection IDs say so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    index: u8,
    of: NonZeroU8,
}

impl Place {
    /// Of one that is alone.
    pub(super) const ALONE: Self = Self {
        index: 0,
        of: NonZeroU8::MIN,
    };

    /// Those of so many endpoints.
    pub(super) fn all(of: NonZeroU8) -> impl Iterator<Item = Self> {
        (0..of.get()).map(move |index| Self { index, of })
    }

    /// The first byte of a connection ID of this endpoint, out of a random one.
    ///
    /// What [`group`]'s program gets back out of it is `byte % of`.
    pub(super) fn mark(self, random: u8) -> u8 {
        let of = self.of.get();
        // Not all of the 256 are a whole multiple: the last, incomplete one is never used.
        let multiples = u8::MAX / of;
        random % multiples * of + self.index
    }
}

/// Binds `count` sockets to one address that nobody else has; port 0 picks one. Each gets the packets whose
/// connection ID its [`Place`] has marked, and of those whose ID the client has picked an even share.
///
/// # Errors
/// When the address cannot be bound, or the system cannot do this: then use one socket.
#[cfg(target_os = "linux")]
pub(super) fn group(
    address: SocketAddr,
    count: NonZeroU8,
) -> io::Result<(Vec<UdpSocket>, SocketBuffers)> {
    // Bound before it may be shared: so the address is not taken from another program that shares its own.
    let (first, mut buffers) = bind_udp(address)?;
    let address = first.local_addr()?;
    socket2::SockRef::from(&first).set_reuse_port(true)?;
    let mut sockets = vec![first];
    for _ in 1..count.get() {
        let socket = super::socket::unbound_udp(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        let (socket, granted) = adopt_udp(socket.into())?;
        buffers = buffers.least(granted);
        sockets.push(socket);
    }
    attach(&sockets[0], count)?;
    Ok((sockets, buffers))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn group(_: SocketAddr, _: NonZeroU8) -> io::Result<(Vec<UdpSocket>, SocketBuffers)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Has the kernel choose among all sockets of a group as [`Place::mark`] says. Once for a group is enough.
#[cfg(target_os = "linux")]
fn attach(socket: &UdpSocket, count: NonZeroU8) -> io::Result<()> {
    use libc::{
        BPF_A, BPF_ABS, BPF_ALU, BPF_B, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_MOD, BPF_RET,
    };
    let step = |code: u32, k: u32, (jt, jf): (u8, u8)| libc::sock_filter {
        code: u16::try_from(code).expect("codes are of a byte"),
        jt,
        jf,
        k,
    };
    /// Set in the first byte of a packet with a long header (RFC 9000, section 17.2).
    const LONG: u32 = 0x80;
    /// Where the destination connection ID begins: after version and length, or after the first byte
    /// (RFC 9000, sections 17.2 and 17.3).
    const OF_LONG: u32 = 6;
    const OF_SHORT: u32 = 1;
    // A packet that is too short for one goes to the first socket, which drops it.
    let mut program = [
        step(BPF_LD | BPF_B | BPF_ABS, 0, (0, 0)),
        step(BPF_JMP | BPF_JSET | BPF_K, LONG, (0, 2)),
        step(BPF_LD | BPF_B | BPF_ABS, OF_LONG, (0, 0)),
        step(BPF_JMP | libc::BPF_JA, 1, (0, 0)),
        step(BPF_LD | BPF_B | BPF_ABS, OF_SHORT, (0, 0)),
        step(BPF_ALU | BPF_MOD | BPF_K, count.get().into(), (0, 0)),
        step(BPF_RET | BPF_A, 0, (0, 0)),
    ];
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("a few"),
        filter: program.as_mut_ptr(),
    };
    nix::sys::socket::setsockopt(
        socket,
        nix::sys::socket::sockopt::AttachReusePortCbpf,
        &program,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_whose_it_is_for_any_number_of_endpoints() {
        for of in 1..=SOCKETS_MAX.get() {
            let of = NonZeroU8::new(of).unwrap();
            for (index, place) in Place::all(of).enumerate() {
                let marks: Vec<u8> = (0..=u8::MAX).map(|random| place.mark(random)).collect();
                assert!(marks.iter().all(|mark| usize::from(*mark % of) == index));
            }
        }
        let alone: std::collections::BTreeSet<u8> = (0..=u8::MAX)
            .map(|random| Place::ALONE.mark(random))
            .collect();
        assert_eq!(alone.len(), 255, "hardly fewer than without it");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_packet_arrives_where_its_connection_id_says_from_wherever_it_comes() {
        use std::{net::Ipv4Addr, time::Duration};
        let of = NonZeroU8::new(3).unwrap();
        let (sockets, _) = group((Ipv4Addr::LOCALHOST, 0).into(), of).unwrap();
        let address = sockets[0].local_addr().unwrap();
        for socket in &sockets {
            socket.set_nonblocking(false).unwrap();
            let limit = Duration::from_secs(20);
            socket.set_read_timeout(Some(limit)).unwrap();
        }
        for (index, place) in Place::all(of).enumerate() {
            for random in [0, 7, 100, 255] {
                let mark = place.mark(random);
                let short = [0x40, mark, 1, 2, 3];
                let long = [0xc0, 0, 0, 0, 1, 8, mark, 1, 2, 3];
                for packet in [&short[..], &long] {
                    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                    client.send_to(packet, address).unwrap();
                    let mut got = [0; 32];
                    let (len, from) = sockets[index].recv_from(&mut got).unwrap();
                    assert_eq!((&got[..len], from), (packet, client.local_addr().unwrap()));
                }
            }
        }
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.send_to(&[0x40], address).unwrap();
        assert_eq!(sockets[0].recv_from(&mut [0; 32]).unwrap().0, 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_address_that_somebody_has_is_not_shared() {
        let of = NonZeroU8::new(2).unwrap();
        let (sockets, _) = group((std::net::Ipv4Addr::LOCALHOST, 0).into(), of).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(group(address, of).is_err());
        assert!(bind_udp(address).is_err());
    }

    /// Of a relay with four threads: clients whose addresses change keep their connections. By addresses
    /// alone, three of four of their packets would reach another endpoint.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connection_stays_with_its_endpoint_when_its_clients_address_changes() {
        use std::{net::Ipv4Addr, num::NonZeroUsize, sync::Arc, time::Duration};

        use crate::{
            identity::Identity,
            quic::{Certificate, Credentials, RelayEndpoint, Role, Tuning, tls},
        };

        const LIMIT: Duration = Duration::from_secs(30);
        let credentials = |identity: &Identity| {
            let certificate = Certificate::of(identity);
            Credentials::new(certificate.certificate, certificate.private_key)
        };
        let (identity, tuning) = (Identity::generate(), Tuning::default());
        let (anywhere, four) = ((Ipv4Addr::LOCALHOST, 0).into(), NonZeroUsize::new(4));
        let relay = RelayEndpoint::bind(anywhere, &credentials(&identity), tuning, four.unwrap());
        let relay = relay.unwrap();
        assert_eq!(relay.health().ticks().len(), 4);
        let address = relay.local_addr().unwrap();
        let (crypto, _) = tls::client(&credentials(&Identity::generate()), identity.id()).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(tuning.transport(Role::Sender, address.ip()));
        let mut threads = std::collections::BTreeSet::new();
        for _ in 0..24 {
            let client = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            let connecting = client
                .connect_with(config.clone(), address, tls::SERVER_NAME)
                .unwrap();
            let serving = async {
                let incoming = relay.accept().await.unwrap();
                let worker = incoming.worker().clone();
                let serving = worker.spawn(async move {
                    let link = incoming.accept(LIMIT).await.unwrap();
                    link.set_receive_window(Tuning::CONNECTION_WINDOW);
                    link.set_file_streams(16);
                    (link, std::thread::current().id())
                });
                serving.await.unwrap()
            };
            let (connection, (link, thread)) = tokio::join!(connecting, serving);
            let connection = connection.unwrap();
            threads.insert(format!("{thread:?}"));
            client
                .rebind(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
                .unwrap();
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(&[7; 100_000]).await.unwrap();
            stream.finish().unwrap();
            let receiving = async {
                let mut content = vec![0; 100_000];
                let mut stream = link.accept_file().await.unwrap();
                stream.fill(&mut content).await.unwrap();
                assert!(content == [7; 100_000]);
            };
            tokio::time::timeout(LIMIT, receiving)
                .await
                .expect("its packets arrive where its connection is");
        }
        assert!(threads.len() > 1, "they are spread");
    }
}
