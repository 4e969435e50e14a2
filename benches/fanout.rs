//! The relay's data path without a network: what it costs to take a file in and hand it out.
//!
//! `cargo bench --bench fanout`. The inlet copies from memory, as one that reads a QUIC stream does;
//! the outlets drop what they get. Throughput counts the bytes that came in, once.

use std::{future::ready, sync::Arc};

use bytes::{Bytes, BytesMut};
use divan::{Bencher, counter::BytesCount};
use p2p::{
    protocol::{Code, FrameHeader, FrameKind, PeerId},
    relay::fanout::{Budget, FanoutConfig, Inlet, Outlet, relay_file},
};
use tokio::sync::Notify;

const LEN: usize = 256 * 1024 * 1024;

fn main() {
    divan::main();
}

/// A window of memory, over and over.
struct Memory {
    source: &'static [u8],
    left: usize,
    at_most: usize,
}

impl Inlet for Memory {
    async fn read(&mut self, buf: &mut BytesMut) -> Result<usize, Code> {
        if self.left == LEN {
            let head = FrameHeader {
                kind: FrameKind::Head,
                len: 0,
                index: 0,
            };
            let trailer = FrameHeader {
                kind: FrameKind::Trailer,
                ..head
            };
            buf.extend_from_slice(&head.encode());
            buf.extend_from_slice(&trailer.encode());
            self.left -= 16;
            return Ok(16);
        }
        let spare = buf.capacity() - buf.len();
        let read = spare.min(self.left).min(self.at_most);
        buf.extend_from_slice(&self.source[..read]);
        self.left -= read;
        Ok(read)
    }

    fn stop(self, _: Code) {}
}

enum Sink {
    /// Drops what it gets, and says when it has had everything.
    Drops(Arc<Notify>),
    /// Takes nothing before another has had everything.
    Waits(Arc<Notify>),
}

impl Outlet for Sink {
    async fn write(&mut self, piece: &mut Bytes) -> Result<(), Code> {
        if let Self::Waits(done) = self {
            done.notified().await;
            *self = Self::Drops(done.clone());
        }
        piece.clear();
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Code> {
        if let Self::Drops(done) = self {
            done.notify_one();
        }
        Ok(())
    }

    fn reset(self, _: Code) {}
}

fn fan_out(bencher: Bencher, at_most: usize, recipients: usize, behind: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let config = FanoutConfig::new(std::env::temp_dir());
    let budget = Budget::default();
    let source: &[u8] = vec![7; 256 * 1024].leak();
    bencher.counter(BytesCount::new(LEN)).bench_local(|| {
        let inlet = Memory {
            source,
            left: LEN,
            at_most,
        };
        let done = Arc::new(Notify::new());
        let outlet = |slot| {
            let id = u8::try_from(slot).expect("few recipients");
            let done = done.clone();
            let sink = if slot < behind {
                Sink::Waits(done)
            } else {
                Sink::Drops(done)
            };
            (PeerId::from_bytes([id; 32]), ready(Ok(sink)))
        };
        let recipients = (0..recipients).map(outlet).collect();
        runtime.block_on(relay_file(inlet, recipients, &config, &budget.share()))
    });
}

/// As large reads as blocks take.
#[divan::bench(args = [1, 8, 32])]
fn whole_blocks(bencher: Bencher, recipients: usize) {
    fan_out(bencher, usize::MAX, recipients, 0);
}

/// Reads of what arrives together in one batch of datagrams.
#[divan::bench(args = [1, 8, 32])]
fn reads_of_16_kib(bencher: Bencher, recipients: usize) {
    fan_out(bencher, 16 * 1024, recipients, 0);
}

/// The files of a tree.
#[divan::bench(args = [1, 8])]
fn a_thousand_files_of_4_kib(bencher: Bencher, recipients: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let config = FanoutConfig::new(std::env::temp_dir());
    let budget = Budget::default();
    let source: &[u8] = vec![7; 256 * 1024].leak();
    bencher.bench_local(|| {
        runtime.block_on(async {
            for _ in 0..1000 {
                let inlet = Small { source, step: 0 };
                let done = Arc::new(Notify::new());
                let outlet = |slot| {
                    let sink = Sink::Drops(done.clone());
                    (PeerId::from_bytes([slot; 32]), ready(Ok(sink)))
                };
                let recipients = (0..u8::try_from(recipients).expect("few")).map(outlet);
                relay_file(inlet, recipients.collect(), &config, &budget.share()).await;
            }
        });
    });
}

/// A file of one frame, in one read.
struct Small {
    source: &'static [u8],
    step: usize,
}

impl Inlet for Small {
    async fn read(&mut self, buf: &mut BytesMut) -> Result<usize, Code> {
        self.step += 1;
        if self.step > 1 {
            return Ok(0);
        }
        let head = FrameHeader {
            kind: FrameKind::Head,
            len: 4096,
            index: 0,
        };
        buf.extend_from_slice(&head.encode());
        buf.extend_from_slice(&self.source[..4096]);
        Ok(buf.len())
    }

    fn stop(self, _: Code) {}
}

/// One recipient takes nothing before the others are done: its share goes through the spool.
#[divan::bench(args = [2, 8])]
fn one_behind(bencher: Bencher, recipients: usize) {
    fan_out(bencher, usize::MAX, recipients, 1);
}
