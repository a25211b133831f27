//! Workloads over any store. Each is a function of a `&dyn Store` that checks its own answer, so that a third party can time its backend
//! with the same code and a wrong backend cannot look fast.
//!
//! `cargo bench --package mnem-benches` runs them on the in-tree backends, with the physical limit (append and `fdatasync`) beside them.

use mnem_store_traits::{Blockstore, Bytes, Cid, RAW, Store, StoreError, WriteBatch, cid_of};

/// The code in the workspace's README is compiled by the tests; here, because this package is never published without the workspace.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Blocks that are different for every `seed` and the same for the same one.
#[derive(Clone, Debug)]
pub struct Blocks {
    seed: u64,
    next: u64,
    block_bytes: usize,
}

impl Blocks {
    /// An endless supply of blocks of `block_bytes` bytes each (at least 16, so that they differ).
    pub fn new(seed: u64, block_bytes: usize) -> Self {
        Self { seed, next: 0, block_bytes: block_bytes.max(16) }
    }
}

impl Iterator for Blocks {
    type Item = (Cid, Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.seed ^ self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut data = Vec::with_capacity(self.block_bytes + 8);
        data.extend_from_slice(&self.seed.to_le_bytes());
        data.extend_from_slice(&self.next.to_le_bytes());
        while data.len() < self.block_bytes {
            // xorshift64*: cheap, and not compressible, should a backend compress.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            data.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
        data.truncate(self.block_bytes);
        self.next += 1;
        Some((cid_of(RAW, &data), data.into()))
    }
}

/// One durable put of a new block; reads it back.
///
/// # Errors
/// The store's, and [`StoreError::MissingBlock`] when the block is not there afterwards.
pub fn put(store: &dyn Store, blocks: &mut Blocks) -> Result<(), StoreError> {
    let Some((cid, data)) = blocks.next() else { return Ok(()) };
    store.put(&cid, data.clone())?;
    expect(store, &cid, &data)
}

/// One commit of `count` new blocks and a head that replaces the current ones; checks the head and the last block.
///
/// # Errors
/// The store's, and [`StoreError::MissingBlock`] or [`StoreError::HeadsMoved`] when the answer is wrong.
pub fn commit(store: &dyn Store, blocks: &mut Blocks, count: usize) -> Result<(), StoreError> {
    let current = store.heads()?;
    let new: Vec<_> = blocks.take(count).collect();
    let Some((head, data)) = new.last().cloned() else { return Ok(()) };
    let mut batch = WriteBatch::new().update(head, current);
    batch.extend(new);
    store.commit(batch)?;
    let heads = store.heads()?;
    if heads != [head] {
        return Err(StoreError::HeadsMoved { actual: heads });
    }
    expect(store, &head, &data)
}

/// Reads every block of `known` and compares its length; returns the bytes read.
///
/// # Errors
/// The store's, and [`StoreError::MissingBlock`] for a block that is not there or has another length.
pub fn get_all(store: &dyn Store, known: &[(Cid, Bytes)]) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for (cid, data) in known {
        match store.get(cid)? {
            Some(found) if found.len() == data.len() => bytes += found.len() as u64,
            _ => return Err(missing(cid)),
        }
    }
    Ok(bytes)
}

/// Asks for every block of `known`, which the store holds, or does not hold when `present` is false.
///
/// # Errors
/// The store's, and [`StoreError::MissingBlock`] when an answer is not `present`.
pub fn has_all(store: &dyn Store, known: &[(Cid, Bytes)], present: bool) -> Result<(), StoreError> {
    known.iter().try_for_each(|(cid, _)| if store.has(cid)? == present { Ok(()) } else { Err(missing(cid)) })
}

/// Lists the store and returns how many CIDs there are.
///
/// # Errors
/// The store's.
pub fn enumerate(store: &dyn Store) -> Result<u64, StoreError> {
    store.cids()?.try_fold(0, |count, cid| cid.map(|_| count + 1))
}

fn expect(store: &(impl Blockstore + ?Sized), cid: &Cid, data: &Bytes) -> Result<(), StoreError> {
    if store.get(cid)?.as_ref() == Some(data) { Ok(()) } else { Err(missing(cid)) }
}

fn missing(cid: &Cid) -> StoreError {
    StoreError::MissingBlock { cid: *cid, linked_from: None }
}
