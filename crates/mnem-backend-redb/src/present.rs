//! Which blocks were found, for those who ask again: clients put and require the same blocks in every commit.

use std::sync::{Mutex, OnceLock};

use crate::{limits::PRESENT_BLOCKS, snapshot::Era};

/// A bounded memory of blocks that are there. It may forget one, which is then looked up again.
///
/// Each block has one slot, which holds its whole key: there is no answer by chance. What was found in one [`Era`] says nothing about another, since
/// blocks go between them.
#[derive(Debug, Default)]
pub(crate) struct Present {
    slots: OnceLock<Box<[Mutex<Slot>]>>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: [u8; KEY_BYTES],
    era: Era,
}

/// Those of nearly every CID: version, codec, hash code and length in one byte each, and 32 bytes of digest. Others are not remembered.
const KEY_BYTES: usize = 36;

impl Present {
    /// Whether the block is known to be there in this era.
    pub(crate) fn contains(&self, key: &[u8], era: Era) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        // Whoever is in the way is done before a look-up would be, but need not be waited for.
        slot.try_lock().is_ok_and(|slot| slot.era == era && slot.key == key)
    }

    /// Remembers a block that a kept snapshot of this era holds.
    pub(crate) fn insert(&self, key: &[u8], era: Era) {
        let (Some(slot), Ok(key)) = (self.slot(key), key.try_into()) else { return };
        if let Ok(mut slot) = slot.try_lock() {
            *slot = Slot { key, era };
        }
    }

    /// By the first bytes of the digest. Who makes digests that share them makes the memory useless to himself, and no answer wrong.
    fn slot(&self, key: &[u8]) -> Option<&Mutex<Slot>> {
        let [_, _, _, _, first @ ..] = key.first_chunk::<12>()?;
        if key.len() != KEY_BYTES {
            return None;
        }
        let slots = self.slots.get_or_init(|| {
            // No key is all zeros: a CID begins with its version, or with the code of a hash.
            let empty = || Mutex::new(Slot { key: [0; KEY_BYTES], era: Era::default() });
            std::iter::repeat_with(empty).take(PRESENT_BLOCKS).collect()
        });
        let number = u64::from_le_bytes(*first) % slots.len() as u64;
        slots.get(usize::try_from(number).ok()?)
    }
}
