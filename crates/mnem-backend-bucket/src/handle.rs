//! What all views of one handle share, and reading bytes from the log.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mnem_store_traits::{
    Bytes, Cid, Durability, StoreError,
    backend::{Gate, HashCheck, check_hash},
};

use crate::{
    Freshness, OpenOptions,
    engine::{
        cache::Cache,
        format::Format,
        look::Seen,
        objects::Objects,
        queue::Job,
        state::{Place, State},
    },
    error::{BACKEND, damaged},
    limits::WHOLE_BYTES,
    tables::slot,
};

/// One open handle.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) objects: Objects,
    pub(crate) format: Format,
    pub(crate) gate: Gate,
    pub(crate) freshness: Freshness,
    pub(crate) durability: Durability,
    /// How long a write is repeated whose outcome is not known.
    pub(crate) give_up: Duration,
    /// Locked for no longer than it takes to look at it or change it: never over a request or a caller's code.
    state: RwLock<State>,
    pub(crate) seen: Mutex<Option<Seen>>,
    pub(crate) cache: Cache,
    /// Held by the thread that looks for new entries. Readers that need a look wait for it and share it.
    pub(crate) looking: Mutex<()>,
    /// Held by the thread that writes.
    pub(crate) writing: Mutex<()>,
    /// Work that waits for it.
    pub(crate) queue: Mutex<Vec<Arc<Job>>>,
    /// For an exclusive handle: the slot after the log as it opened it, or after its own last entry.
    alone: Option<AtomicU64>,
}

/// Entries that one call has fetched, by their numbers.
pub(crate) type Fetched = HashMap<u64, Bytes>;

// No state behind these locks can be left half changed by a panic: it is changed after all that can fail.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub(crate) fn new(options: &OpenOptions, objects: Objects, format: Format) -> Self {
        Self {
            objects,
            format,
            gate: Gate::new(BACKEND, options.read_only),
            freshness: options.freshness,
            durability: options.durability,
            give_up: options.give_up,
            state: RwLock::default(),
            seen: Mutex::default(),
            cache: Cache::new(options.cache_bytes),
            looking: Mutex::default(),
            writing: Mutex::default(),
            queue: Mutex::default(),
            alone: options.exclusive.then(AtomicU64::default),
        }
    }

    /// Others may have written up to now.
    pub(crate) fn begin_alone(&self) {
        self.wrote_before(self.state().next);
    }

    /// This handle has written the entry before slot `next`.
    pub(crate) fn wrote_before(&self, next: u64) {
        if let Some(alone) = &self.alone {
            alone.store(next, Ordering::Relaxed);
        }
    }

    /// Fails if another handle has written since this one was opened, and this one must write alone. An entry in the
    /// next slot then proves that nobody else has.
    pub(crate) fn check_alone(&self) -> Result<(), StoreError> {
        match &self.alone {
            Some(alone) if alone.load(Ordering::Relaxed) != self.state().next => {
                Err(StoreError::Locked { location: self.objects.location().clone() })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state with all that had landed when this call began.
    pub(crate) fn current(&self, operation: &'static str) -> Result<RwLockReadGuard<'_, State>, StoreError> {
        self.gate.check_open(operation)?;
        self.look(Instant::now())?;
        Ok(self.state())
    }

    /// Where a block stands. That it is present may be as old as the lease; that it is absent is not.
    pub(crate) fn place(&self, operation: &'static str, cid: &Cid) -> Result<Option<Place>, StoreError> {
        self.gate.check_open(operation)?;
        if self.is_fresh()
            && let Some(place) = self.state().blocks.get(cid)
        {
            return Ok(Some(*place));
        }
        Ok(self.current(operation)?.blocks.get(cid).copied())
    }

    /// The bytes at a place, whose CID they must match. Read once more if they do not, past the cache. `None`: they do
    /// not match.
    pub(crate) fn bytes_at(&self, place: Place, cid: &Cid, fetched: &Fetched) -> Result<Option<Bytes>, StoreError> {
        let held = fetched.get(&place.entry).cloned().or_else(|| self.cache.get(place.entry));
        let is_sound = |bytes: &Bytes| matches_cid(cid, bytes);
        if let Some(bytes) = held.and_then(|entry| part_of(&entry, place)).filter(is_sound) {
            return Ok(Some(bytes));
        }
        for _ in 0..2 {
            self.cache.remove(place.entry);
            if let Some(bytes) = self.fetch(place)?.filter(is_sound) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    fn fetch(&self, place: Place) -> Result<Option<Bytes>, StoreError> {
        if place.bytes == 0 {
            return Ok(Some(Bytes::new()));
        }
        let name = slot(place.entry);
        let gone = || damaged(&self.objects, &name, "it is missing");
        if place.entry_bytes > WHOLE_BYTES {
            let bytes = self.objects.range(&name, place.offset..place.offset + place.bytes)?;
            return bytes.ok_or_else(gone).map(Some);
        }
        let start = self.objects.start(&name)?.ok_or_else(gone)?;
        let bytes = part_of(&start.bytes, place);
        self.cache.insert(place.entry, start.bytes);
        Ok(bytes)
    }
}

fn matches_cid(cid: &Cid, bytes: &[u8]) -> bool {
    !matches!(check_hash(cid, bytes), HashCheck::Mismatch(_))
}

fn part_of(entry: &Bytes, place: Place) -> Option<Bytes> {
    let start = usize::try_from(place.offset).ok()?;
    let end = start.checked_add(usize::try_from(place.bytes).ok()?)?;
    (end <= entry.len()).then(|| entry.slice(start..end))
}
