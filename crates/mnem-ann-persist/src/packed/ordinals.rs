//! Maps a node's id to its ordinal.

use std::hash::{BuildHasher as _, RandomState};

use crate::NodeId;

const EMPTY: u32 = u32::MAX;

/// A hash table over a sorted slice of ids: 8 to 16 bytes per node.
///
/// Its seed is random, so that no one can choose ids that all collide.
pub(crate) struct Ordinals<'a> {
    ids: &'a [NodeId],
    slots: Vec<u32>,
    seed: [u64; 2],
}

impl<'a> Ordinals<'a> {
    /// `ids` must be distinct, and fewer than `u32::MAX`.
    pub(crate) fn new(ids: &'a [NodeId]) -> Self {
        let state = RandomState::new();
        let seed = [state.hash_one(0u8) | 1, state.hash_one(1u8) | 1];
        let slots = vec![EMPTY; (ids.len() * 2 + 1).next_power_of_two()];
        let mut table = Self { ids, slots, seed };
        for (ordinal, id) in ids.iter().enumerate() {
            let mut at = table.start(id);
            while table.slots[at] != EMPTY {
                at = (at + 1) & (table.slots.len() - 1);
            }
            table.slots[at] = ordinal as u32;
        }
        table
    }

    fn start(&self, id: &NodeId) -> usize {
        let (high, low) = (u128::from_be_bytes(id.0) >> 64, u128::from_be_bytes(id.0));
        let [a, b] = [high as u64 ^ self.seed[0], low as u64 ^ self.seed[1]];
        let product = u128::from(a) * u128::from(b);
        let mixed = (product as u64 ^ (product >> 64) as u64 ^ a).wrapping_mul(self.seed[1]);
        (mixed >> 32) as usize & (self.slots.len() - 1)
    }

    pub(crate) fn of(&self, id: &NodeId) -> Option<u32> {
        let mut at = self.start(id);
        loop {
            let ordinal = self.slots[at];
            if ordinal == EMPTY {
                return None;
            }
            if self.ids[ordinal as usize] == *id {
                return Some(ordinal);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}
