//! The blocks of the workloads. There are only a few, known by number, so that a workload uses the same ones
//! repeatedly.

use std::{collections::HashMap, fmt};

use mnem_store_traits::{Bytes, Cid, RAW, cid_of};

use crate::Chance;

/// The blocks that workloads draw from.
pub struct Pool {
    blocks: Vec<(Cid, Bytes)>,
    numbers: HashMap<Cid, usize>,
}

impl Pool {
    /// A pool of `count` blocks. Block `n` has `bytes_of(n)` bytes and a CID that `fits`. Every size below 8 means the
    /// empty block, which may occur once and must fit.
    pub fn new(count: usize, bytes_of: fn(usize) -> usize, fits: fn(&Cid) -> bool) -> Self {
        let block =
            |n| (0..).map(|salt| block_of(n, salt, bytes_of(n))).find(|(cid, data)| data.is_empty() || fits(cid));
        let blocks: Vec<_> = (0..count).map(|n| block(n).expect("some salt fits")).collect();
        let numbers: HashMap<_, _> = blocks.iter().enumerate().map(|(n, (cid, _))| (*cid, n)).collect();
        assert_eq!(numbers.len(), count, "two equal blocks");
        Self { blocks, numbers }
    }

    /// The number of blocks.
    pub fn count(&self) -> usize {
        self.blocks.len()
    }

    /// The `n`-th block.
    pub fn block(&self, n: usize) -> &(Cid, Bytes) {
        &self.blocks[n]
    }

    /// The number of a block.
    pub fn number(&self, cid: &Cid) -> Option<usize> {
        self.numbers.get(cid).copied()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({})", self.blocks.len())
    }
}

fn block_of(n: usize, salt: u64, bytes: usize) -> (Cid, Bytes) {
    let bytes = if bytes < 8 { 0 } else { bytes };
    let mut chance = Chance::new(salt, n as u64);
    let words = (0..bytes.div_ceil(8)).flat_map(|_| chance.number().to_le_bytes());
    let data: Bytes = words.take(bytes).collect();
    (cid_of(RAW, &data), data)
}
