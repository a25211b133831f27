//! Remembers which blocks were found: clients put and require the same blocks in every commit.

use std::{
    array, iter,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use crate::{engine::snapshot::Generation, limits::PRESENT_BLOCKS};

/// A bounded memory of present blocks. It may forget a block, which is then looked up again.
///
/// Each block has one slot, which holds the whole key, so there are no false positives. A block found in one
/// [`Generation`] may be absent in the next, because deletes lie between them.
#[derive(Debug, Default)]
pub(crate) struct Present {
    memory: OnceLock<Memory>,
}

/// One tag per slot. The tags fit into the processor's cache, so a lookup of an absent block almost never reads a slot.
///
/// Slots are allocated in pages, on first use, so a store opened for a few blocks does not pay for all.
#[derive(Debug)]
struct Memory {
    tags: Box<[AtomicU8]>,
    pages: Box<[OnceLock<Page>]>,
}

type Page = Box<[Mutex<Slot>; SLOTS_OF_A_PAGE]>;

/// About 1 KiB.
const SLOTS_OF_A_PAGE: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: [u8; KEY_BYTES],
    generation: Generation,
}

/// The length of nearly every CID: version, codec, hash code and digest length in one byte each, and a digest of 32
/// bytes. Other CIDs are not remembered.
const KEY_BYTES: usize = 36;

impl Present {
    /// Whether the block is known to be present in this generation.
    pub(crate) fn contains(&self, key: &[u8], generation: Generation) -> bool {
        let (Some(memory), Ok(key)) = (self.memory.get(), key.try_into()) else { return false };
        let Some((tag, page, nth)) = memory.place(key) else { return false };
        // Treat a contended slot as a miss; the lookup is cheap.
        tag.load(Ordering::Relaxed) == tag_of(key)
            && page
                .get()
                .and_then(|page| page.get(nth)?.try_lock().ok())
                .is_some_and(|slot| slot.generation == generation && slot.key == *key)
    }

    /// Remembers a block that is in a cached snapshot of this generation.
    pub(crate) fn insert(&self, key: &[u8], generation: Generation) {
        let Ok(key) = key.try_into() else { return };
        let Some((tag, page, nth)) = self.memory.get_or_init(Memory::new).place(key) else { return };
        let slot = page.get_or_init(empty_page).get(nth).and_then(|slot| slot.try_lock().ok());
        if let Some(mut slot) = slot {
            *slot = Slot { key: *key, generation };
            tag.store(tag_of(key), Ordering::Relaxed);
        }
    }
}

impl Memory {
    fn new() -> Self {
        Self {
            tags: iter::repeat_with(AtomicU8::default).take(PRESENT_BLOCKS).collect(),
            pages: iter::repeat_with(OnceLock::new).take(PRESENT_BLOCKS.div_ceil(SLOTS_OF_A_PAGE)).collect(),
        }
    }

    /// The slot of a key, chosen by the first bytes of its digest. Digests that collide here make lookups slower, but
    /// never wrong.
    fn place(&self, key: &[u8; KEY_BYTES]) -> Option<(&AtomicU8, &OnceLock<Page>, usize)> {
        let [_, _, _, _, first @ ..] = key.first_chunk::<12>()?;
        let number = usize::try_from(u64::from_le_bytes(*first) % PRESENT_BLOCKS as u64).ok()?;
        Some((self.tags.get(number)?, self.pages.get(number / SLOTS_OF_A_PAGE)?, number % SLOTS_OF_A_PAGE))
    }
}

fn empty_page() -> Page {
    // No key is all zeros, because a CID begins with its version.
    Box::new(array::from_fn(|_| Mutex::new(Slot { key: [0; KEY_BYTES], generation: Generation::default() })))
}

fn tag_of(key: &[u8; KEY_BYTES]) -> u8 {
    let [.., last] = key;
    *last
}
