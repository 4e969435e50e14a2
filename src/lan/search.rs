//! Searches for listeners of the room by multicast DNS.
//!
//! Questions are asked from a port of their own, which are answered at once and to this machine alone (RFC
//! 6762, section 6.7), and from the common port, whose answers pass firewalls that let nothing else in. The
//! same socket hears of listeners that come later. Nothing of what is heard is kept but listeners that have
//! shown that they are of the room.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use simple_dns::{
    CLASS, Name, Packet, Question, TYPE, header_buffer,
    rdata::{RData, TXT},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::found::{Found, Heard, SEALED, SERVICE, VERSION, unix_now};
use crate::{identity::LanKey, protocol::PeerId};

/// Listeners of the room that are remembered as told.
const FOUND_MAX: usize = 64;
/// Listeners that were found and nobody has taken yet.
const QUEUE: usize = 16;
/// The largest message (RFC 6762, section 17).
const MESSAGE_MAX: usize = 9000;
/// Records in a message: more do not fit.
const RECORDS_MAX: usize = 820;
/// Services in a message that are looked at, and addresses of each.
const SERVICES_MAX: usize = 32;
const ADDRESSES_MAX: usize = 32;
/// Messages that are read in each span of time. Of a flood the rest is lost, as on a busy network; who asks
/// again is answered again.
const BUDGET: (usize, Duration) = (200, Duration::from_millis(50));
/// Interfaces that are asked on.
const INTERFACES_MAX: usize = 16;
/// When it is asked, from the one time to the next: answers may be lost, and are held back where the same
/// was answered to all within a second.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// From then on.
const PAUSE: Duration = Duration::from_secs(30);

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// A search for listeners of one room.
#[derive(Debug)]
pub struct Search {
    found: mpsc::Receiver<Found>,
    searching: JoinHandle<()>,
}

impl Search {
    /// Begins to search. Call it inside a tokio runtime.
    pub(super) fn start(key: LanKey, (port, loopback): (u16, bool)) -> Self {
        let (tell, found) = mpsc::channel(QUEUE);
        let searching = tokio::spawn(async move {
            let mut hearing = Hearing {
                key,
                tell,
                told: HashMap::new(),
            };
            let sockets = Sockets::open(port, loopback);
            sockets.search(&mut hearing).await;
        });
        Self { found, searching }
    }

    /// The next listener that is found, or whose addresses have changed.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Found {
        match self.found.recv().await {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.searching.abort();
    }
}

/// What is asked and heard with, as far as this machine has it.
struct Sockets {
    port: u16,
    loopback: bool,
    /// At the common port, which other programs listen to as well.
    common: [Option<UdpSocket>; 2],
    /// At ports of their own.
    own: [Option<UdpSocket>; 2],
}

/// An interface that is asked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interface {
    V4(Ipv4Addr),
    V6(u32),
}

impl Sockets {
    fn open(port: u16, loopback: bool) -> Self {
        let open = |is_v6, port| match bind(is_v6, port) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::debug!(is_v6, port, %error, "no socket for multicast DNS");
                None
            }
        };
        Self {
            port,
            loopback,
            common: [open(false, port), open(true, port)],
            own: [open(false, 0), open(true, 0)],
        }
    }

    async fn search(&self, hearing: &mut Hearing) {
        let mut pauses = PAUSES.into_iter();
        let mut asked = 0;
        let mut next = Instant::now();
        let mut budget = (BUDGET.0, Instant::now() + BUDGET.1);
        let mut buffers = [(); 4].map(|()| vec![0; MESSAGE_MAX + 1]);
        loop {
            let now = Instant::now();
            if now >= budget.1 {
                budget = (BUDGET.0, now + BUDGET.1);
            }
            if now >= next {
                // First from the ports whose answers come at once.
                self.ask(asked % 2 == 1);
                asked += 1;
                next = now + pauses.next().unwrap_or(PAUSE);
            }
            let until = match budget.0 {
                0 => next.min(budget.1),
                _ => next,
            };
            let [a, b, c, d] = &mut buffers;
            let heard = tokio::select! {
                heard = receive(&self.own[0], a), if budget.0 > 0 => heard,
                heard = receive(&self.own[1], b), if budget.0 > 0 => heard,
                heard = receive(&self.common[0], c), if budget.0 > 0 => heard,
                heard = receive(&self.common[1], d), if budget.0 > 0 => heard,
                () = sleep_until(until) => continue,
                () = hearing.tell.closed() => return,
            };
            budget.0 -= 1;
            let Some((message, from)) = heard else {
                continue;
            };
            for found in hearing.judge(message, from) {
                if hearing.tell.send(found).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Asks on every interface, from the common port or from its own.
    fn ask(&self, from_common: bool) {
        let question = question();
        let [v4, v6] = match from_common {
            true => &self.common,
            false => &self.own,
        };
        for interface in interfaces(self.loopback) {
            // What has come since the last time is joined now; what was joined before says so.
            if let Err(error) = join(&self.common, interface) {
                tracing::trace!(?interface, %error, "multicast DNS is not heard there");
            }
            let asked = match (interface, v4, v6) {
                (Interface::V4(address), Some(socket), _) => {
                    ask_v4(socket, address, &question, self.port)
                }
                (Interface::V6(index), _, Some(socket)) => {
                    let group = SocketAddrV6::new(GROUP_V6, self.port, 0, index);
                    SockRef::from(socket).send_to(&question, &group.into())
                }
                _ => continue,
            };
            if let Err(error) = asked {
                tracing::debug!(?interface, %error, "cannot ask there");
            }
        }
    }
}

fn bind(is_v6: bool, port: u16) -> io::Result<UdpSocket> {
    let (domain, any): (_, IpAddr) = match is_v6 {
        true => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into()),
        false => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into()),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if is_v6 {
        socket.set_only_v6(true)?;
        socket.set_multicast_hops_v6(255)?;
    } else {
        socket.set_multicast_ttl_v4(255)?;
    }
    if port != 0 {
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(any, port).into())?;
    UdpSocket::from_std(socket.into())
}

fn join([v4, v6]: &[Option<UdpSocket>; 2], interface: Interface) -> io::Result<()> {
    match (interface, v4, v6) {
        (Interface::V4(address), Some(socket), _) => socket.join_multicast_v4(GROUP_V4, address),
        (Interface::V6(index), _, Some(socket)) => socket.join_multicast_v6(&GROUP_V6, index),
        _ => Ok(()),
    }
}

fn ask_v4(socket: &UdpSocket, from: Ipv4Addr, question: &[u8], port: u16) -> io::Result<usize> {
    // Not by the runtime, which has not seen yet that a fresh socket can be written to.
    let socket = SockRef::from(socket);
    socket.set_multicast_if_v4(&from)?;
    socket.send_to(question, &SocketAddr::from((GROUP_V4, port)).into())
}

/// The addresses that are asked from.
fn interfaces(loopback: bool) -> Vec<Interface> {
    let mut interfaces = Vec::new();
    for it in if_addrs::get_if_addrs().unwrap_or_default() {
        if it.is_loopback() != loopback {
            continue;
        }
        let interface = match (it.ip(), it.index) {
            (IpAddr::V4(address), _) => Interface::V4(address),
            (IpAddr::V6(_), Some(index)) => Interface::V6(index),
            _ => continue,
        };
        if !interfaces.contains(&interface) && interfaces.len() < INTERFACES_MAX {
            interfaces.push(interface);
        }
    }
    interfaces
}

/// The next message on a socket; never, where there is none.
async fn receive<'a>(
    socket: &Option<UdpSocket>,
    buffer: &'a mut [u8],
) -> Option<(&'a [u8], SocketAddr)> {
    let Some(socket) = socket else {
        return std::future::pending().await;
    };
    // An error is that of a message which was sent before.
    let (len, from) = socket.recv_from(buffer).await.ok()?;
    (len <= MESSAGE_MAX).then_some((&buffer[..len], from))
}

fn question() -> Vec<u8> {
    let mut packet = Packet::new_query(0);
    let name = Name::new_unchecked(SERVICE.trim_end_matches('.'));
    let question = Question::new(name, TYPE::PTR.into(), CLASS::IN.into(), false);
    packet.questions.push(question);
    packet
        .build_bytes_vec()
        .expect("a question of one name fits")
}

/// Who was found.
struct Hearing {
    key: LanKey,
    tell: mpsc::Sender<Found>,
    told: HashMap<PeerId, Vec<SocketAddr>>,
}

impl Hearing {
    /// The listeners in a message that are new, or have new addresses.
    fn judge(&mut self, message: &[u8], from: SocketAddr) -> Vec<Found> {
        let mut found = listeners(message, from, &self.key, unix_now());
        found.retain(|found| {
            let relay = found.announcement.relay;
            if self.told.get(&relay) == Some(&found.addresses) {
                return false;
            }
            if self.told.len() >= FOUND_MAX {
                // Of who is still there, it is told again: that does no harm.
                self.told.clear();
            }
            self.told.insert(relay, found.addresses.clone());
            true
        });
        found
    }
}

/// The listeners of the room in a message from anybody.
fn listeners(message: &[u8], from: SocketAddr, key: &LanKey, unix: u64) -> Vec<Found> {
    let counts = [header_buffer::answers, header_buffer::additional_records];
    let counts = counts.map(|count| count(message).map_or(usize::MAX, usize::from));
    let others = [header_buffer::questions, header_buffer::name_servers];
    let others = others.map(|count| count(message).map_or(usize::MAX, usize::from));
    // Memory is taken for as many as are announced.
    if counts
        .iter()
        .chain(&others)
        .any(|count| *count > RECORDS_MAX)
    {
        return Vec::new();
    }
    let Ok(packet) = Packet::parse(message) else {
        return Vec::new();
    };
    let records = || packet.answers.iter().chain(&packet.additional_records);
    let mut found = Vec::new();
    let services = records().filter_map(|record| match &record.rdata {
        RData::SRV(srv) if record.ttl > 0 => Some((&record.name, srv)),
        _ => None,
    });
    for (name, srv) in services.take(SERVICES_MAX) {
        let txt = records().find_map(|record| match &record.rdata {
            RData::TXT(txt) if record.name == *name => Some(txt),
            _ => None,
        });
        let Some(txt) = txt else { continue };
        let addresses = records()
            .filter(|record| record.name == srv.target)
            .filter_map(|record| address(&record.rdata, srv.port, from));
        let heard = Heard {
            name: &format!("{name}."),
            port: srv.port,
            version: value(txt, VERSION),
            sealed: value(txt, SEALED),
            addresses: addresses.take(ADDRESSES_MAX).collect(),
        };
        found.extend(heard.judge(key, unix));
    }
    found
}

fn value<'a>(txt: &'a TXT<'_>, key: &str) -> Option<&'a [u8]> {
    let mut values = txt.iter_raw();
    values.find_map(|(it, value)| (it == key.as_bytes()).then_some(value)?)
}

/// The address in a record, a link-local one on the interface from which it was heard.
fn address(rdata: &RData<'_>, port: u16, from: SocketAddr) -> Option<SocketAddr> {
    match rdata {
        RData::A(a) => Some((Ipv4Addr::from(a.address), port).into()),
        RData::AAAA(aaaa) => {
            let ip = Ipv6Addr::from(aaaa.address);
            let scope = match (ip.is_unicast_link_local(), from) {
                (true, SocketAddr::V6(from)) => from.scope_id(),
                _ => 0,
            };
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RoomSecret;

    #[test]
    fn no_message_of_any_bytes_does_harm() {
        let key = RoomSecret::from_bytes([1; 16]).lan_key();
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 5353));
        let mut noise = blake3::Hasher::new().finalize_xof();
        for len in [0, 1, 11, 12, 13, 100, 1500, MESSAGE_MAX] {
            for counts in [&[0xff; 8][..], &[0, 0, 0, 9, 0, 0, 0, 9], &[]] {
                let mut message = vec![0; len];
                noise.fill(&mut message);
                if let Some(header) = message.get_mut(4..4 + counts.len()) {
                    header.copy_from_slice(counts);
                }
                assert!(listeners(&message, from, &key, 0).is_empty());
            }
        }
    }
}
