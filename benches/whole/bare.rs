//! A relay, a sender and a receiver of bare quinn: no sealing, no hashing, no files.
//!
//! They use the transport parameters and sockets of `p2p`, and each is a process of its own with a
//! runtime on one thread, as in `p2p`. What they lack is what the ratios measure.

use std::{
    fs,
    io::{BufRead, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use p2p::quic::{Role, Tuning, batching, bind_udp};
use quinn::{
    EndpointConfig, TokioRuntime,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::mpsc;

use super::machine::{Lines, Usage};

/// Read from the sender, and queued for each receiver, at once.
const CHUNKS: usize = 64;
/// Such reads that may wait for one receiver.
const READS_AHEAD: usize = 8;
/// What the sender writes at once, in bytes.
const WRITE: usize = 256 * 1024;

/// What one run took.
pub struct Run {
    /// From the first byte sent to the last byte received by the last receiver.
    pub elapsed: Duration,
    /// Of the relay.
    pub relay: Usage,
}

/// Sends `bytes` through a bare relay to so many receivers.
pub fn run(folder: &Path, mtu: u16, bytes: u64, receivers: usize) -> Run {
    let certificate = folder.join("bare.der");
    let _ = fs::remove_file(&certificate);
    let child = |role: &str, rest: &[String]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["bare", role]).arg(&certificate).args(rest);
        command.env("P2P_MTU", mtu.to_string());
        Lines::spawn(command)
    };
    let mut relay = child("relay", &[receivers.to_string()]);
    let address = relay.line();
    let mut waiting: Vec<_> = (0..receivers)
        .map(|_| {
            let mut receiver = child("receive", std::slice::from_ref(&address));
            assert_eq!(receiver.line(), "connected");
            receiver
        })
        .collect();
    let mut sender = child("send", &[address, bytes.to_string()]);
    assert_eq!(sender.line(), "connected");
    let before = relay.usage();
    let start = Instant::now();
    sender.say("go");
    for receiver in &mut waiting {
        assert_eq!(receiver.line(), bytes.to_string());
    }
    let elapsed = start.elapsed();
    let relay_usage = relay.usage().since(&before);
    Run {
        elapsed,
        relay: relay_usage,
    }
}

/// Sends `bytes` to one receiver without a relay; how long that takes.
pub fn one_hop(folder: &Path, mtu: u16, bytes: u64) -> Duration {
    let certificate = folder.join("bare.der");
    let _ = fs::remove_file(&certificate);
    let child = |role: &str, rest: &[String]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["bare", role]).arg(&certificate).args(rest);
        command.env("P2P_MTU", mtu.to_string());
        Lines::spawn(command)
    };
    let mut sink = child("sink", &[]);
    let address = sink.line();
    let mut sender = child("send", &[address, bytes.to_string()]);
    assert_eq!(sender.line(), "connected");
    let start = Instant::now();
    sender.say("go");
    assert_eq!(sink.line(), bytes.to_string());
    start.elapsed()
}

/// Plays one of the parts, in a process that [`run`] has started.
pub fn play(args: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let [role, certificate, rest @ ..] = args else {
        panic!("bare ROLE CERTIFICATE …");
    };
    let certificate = Path::new(certificate);
    runtime.block_on(async {
        match (role.as_str(), rest) {
            ("relay", [receivers]) => relay(certificate, receivers.parse().unwrap()).await,
            ("sink", []) => sink(certificate).await,
            ("receive", [relay]) => receive(certificate, relay.parse().unwrap()).await,
            ("send", [relay, bytes]) => {
                send(certificate, relay.parse().unwrap(), bytes.parse().unwrap()).await;
            }
            _ => panic!("no such part: {role}"),
        }
    });
}

/// An endpoint that others connect to, whose address is told.
fn server(certificate: &Path) -> quinn::Endpoint {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let mut crypto = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    crypto.alpn_protocols = vec![b"bare".to_vec()];
    let crypto = QuicServerConfig::try_from(crypto).unwrap();
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Tuning::from_env().transport(Role::Relay, Ipv4Addr::LOCALHOST.into()));
    let endpoint = endpoint(Some(config));
    fs::write(certificate, key.cert.der()).unwrap();
    say(endpoint.local_addr().unwrap());
    endpoint
}

/// Takes one sender's stream to its end.
async fn sink(certificate: &Path) {
    let endpoint = server(certificate);
    let sender = endpoint.accept().await.unwrap().await.unwrap();
    let mut inlet = sender.accept_uni().await.unwrap();
    let mut received = 0;
    let mut chunks = vec![Bytes::new(); CHUNKS];
    while let Some(count) = inlet.read_chunks(&mut chunks).await.unwrap() {
        received += chunks[..count].iter().map(Bytes::len).sum::<usize>();
    }
    say(received);
    std::future::pending::<()>().await;
}

/// Takes so many receivers, then one sender, and passes on its stream.
async fn relay(certificate: &Path, receivers: usize) {
    let endpoint = server(certificate);
    let mut outs = Vec::new();
    for _ in 0..receivers {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        outs.push((connection.open_uni().await.unwrap(), connection));
    }
    let sender = endpoint.accept().await.unwrap().await.unwrap();
    let mut inlet = sender.accept_uni().await.unwrap();
    if let [(out, _)] = &mut outs[..] {
        let mut chunks = vec![Bytes::new(); CHUNKS];
        while let Some(count) = inlet.read_chunks(&mut chunks).await.unwrap() {
            out.write_all_chunks(&mut chunks[..count]).await.unwrap();
        }
        out.finish().unwrap();
    } else {
        fan_out(&mut inlet, &mut outs).await;
    }
    std::future::pending::<()>().await;
}

/// Every receiver has a task and a short queue: the slowest sets the pace.
async fn fan_out(
    inlet: &mut quinn::RecvStream,
    outs: &mut Vec<(quinn::SendStream, quinn::Connection)>,
) {
    let mut queues = Vec::new();
    for (mut out, connection) in outs.drain(..) {
        let (queue, mut queued) = mpsc::channel::<Vec<Bytes>>(READS_AHEAD);
        queues.push(queue);
        tokio::spawn(async move {
            while let Some(mut chunks) = queued.recv().await {
                out.write_all_chunks(&mut chunks).await.unwrap();
            }
            out.finish().unwrap();
            connection.closed().await;
        });
    }
    let mut chunks = vec![Bytes::new(); CHUNKS];
    while let Some(count) = inlet.read_chunks(&mut chunks).await.unwrap() {
        for queue in &queues {
            queue.send(chunks[..count].to_vec()).await.unwrap();
        }
    }
}

async fn receive(certificate: &Path, relay: SocketAddr) {
    let connection = connect(certificate, relay).await;
    say("connected");
    let mut stream = connection.accept_uni().await.unwrap();
    let mut chunks = vec![Bytes::new(); CHUNKS];
    let mut total = 0;
    while let Some(count) = stream.read_chunks(&mut chunks).await.unwrap() {
        total += chunks[..count].iter().map(Bytes::len).sum::<usize>();
    }
    say(total);
    std::future::pending::<()>().await;
}

async fn send(certificate: &Path, relay: SocketAddr, bytes: u64) {
    let connection = connect(certificate, relay).await;
    say("connected");
    tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next())
        .await
        .unwrap();
    let content = Bytes::from(vec![0x5a; WRITE]);
    let mut stream = connection.open_uni().await.unwrap();
    let mut left = bytes;
    while left > 0 {
        let len = content.len().min(usize::try_from(left).unwrap_or(WRITE));
        stream.write_chunk(content.slice(..len)).await.unwrap();
        left -= len as u64;
    }
    stream.finish().unwrap();
    std::future::pending::<()>().await;
}

async fn connect(certificate: &Path, relay: SocketAddr) -> quinn::Connection {
    let mut roots = rustls::RootCertStore::empty();
    let der = CertificateDer::from(fs::read(certificate).unwrap());
    roots.add(der).unwrap();
    let mut crypto = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    crypto.alpn_protocols = vec![b"bare".to_vec()];
    let crypto = QuicClientConfig::try_from(crypto).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Tuning::from_env().transport(Role::Sender, Ipv4Addr::LOCALHOST.into()));
    endpoint(None)
        .connect_with(config, relay, "localhost")
        .unwrap()
        .await
        .unwrap()
}

fn endpoint(server: Option<quinn::ServerConfig>) -> quinn::Endpoint {
    let (socket, _) = bind_udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let mut config = EndpointConfig::default();
    config
        .max_udp_payload_size(Tuning::max_udp_payload())
        .unwrap();
    let socket = batching(&TokioRuntime, socket).unwrap();
    quinn::Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))
        .unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn say(what: impl std::fmt::Display) {
    println!("{what}");
    std::io::stdout().flush().unwrap();
}
