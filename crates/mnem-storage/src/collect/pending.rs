//! Blocks that wait to be followed.

use std::mem;

use mnem_store_traits::{Cause, Cid, Outcome, StoreError};

/// A window takes at least this fraction of the blocks that may wait.
const WINDOWS_MAX: usize = 2048;

/// The binary form of nearly every CID: version, codec, hash code and length in one byte each, and 32 bytes of digest.
type Short = [u8; 36];

/// The CIDs of blocks that wait to be followed, in 36 bytes each. A [`Cid`] takes 96.
///
/// They are taken a window at a time, in the order of their bytes within the window. A store that keeps blocks in this
/// order then reads each of its pages once instead of once per block. The larger a window, the more blocks share a
/// page. But all links of a window wait together. So a window is only as large as the limit on waiting blocks allows,
/// assuming that its blocks have as many links as those before. If there are many links, windows are small, and blocks
/// are followed depth first.
pub(super) struct Pending {
    /// Each layer comes from a window of the layer before it.
    layers: Vec<Layer>,
    /// The number of blocks left in the window. They are at the end of the last layer, in descending order.
    window: usize,
    /// The links found since the window was chosen: the next layer.
    came: Vec<Short>,
    /// CIDs of other lengths.
    others: Vec<Cid>,
    /// The number of blocks that may wait.
    waiting_max: usize,
}

/// The links from one window, which probably resemble each other.
struct Layer {
    waiting: Vec<Short>,
    /// The number of blocks in a window and the number of their links: for the last window of this layer, or for the
    /// window from which the layer comes.
    seen: (usize, usize),
}

impl Pending {
    /// `waiting_max`: the number of blocks that may wait. If single blocks have more links, more wait.
    pub(super) fn new(waiting_max: usize) -> Self {
        Self { layers: Vec::new(), window: 0, came: Vec::new(), others: Vec::new(), waiting_max }
    }

    pub(super) fn push(&mut self, cid: &Cid) {
        let mut bytes = [0; size_of::<Short>()];
        match cid.write_bytes(bytes.as_mut_slice()) {
            Ok(len) if len == bytes.len() => self.came.push(bytes),
            _ => self.others.push(*cid),
        }
    }

    pub(super) fn pop(&mut self) -> Result<Option<Cid>, StoreError> {
        if let Some(cid) = self.others.pop() {
            return Ok(Some(cid));
        }
        if self.window == 0 {
            self.choose_window();
        }
        let Some(bytes) = self.layers.last_mut().and_then(|layer| layer.waiting.pop()) else { return Ok(None) };
        self.window -= 1;
        decode(&bytes).map(Some)
    }

    /// The CIDs in the order in which they will be taken, as far as it is known.
    pub(super) fn next(&self) -> impl Iterator<Item = Cid> {
        let waiting = self.layers.iter().rev().flat_map(|layer| layer.waiting.iter().rev());
        self.others.iter().rev().copied().chain(waiting.map_while(|bytes| decode(bytes).ok()))
    }

    fn choose_window(&mut self) {
        self.begin_layer();
        let waiting: usize = self.layers.iter().map(|layer| layer.waiting.len()).sum();
        let Some(layer) = self.layers.last_mut() else { return };
        let (blocks, links) = layer.seen;
        let room = self.waiting_max.saturating_sub(waiting);
        let fitting = room.saturating_mul(blocks).checked_div(links).unwrap_or(waiting);
        self.window = fitting.max(self.waiting_max / WINDOWS_MAX).clamp(1, layer.waiting.len());
        layer.seen.0 = self.window;
        // Without reserving space, the list would be copied as it grows, and be in memory twice.
        let expected = self.window.saturating_mul(links).checked_div(blocks).unwrap_or(0).min(self.waiting_max);
        self.came.reserve(expected + expected / 8);
        let rest = layer.waiting.len() - self.window;
        if let Some(window) = layer.waiting.get_mut(rest..) {
            window.sort_unstable_by(|one, other| other.cmp(one));
        }
    }

    /// Ends the previous window. The links found in it become the last layer.
    fn begin_layer(&mut self) {
        let came = mem::take(&mut self.came);
        let seen = self.layers.last_mut().map_or((0, 0), |layer| {
            layer.seen.1 = came.len();
            layer.seen
        });
        while self.layers.pop_if(|layer| layer.waiting.is_empty()).is_some() {}
        if !came.is_empty() {
            self.layers.push(Layer { waiting: came, seen });
        }
    }
}

fn decode(bytes: &Short) -> Result<Cid, StoreError> {
    Cid::read_bytes(bytes.as_slice()).map_err(|error| StoreError::Backend {
        backend: "collected",
        operation: "read the list of blocks to follow".to_owned(),
        outcome: Outcome::NotApplied,
        source: Cause::new(error),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use mnem_store_traits::{DAG_CBOR, RAW, cid_of};

    use super::*;

    fn taken(pending: &mut Pending) -> Vec<Cid> {
        std::iter::from_fn(|| pending.pop().unwrap()).collect()
    }

    fn cids(numbers: std::ops::Range<u32>) -> Vec<Cid> {
        numbers.map(|n| cid_of(DAG_CBOR, &n.to_be_bytes())).collect()
    }

    fn sorted(mut cids: Vec<Cid>) -> Vec<Cid> {
        cids.sort_unstable_by_key(|cid| cid.to_bytes());
        cids
    }

    #[test]
    fn a_window_comes_in_the_order_of_its_bytes() {
        let v0: Cid = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".parse().unwrap();
        let long = Cid::new_v1(0x0300_0001, *cid_of(RAW, b"long").hash());
        let short = [cids(0..100), vec![cid_of(RAW, b"one")]].concat();
        let mut pending = Pending::new(1000);
        short.iter().chain(&[v0, long]).for_each(|cid| pending.push(cid));
        assert_eq!(pending.next().collect::<Vec<_>>(), [long, v0]);
        assert_eq!(taken(&mut pending), [vec![long, v0], sorted(short)].concat());
        assert!(pending.pop().unwrap().is_none());
    }

    #[test]
    fn what_comes_meanwhile_waits_for_the_next_window() {
        let mut pending = Pending::new(1000);
        cids(0..50).iter().for_each(|cid| pending.push(cid));
        let mut all = vec![pending.pop().unwrap().unwrap()];
        cids(50..90).iter().for_each(|cid| pending.push(cid));
        assert_eq!(pending.next().collect::<Vec<_>>(), sorted(cids(0..50))[1..]);
        all.extend(taken(&mut pending));
        assert_eq!(all, [sorted(cids(0..50)), sorted(cids(50..90))].concat());
    }

    #[test]
    fn each_is_taken_once_and_few_wait_where_blocks_have_many_links() {
        const LINKS: u32 = 20;
        let (mut pending, mut levels, mut number) = (Pending::new(2000), HashMap::new(), 0);
        let mut push = |pending: &mut Pending, levels: &mut HashMap<Cid, u32>, level| {
            number += 1;
            let cid = cid_of(DAG_CBOR, &u32::to_be_bytes(number));
            pending.push(&cid);
            levels.insert(cid, level);
        };
        push(&mut pending, &mut levels, 3);
        let (mut taken, mut waited) = (0, 0);
        while let Some(cid) = pending.pop().unwrap() {
            let level = levels.remove(&cid).expect("taken once");
            (0..LINKS).filter(|_| level > 0).for_each(|_| push(&mut pending, &mut levels, level - 1));
            (taken, waited) = (taken + 1, waited.max(levels.len()));
        }
        assert_eq!((taken, levels.len()), (1 + 20 + 400 + 8000, 0));
        assert!(waited <= 2000, "{waited} waited together");
    }
}
