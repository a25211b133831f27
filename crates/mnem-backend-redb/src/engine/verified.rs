//! Remembers which blocks were verified, for handles that verify each block once.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    engine::{keys::Key, snapshot::Generation},
    limits::VERIFIED_BLOCKS,
};

/// A bounded memory of verified blocks. It may forget a block, which is then verified again.
///
/// Each block has one slot, which holds 64 bits of a hash over its key and the [`Generation`], with a random key per
/// handle. A block that was not verified matches its slot by chance once in 2^44 lookups of a full memory, and no one
/// can choose keys that do. Every delete begins a new generation and so forgets everything. A reader that still sees
/// the deleted block remembers it under an old generation.
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

    /// The slot of a block, and the bits that identify the block there. They are never zero, which marks an empty slot.
    fn place(&self, key: &Key, generation: Generation) -> (Option<&AtomicU64>, u64) {
        let hash = self.hasher.hash_one((&**key, generation));
        let slot = usize::try_from(hash % self.slots.len() as u64).ok().and_then(|n| self.slots.get(n));
        (slot, hash.max(1))
    }
}
