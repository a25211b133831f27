//! Remembers which blocks were found: clients put and require the same blocks in every commit.

use std::{
    array, fmt, iter,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

/// The number of blocks that are remembered.
const BLOCKS: usize = 1 << 16;

/// A bounded memory of the last 65,536 blocks that were found in a store, each with the *state* of the store in which
/// it was found. It takes up to 4 MiB, and may forget a block, which is then looked up again.
///
/// A state is a number that your backend chooses, so that a block found in a state is present whenever the store is in
/// that state: for instance a number that each delete increases, or the place of the block in a file that only grows.
/// Each block has one slot, which holds the whole key, so there are no false positives.
///
/// A key is the bytes of the CID. Keys of another length than 36 bytes, which nearly every CID has, are not remembered.
///
/// ```
/// use mnem_store_traits::{RAW, backend::Present, cid_of};
///
/// let (present, key) = (Present::default(), cid_of(RAW, b"block").to_bytes());
/// present.insert(&key, 1);
/// assert!(present.contains(&key, 1));
/// assert!(!present.contains(&key, 2));
/// ```
#[derive(Default)]
pub struct Present {
    memory: OnceLock<Memory>,
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Present").finish_non_exhaustive()
    }
}

/// The slots, in parts. A const fills each part at once, also where the code is not optimised.
#[derive(Debug)]
struct Memory(Box<[Part]>);

/// One tag per slot. The tags fit into the processor's cache, so a lookup of an absent block almost never reads a slot.
///
/// Slots are allocated in pages, on first use, so a store opened for a few blocks does not pay for all.
#[derive(Debug)]
struct Part {
    tags: [AtomicU8; SLOTS_OF_A_PART],
    pages: [OnceLock<Page>; SLOTS_OF_A_PART / SLOTS_OF_A_PAGE],
}

/// About 8 KiB.
const SLOTS_OF_A_PART: usize = 4096;

type Page = Box<[Mutex<Slot>; SLOTS_OF_A_PAGE]>;

/// About 1 KiB.
const SLOTS_OF_A_PAGE: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: [u8; KEY_BYTES],
    state: u64,
}

/// Version, codec, hash code and digest length in one byte each, and a digest of 32 bytes.
const KEY_BYTES: usize = 36;

impl Present {
    /// Whether the block is known to be present in this state.
    pub fn contains(&self, key: &[u8], state: u64) -> bool {
        let (Some(memory), Ok(key)) = (self.memory.get(), key.try_into()) else { return false };
        let Some((tag, page, nth)) = memory.place(key) else { return false };
        // Treat a contended slot as a miss; the lookup is cheap.
        tag.load(Ordering::Relaxed) == tag_of(key)
            && page
                .get()
                .and_then(|page| page.get(nth)?.try_lock().ok())
                .is_some_and(|slot| slot.state == state && slot.key == *key)
    }

    /// Remembers that the block is present in this state.
    pub fn insert(&self, key: &[u8], state: u64) {
        let Ok(key) = key.try_into() else { return };
        let Some((tag, page, nth)) = self.memory.get_or_init(Memory::new).place(key) else { return };
        let slot = page.get_or_init(empty_page).get(nth).and_then(|slot| slot.try_lock().ok());
        if let Some(mut slot) = slot {
            *slot = Slot { key: *key, state };
            tag.store(tag_of(key), Ordering::Relaxed);
        }
    }
}

impl Memory {
    fn new() -> Self {
        let part = || Part {
            tags: [const { AtomicU8::new(0) }; SLOTS_OF_A_PART],
            pages: [const { OnceLock::new() }; SLOTS_OF_A_PART / SLOTS_OF_A_PAGE],
        };
        Self(iter::repeat_with(part).take(BLOCKS / SLOTS_OF_A_PART).collect())
    }

    /// The slot of a key, chosen by the first bytes of its digest. Digests that collide here make lookups slower, but
    /// never wrong.
    fn place(&self, key: &[u8; KEY_BYTES]) -> Option<(&AtomicU8, &OnceLock<Page>, usize)> {
        let [_, _, _, _, first @ ..] = key.first_chunk::<12>()?;
        let number = usize::try_from(u64::from_le_bytes(*first) % BLOCKS as u64).ok()?;
        let (part, slot) = (self.0.get(number / SLOTS_OF_A_PART)?, number % SLOTS_OF_A_PART);
        Some((part.tags.get(slot)?, part.pages.get(slot / SLOTS_OF_A_PAGE)?, slot % SLOTS_OF_A_PAGE))
    }
}

fn empty_page() -> Page {
    // No key is all zeros, because a CID begins with its version.
    Box::new(array::from_fn(|_| Mutex::new(Slot { key: [0; KEY_BYTES], state: 0 })))
}

fn tag_of(key: &[u8; KEY_BYTES]) -> u8 {
    let [.., last] = key;
    *last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digest: u8, codec: u8) -> [u8; KEY_BYTES] {
        let mut key = [digest; KEY_BYTES];
        (key[0], key[1], key[2], key[3]) = (1, codec, 0x12, 32);
        key
    }

    #[test]
    fn a_block_is_present_only_as_it_was_found() {
        let present = Present::default();
        assert!(!present.contains(&key(7, 0x55), 3));
        present.insert(&key(7, 0x55), 3);
        assert!(present.contains(&key(7, 0x55), 3));
        // Another state; another key in the same slot, with the same tag.
        assert!(!present.contains(&key(7, 0x55), 4));
        assert!(!present.contains(&key(7, 0x71), 3));
        present.insert(&key(7, 0x71), 3);
        assert!(present.contains(&key(7, 0x71), 3) && !present.contains(&key(7, 0x55), 3));
    }

    #[test]
    fn keys_of_another_length_are_not_remembered() {
        let present = Present::default();
        for key in [&[][..], &[1, 0x55, 0, 0], &[1; KEY_BYTES - 1], &[1; KEY_BYTES + 1]] {
            present.insert(key, 1);
            assert!(!present.contains(key, 1), "{key:?}");
        }
    }
}
