//! Entries of the log that are kept in memory. They never change, so nothing needs to be invalidated.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use mnem_store_traits::Bytes;

use crate::handle::hold;

/// Entries by their numbers, up to a total of bytes; the least recently used one goes first.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<u64, (Bytes, u64)>,
    /// The numbers of the entries by their last use.
    uses: BTreeMap<u64, u64>,
    clock: u64,
    bytes: usize,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    pub(crate) fn get(&self, entry: u64) -> Option<Bytes> {
        let mut kept = hold(&self.kept);
        let found = kept.remove(entry)?;
        kept.insert(entry, found.clone());
        Some(found)
    }

    pub(crate) fn insert(&self, entry: u64, bytes: Bytes) {
        if bytes.len() > self.bytes_max {
            return;
        }
        let mut kept = hold(&self.kept);
        kept.remove(entry);
        kept.insert(entry, bytes);
        while kept.bytes > self.bytes_max {
            let Some((_, oldest)) = kept.uses.first_key_value() else { break };
            let oldest = *oldest;
            kept.remove(oldest);
        }
    }

    pub(crate) fn remove(&self, entry: u64) {
        hold(&self.kept).remove(entry);
    }
}

impl Kept {
    fn remove(&mut self, entry: u64) -> Option<Bytes> {
        let (bytes, used) = self.entries.remove(&entry)?;
        self.uses.remove(&used);
        self.bytes -= bytes.len();
        Some(bytes)
    }

    fn insert(&mut self, entry: u64, bytes: Bytes) {
        self.clock += 1;
        self.bytes += bytes.len();
        self.uses.insert(self.clock, entry);
        self.entries.insert(entry, (bytes, self.clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new(10);
        let bytes = |len| Bytes::from(vec![0; len]);
        cache.insert(1, bytes(4));
        cache.insert(2, bytes(4));
        assert!(cache.get(1).is_some());
        cache.insert(3, bytes(4));
        assert_eq!([1, 2, 3].map(|n| cache.get(n).is_some()), [true, false, true]);
        cache.insert(3, bytes(1));
        cache.insert(4, bytes(5));
        assert_eq!([1, 3, 4].map(|n| cache.get(n).is_some()), [true, true, true]);
        cache.insert(5, bytes(11));
        assert!(cache.get(5).is_none());
    }
}
