//! Objects, and windows of long ones, that are kept in memory. They never change, so nothing needs to be invalidated.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use mnem_store_traits::Bytes;

use super::state::Name;
use crate::handle::hold;

/// A window of an object: its name, and the number of the window. A short object is one window.
pub(crate) type Window = (Name, u64);

/// Windows up to a total of bytes; the least recently used one goes first.
#[derive(Debug)]
pub(crate) struct Cache {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    windows: HashMap<Window, (Bytes, u64)>,
    /// The windows by their last use.
    uses: BTreeMap<u64, Window>,
    clock: u64,
    bytes: usize,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    pub(crate) fn get(&self, window: Window) -> Option<Bytes> {
        let mut kept = hold(&self.kept);
        let found = kept.remove(window)?;
        kept.insert(window, found.clone());
        Some(found)
    }

    pub(crate) fn contains(&self, window: Window) -> bool {
        hold(&self.kept).windows.contains_key(&window)
    }

    pub(crate) fn insert(&self, window: Window, bytes: Bytes) {
        if bytes.len() > self.bytes_max {
            return;
        }
        let mut kept = hold(&self.kept);
        kept.remove(window);
        kept.insert(window, bytes);
        while kept.bytes > self.bytes_max {
            let Some((_, oldest)) = kept.uses.first_key_value() else { break };
            let oldest = *oldest;
            kept.remove(oldest);
        }
    }

    pub(crate) fn remove(&self, window: Window) {
        hold(&self.kept).remove(window);
    }
}

impl Kept {
    fn remove(&mut self, window: Window) -> Option<Bytes> {
        let (bytes, used) = self.windows.remove(&window)?;
        self.uses.remove(&used);
        self.bytes -= bytes.len();
        Some(bytes)
    }

    fn insert(&mut self, window: Window, bytes: Bytes) {
        self.clock += 1;
        self.bytes += bytes.len();
        self.uses.insert(self.clock, window);
        self.windows.insert(window, (bytes, self.clock));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new(10);
        let window = |n| (Name::Entry(n), n);
        let bytes = |len| Bytes::from(vec![0; len]);
        cache.insert(window(1), bytes(4));
        cache.insert(window(2), bytes(4));
        assert!(cache.get(window(1)).is_some());
        cache.insert(window(3), bytes(4));
        assert_eq!([1, 2, 3].map(|n| cache.get(window(n)).is_some()), [true, false, true]);
        cache.insert(window(3), bytes(1));
        cache.insert(window(4), bytes(5));
        assert_eq!([1, 3, 4].map(|n| cache.get(window(n)).is_some()), [true, true, true]);
        cache.insert(window(5), bytes(11));
        assert!(cache.get(window(5)).is_none());
    }
}
