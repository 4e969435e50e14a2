//! A relay inside of another program: for one room, on a port of its own, as long as that program runs.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Admission, Limits, Relay, RelayConfig, SHUTDOWN_LIMIT, TcpListen};
use crate::{
    identity::Identity,
    protocol::{PeerId, RoomId},
    quic::{Certificate, Credentials},
};

/// Peers at once: everybody in a house, and no crowd.
const PEERS_MAX: usize = 64;
/// Bytes of content in memory. What a recipient has not taken yet waits at its sender.
const MEMORY_LIMIT: u64 = 16 << 20;

/// A relay of one room that runs on a thread of its own.
///
/// Its key is a fresh one in every run, and nothing of it is on a disk.
#[derive(Debug)]
pub struct Embedded {
    /// The key that it shows.
    pub fingerprint: PeerId,
    /// Its port, of UDP, on all addresses of this machine.
    pub port: u16,
    end: CancellationToken,
    ended: Option<oneshot::Receiver<()>>,
}

impl Embedded {
    /// Starts it.
    ///
    /// # Errors
    /// When no socket or thread can be had.
    pub fn start(room: RoomId) -> io::Result<Self> {
        let (started, starting) = std::sync::mpsc::sync_channel(1);
        let (over, ended) = oneshot::channel();
        let end = CancellationToken::new();
        let shutdown = end.clone();
        // What is in transit is decrypted and encrypted here while the listener's own thread opens it.
        thread::Builder::new()
            .name("p2p-relay".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let relaying = async {
                    match bind(room) {
                        Ok((relay, fingerprint, port)) => {
                            let _ = started.send(Ok((fingerprint, port)));
                            relay.run(shutdown).await;
                        }
                        Err(error) => drop(started.send(Err(error))),
                    }
                };
                if let Ok(runtime) = runtime {
                    runtime.block_on(relaying);
                }
                let _ = over.send(());
            })?;
        let (fingerprint, port) = starting.recv().map_err(io::Error::other)??;
        Ok(Self {
            fingerprint,
            port,
            end,
            ended: Some(ended),
        })
    }

    /// Tells everyone that it ends, and waits for that, but not for long.
    pub async fn end(mut self) {
        self.end.cancel();
        if let Some(ended) = self.ended.take() {
            let limit = 2 * SHUTDOWN_LIMIT + Duration::from_millis(100);
            let _ = tokio::time::timeout(limit, ended).await;
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn bind(room: RoomId) -> io::Result<(Relay, PeerId, u16)> {
    let identity = Identity::generate();
    let certificate = Certificate::of(&identity);
    let credentials = Credentials::new(certificate.certificate, certificate.private_key);
    let at = |bind: SocketAddr| {
        let config = RelayConfig {
            tcp: TcpListen::Off,
            limits: Limits {
                max_peers: PEERS_MAX,
                ..Limits::default()
            },
            memory_limit: MEMORY_LIMIT,
            spool_limit: 0,
            ..RelayConfig::new(bind, Admission::of([room]))
        };
        Relay::bind(config, &credentials)
    };
    // A machine without IPv6 has IPv4 alone.
    let relay =
        at((Ipv6Addr::UNSPECIFIED, 0).into()).or_else(|_| at((Ipv4Addr::UNSPECIFIED, 0).into()))?;
    let port = relay.local_addr()?.port();
    Ok((relay, identity.id(), port))
}
