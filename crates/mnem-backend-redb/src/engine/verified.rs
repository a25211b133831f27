//! Which blocks were verified before, for handles that verify each block once.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    engine::{keys::Key, snapshot::Generation},
    limits::VERIFIED_BLOCKS,
};

/// A bounded memory of blocks that were verified. It may forget one, which is then verified again.
///
/// Each block has one slot, which holds 64 bits of a hash of its key and the [`Generation`], keyed anew for each handle. A block that was not verified finds
/// its own bits there by chance once in 2^44 look-ups of a full memory, and nobody can choose keys that do. Every delete begins a new generation
/// and so forgets everything: a reader that still sees the deleted block remembers it under an old generation.
pub(crate) struct Verified {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("slots", &self.slots.len()).finish()
    }
}

impl Verified {
    pub(crate) fn new() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(VERIFIED_BLOCKS).collect();
        Self { slots, hasher: RandomState::new() }
    }

    /// Whether the block was verified in this generation.
    pub(crate) fn contains(&self, key: &Key, generation: Generation) -> bool {
        let (slot, bits) = self.place(key, generation);
        slot.is_some_and(|slot| slot.load(Ordering::Acquire) == bits)
    }

    pub(crate) fn insert(&self, key: &Key, generation: Generation) {
        let (slot, bits) = self.place(key, generation);
        if let Some(slot) = slot {
            slot.store(bits, Ordering::Release);
        }
    }

    /// The slot of a block, and the bits that say it is this block's: never zero, which an empty slot holds.
    fn place(&self, key: &Key, generation: Generation) -> (Option<&AtomicU64>, u64) {
        let hash = self.hasher.hash_one((&**key, generation));
        let slot = usize::try_from(hash % self.slots.len() as u64).ok().and_then(|n| self.slots.get(n));
        (slot, hash.max(1))
    }
}
