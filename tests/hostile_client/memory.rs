//! Attacks on the relay's memory.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use p2p::{
    identity::Invite,
    protocol::{ClientToServer, FrameHeader, FrameKind},
};
use tokio::time::timeout;

use super::{
    common::{MIB, scaled},
    siege::Siege,
    wire::{self, Attacker, Control, garbage_offer, tell, transfer},
};

/// The default of `--memory-limit`.
const LIMIT: u64 = 64 * MIB;
/// A connection that has been blocked for so long is full.
const FULL: Duration = Duration::from_secs(2);

/// Writes to new streams for as long as the relay takes anything; the streams, to be held.
pub async fn fill(attacker: &Attacker, most: usize, header: &[u8]) -> Vec<quinn::SendStream> {
    let mut streams = Vec::new();
    let piece = vec![7; 64 * 1024];
    let filling = async {
        let mut written = 0;
        while written < most {
            let Ok(stream) = attacker.connection.open_uni().await else {
                break;
            };
            streams.push(stream);
            let stream = streams.last_mut().expect("pushed above");
            let writing = async {
                let mut taken = stream.write(header).await?;
                while taken < 2 << 20 {
                    taken += stream.write(&piece).await?;
                    written += piece.len();
                }
                Ok::<_, quinn::WriteError>(())
            };
            let _ = timeout(FULL, writing).await;
        }
    };
    let _ = timeout(5 * FULL, filling).await;
    streams
}

/// Writes so much to a stream, as far as the relay takes it, and ends it, while its recipient reads; how
/// much arrived.
pub async fn write_and_read(
    stream: &mut quinn::SendStream,
    file: &mut quinn::RecvStream,
    bytes: u64,
) -> u64 {
    let pump = async {
        for _ in 0..bytes / (64 << 10) {
            if stream.write_all(&[7; 64 * 1024]).await.is_err() {
                break;
            }
        }
        let _ = stream.finish();
    };
    let drain = async {
        let mut taken = 0;
        while let Ok(Some(chunk)) = file.read_chunk(usize::MAX, true).await {
            taken += chunk.bytes.len() as u64;
        }
        taken
    };
    let both = async { tokio::join!(pump, drain) };
    let ((), taken) = timeout(Duration::from_secs(60), both).await.unwrap();
    taken
}

/// The first frames of a file that nobody can open; then anything may follow.
pub fn head() -> Vec<u8> {
    let frame = |kind, len| FrameHeader {
        kind,
        len,
        index: 0,
    };
    let head = frame(FrameKind::Head, 32).encode();
    let chunk = frame(FrameKind::Chunk, 65_536).encode();
    [&head[..], &[9; 32], &chunk[..]].concat()
}

/// A sender whose accomplice has accepted a transfer and reads nothing of it.
pub async fn sender_and_sink(
    invite: &Invite,
    number: u64,
) -> (Attacker, Control, Attacker, Control) {
    // It takes so little that all the rest stays with the relay.
    let mut transport = quinn::TransportConfig::default();
    transport
        .receive_window(16_384u32.into())
        .stream_receive_window(4_096u32.into());
    let sink = Attacker::tuned(invite, transport).await;
    let mut sink_control = sink.enter(&invite.secret, true).await;
    let (sender, mut control) = Attacker::member(invite, false).await;
    let to = sink.identity.id();
    let id = transfer(number);
    let to = [to];
    tokio::join!(control.begin_with(&to, id), sink_control.accept());
    (sender, control, sink, sink_control)
}

#[test]
fn senders_that_are_killed_leave_no_more_than_the_limit() {
    let siege = Siege::new(&[]);
    let killed = scaled(24, 300);
    let seen = siege.while_running(|lab| {
        let file = lab.file("large.bin", 24 * MIB);
        let mut running = VecDeque::new();
        for number in 0..killed {
            running.push_back(lab.send(&format!("s{number}"), &["--to", "alice"], &[&file]));
            // Each at another moment: some before they are admitted, some in the midst of it.
            if running.len() > usize::try_from(number * 7 % 12).unwrap() {
                running.pop_front().expect("just pushed").kill();
            }
        }
    });
    seen.harmless(LIMIT);
    if killed > 24 {
        // Nobody closed their connections; they are forgotten by time, and what they held is free.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut status = siege.lab.run("relay", ["server", "status"]);
            status.expect(0);
            let status = status.wait_event("status");
            let connections = status["rooms"][0]["peers"].as_array().map(Vec::len);
            if status["memory_used"] == 0 && connections == Some(1) {
                break;
            }
            assert!(Instant::now() < deadline, "{status}");
        }
    }
}

#[test]
fn strangers_pin_no_memory_before_they_are_admitted() {
    let siege = Siege::new(&[]);
    let seen = siege.under(|invite| async move {
        let strangers = join_all((0..200).map(async |_| Attacker::connect(&invite).await)).await;
        let fill = strangers.iter().map(async |stranger| {
            // Without a hello: neither a control stream nor any other.
            fill(stranger, 2 << 20, &[0]).await
        });
        let streams = join_all(fill).await;
        (strangers, streams)
    });
    seen.harmless(LIMIT);
}

#[test]
fn half_a_hello_and_an_endless_one_pin_no_memory() {
    let siege = Siege::new(&[]);
    let seen = siege.under(|invite| async move {
        let strangers = join_all((0..200).map(async |_| {
            let stranger = Attacker::connect(&invite).await;
            let mut control = stranger.control().await;
            // The longest message there is, and never its last byte.
            let _ = timeout(FULL, control.send.write_all(&[0, 1, 0, 0])).await;
            let _ = timeout(FULL, control.send.write_all(&vec![b' '; 1 << 20])).await;
            (stranger, control)
        }));
        strangers.await
    });
    seen.harmless(LIMIT);
}

#[test]
fn senders_beside_sinks_that_never_read_pin_no_more_than_the_limit() {
    let siege = Siege::new(&[]);
    let seen = siege.under(|invite| async move {
        let pairs = (0..16).map(async |number| {
            let pair = sender_and_sink(&invite, number).await;
            let header = file_header(number);
            let streams = fill(&pair.0, 12 << 20, &[header, head()].concat()).await;
            (pair, streams)
        });
        join_all(pairs).await
    });
    seen.harmless(LIMIT);
}

/// The memory of a fan-out by what the process has, not by its own account: a file of twice the limit to
/// one that reads all of it, and three that read nothing.
#[test]
fn a_file_to_one_reader_and_three_sinks_takes_no_more_than_the_limit() {
    let siege = Siege::new(&["--memory-limit", "32Mi", "--spool-limit", "256Mi"]);
    let seen = siege.under(|invite| async move {
        let (reader, mut reads) = Attacker::member(&invite, true).await;
        let mut sinks = Vec::new();
        for _ in 0..3 {
            sinks.push(Attacker::member(&invite, true).await);
        }
        let (sender, mut control) = Attacker::member(&invite, false).await;
        let mut to = vec![reader.identity.id()];
        to.extend(sinks.iter().map(|(sink, _)| sink.identity.id()));
        let accept = join_all(sinks.iter_mut().map(|(_, control)| control.accept()));
        tokio::join!(control.begin_with(&to, transfer(1)), reads.accept(), accept);
        let mut stream = sender.connection.open_uni().await.unwrap();
        stream.write_all(&file_header(1)).await.unwrap();
        stream.write_all(&head()).await.unwrap();
        let mut file = reader.connection.accept_uni().await.unwrap();
        let taken = write_and_read(&mut stream, &mut file, 64 * MIB).await;
        assert!(taken > 60 * MIB, "the reader got nearly all: {taken}");
        (reader, reads, sinks, sender, control)
    });
    seen.harmless(32 * MIB);
}

#[test]
fn one_sender_with_every_stream_open_pins_no_more_than_the_limit() {
    let siege = Siege::new(&[]);
    let seen = siege.under(|invite| async move {
        let pair = sender_and_sink(&invite, 1).await;
        let streams = fill(&pair.0, 200 << 20, &[file_header(1), head()].concat()).await;
        (pair, streams)
    });
    seen.harmless(LIMIT);
}

#[test]
fn sinks_that_acknowledge_nothing_pin_no_more_than_the_limit() {
    let siege = Siege::new(&[]);
    let seen = siege.under(|invite| async move {
        let pairs = (0..32).map(async |number| {
            let (sender, mut control) = Attacker::member(&invite, false).await;
            let frozen = FrozenSink::begin(&invite, &mut control, number).await;
            let header = file_header(number);
            let streams = fill(&sender, 16 << 20, &[header, head()].concat()).await;
            (sender, control, frozen, streams)
        });
        join_all(pairs).await
    });
    seen.harmless(LIMIT);
}

/// A sink that grants all it can, accepts a transfer, and then stands still: no acknowledgement, no
/// packet at all, until it is dropped.
struct FrozenSink {
    _thaw: std::sync::mpsc::Sender<()>,
}

impl FrozenSink {
    async fn begin(invite: &Invite, sender: &mut Control, number: u64) -> Self {
        let (joined, here) = tokio::sync::oneshot::channel();
        let (freeze, now) = tokio::sync::oneshot::channel::<()>();
        let (thaw, thawed) = std::sync::mpsc::channel::<()>();
        let invite = invite.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let _held = runtime.block_on(async {
                let mut transport = quinn::TransportConfig::default();
                transport.receive_window(quinn::VarInt::MAX);
                transport.stream_receive_window((64u32 << 20).into());
                let sink = Attacker::tuned(&invite, transport).await;
                let mut control = sink.enter(&invite.secret, true).await;
                joined.send(sink.identity.id()).unwrap();
                control.accept().await;
                let _ = now.await;
                (sink, control)
            });
            let _ = thawed.recv();
        });
        let to = here.await.unwrap();
        sender.begin_with(&[to], transfer(number)).await;
        freeze.send(()).unwrap();
        Self { _thaw: thaw }
    }
}

#[test]
fn offers_that_a_listener_does_not_read_pin_no_more_than_the_limit() {
    let siege = Siege::new(&[]);
    let seen = siege.under(|invite| async move {
        let deaf = join_all((0..20).map(async |_| Attacker::member(&invite, true).await)).await;
        let flooders = join_all((0..20).map(async |_| Attacker::member(&invite, false).await));
        let mut flooders = flooders.await;
        let floods = flooders
            .iter_mut()
            .enumerate()
            .map(async |(i, (_, control))| {
                let to = deaf[i].0.identity.id();
                let flood = async {
                    for number in 0..200 {
                        let number = (i as u64) << 32 | number;
                        let offer = tell(transfer(number), to, garbage_offer(33_000));
                        let said = control.try_say(&offer).await;
                        // At most 64 transfers may be under way.
                        let id = transfer(number);
                        let close = ClientToServer::Close { transfer: id };
                        if said.is_err() || control.try_say(&close).await.is_err() {
                            break;
                        }
                    }
                };
                let _ = timeout(Duration::from_secs(10), flood).await;
            });
        join_all(floods).await;
        (deaf, flooders)
    });
    seen.harmless(LIMIT);
}

/// The header of a transfer's first file.
fn file_header(number: u64) -> Vec<u8> {
    wire::file_header(transfer(number), 0)
}
