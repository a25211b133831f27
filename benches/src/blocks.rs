//! Blocks generated from numbers.

use mnem_store_traits::{Bytes, Cid, RAW, cid_of};

/// A block: its CID and its bytes.
pub type Block = (Cid, Bytes);

/// A reproducible stream of blocks, different for each `seed`.
#[derive(Clone, Debug)]
pub struct Blocks {
    seed: u64,
    next: u64,
    block_bytes: usize,
}

impl Blocks {
    /// An endless stream of blocks of `block_bytes` bytes each (at least 16, so that they differ).
    pub fn new(seed: u64, block_bytes: usize) -> Self {
        Self { seed, next: 0, block_bytes: block_bytes.max(16) }
    }

    /// The block at a position, without generating those before it.
    pub fn at(&self, position: u64) -> Block {
        let data = fill(self.seed, position, self.block_bytes);
        (cid_of(RAW, &data), data)
    }
}

impl Iterator for Blocks {
    type Item = Block;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.at(self.next);
        self.next += 1;
        Some(block)
    }
}

/// `bytes` bytes determined by both numbers; from 16 bytes on, different numbers give different bytes.
pub(crate) fn fill(seed: u64, position: u64, bytes: usize) -> Bytes {
    let mut state = (seed ^ position.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1);
    let mut data = Vec::with_capacity(bytes + 24);
    data.extend_from_slice(&position.to_le_bytes());
    data.extend_from_slice(&seed.to_le_bytes());
    while data.len() < bytes {
        // xorshift64*: fast, and incompressible, in case a backend compresses.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        data.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    data.truncate(bytes);
    data.into()
}
