//! zstd (RFC 8878) for one chunk at a time.

use crate::crypto::{ZstdCompressor, ZstdDecompressor};

/// Whether chunks may be compressed before they are sealed.
///
/// How well a chunk compresses shows in its sealed length, so the relay learns that. Where one
/// chunk mixes a secret with what an attacker chose, that is an attack (CRIME): then use `Never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As it is.
    #[default]
    Never,
    /// Where it shrinks by a sixteenth or more.
    Auto,
}

/// Compresses the chunks of one file, and stops trying where that does not pay.
#[derive(Default)]
pub(super) struct Compressor {
    context: Option<ZstdCompressor>,
    scratch: Vec<u8>,
    /// Chunks still to leave alone.
    skip: u32,
    /// How many to leave alone after the next failure.
    patience: u32,
}

impl Compressor {
    /// The chunk compressed, if that is a sixteenth shorter and so worth its time.
    pub(super) fn compress(&mut self, content: &[u8]) -> Option<&[u8]> {
        if content.len() < WORTHWHILE {
            return None;
        }
        // A hole in a file shrinks to nothing, whatever stands before it.
        if self.skip > 0 && !is_blank(content) {
            self.skip -= 1;
            return None;
        }
        if self.context.is_none() {
            self.context = Some(ZstdCompressor::new()?);
        }
        let context = self.context.as_mut()?;
        // zstd gives up as soon as this is full.
        self.scratch.resize(content.len() - content.len() / 16, 0);
        match context.compress(content, self.scratch.as_mut_slice()) {
            Some(len) => {
                self.patience = 0;
                Some(&self.scratch[..len])
            }
            None => {
                self.patience = (self.patience * 2 + 1).min(PATIENCE_MAX);
                self.skip = self.patience;
                None
            }
        }
    }
}

/// Whether all bytes are zero, as in a hole of a file. Most other content shows at its first byte.
#[must_use]
pub fn is_blank(content: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut blocks = content.chunks(ZEROS.len());
    // Compared block by block, which the system's memcmp does fastest.
    content.first() == Some(&0) && blocks.all(|block| *block == ZEROS[..block.len()])
}

/// Decompresses the chunks of one file.
#[derive(Default)]
pub(super) struct Decompressor {
    context: Option<ZstdDecompressor>,
    scratch: Vec<u8>,
}

impl Decompressor {
    /// The chunk as it was, if that is no longer than `max`, whatever it claims to be.
    pub(super) fn decompress(&mut self, compressed: &[u8], max: usize) -> Option<&[u8]> {
        if self.context.is_none() {
            self.context = Some(ZstdDecompressor::new()?);
        }
        let context = self.context.as_mut()?;
        self.scratch.resize(max, 0);
        let out = self.scratch.as_mut_slice();
        let len = context.decompress(compressed, out)?;
        Some(&self.scratch[..len])
    }
}

/// Below this a chunk is one packet either way.
const WORTHWHILE: usize = 512;

/// Incompressible files try one chunk in 64: 16 MiB.
const PATIENCE_MAX: u32 = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    #[test]
    fn text_shrinks_and_reads_back() {
        let text = b"one line like the other\n".repeat(1000);
        let mut compressor = Compressor::default();
        let compressed = compressor.compress(&text).unwrap();
        assert!(compressed.len() < text.len() / 16);
        let mut decompressor = Decompressor::default();
        let out = decompressor.decompress(compressed, text.len());
        assert_eq!(out, Some(text.as_slice()));
        assert_eq!(decompressor.decompress(compressed, text.len() - 1), None);
    }

    #[test]
    fn what_does_not_shrink_is_left_alone_and_tried_ever_more_seldom() {
        let noise = noise(4096);
        let text = b"text ".repeat(1000);
        let mut compressor = Compressor::default();
        assert!(compressor.compress(&noise).is_none());
        assert!(compressor.compress(&text).is_none(), "one is skipped");
        assert!(compressor.compress(&text).is_some());
        for _ in 0..10_000 {
            assert!(compressor.compress(&noise).is_none());
        }
        assert_eq!(compressor.patience, PATIENCE_MAX);
        let tried = (0..64).filter(|_| compressor.compress(&text).is_some());
        assert!(tried.count() > 0);
    }

    #[test]
    fn a_bomb_is_refused_at_the_size_of_the_buffer() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
        assert!(bomb.len() < 8192);
        let mut decompressor = Decompressor::default();
        for bad in [&bomb[..], &bomb[..bomb.len() / 2], b"garbage"] {
            assert_eq!(decompressor.decompress(bad, 1 << 18), None);
            assert_eq!(decompressor.scratch.len(), 1 << 18);
        }
    }
}
