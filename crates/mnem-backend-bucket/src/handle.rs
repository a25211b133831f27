//! What all views of one handle share.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mnem_store_traits::{Cid, Durability, StoreError, backend::Gate};

use crate::{
    Freshness, OpenOptions,
    engine::{
        cache::Cache,
        format::Format,
        look::Seen,
        objects::Objects,
        queue::Queue,
        state::{Located, State},
    },
    error::BACKEND,
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
    pub(crate) checkpoint_entries: u64,
    /// How long a compaction keeps objects that are not used any more.
    pub(crate) grace: Duration,
    /// Locked for no longer than it takes to look at it or change it: never over a request or a caller's code.
    state: RwLock<State>,
    pub(crate) seen: Mutex<Option<Seen>>,
    pub(crate) cache: Cache,
    /// Held by the thread that looks for new entries. Readers that need a look wait for it and share it.
    pub(crate) looking: Mutex<()>,
    /// Held by the thread that writes a checkpoint. Nobody waits for it.
    pub(crate) checkpointing: Mutex<()>,
    /// Held by the thread that compacts.
    pub(crate) compacting: Mutex<()>,
    /// Held while an entry is written.
    pub(crate) writing: Mutex<()>,
    /// Callers that share the next entry.
    pub(crate) queue: Queue,
    /// For an exclusive handle: the slot after the log as it opened it, or after its own last entry.
    alone: Option<AtomicU64>,
}

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
            checkpoint_entries: options.checkpoint_entries,
            grace: options.grace,
            state: RwLock::default(),
            seen: Mutex::default(),
            cache: Cache::new(options.cache_bytes),
            looking: Mutex::default(),
            checkpointing: Mutex::default(),
            compacting: Mutex::default(),
            writing: Mutex::default(),
            queue: Queue::default(),
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
    pub(crate) fn place(&self, operation: &'static str, cid: &Cid) -> Result<Option<Located>, StoreError> {
        self.place_since(operation, cid, Instant::now())
    }

    /// The same, in a call that began at `since`: its blocks share a look.
    pub(crate) fn place_since(
        &self,
        operation: &'static str,
        cid: &Cid,
        since: Instant,
    ) -> Result<Option<Located>, StoreError> {
        self.gate.check_open(operation)?;
        if self.is_fresh()
            && let Some(place) = self.state().block(cid)
        {
            return Ok(Some(place));
        }
        self.look(since)?;
        Ok(self.state().block(cid))
    }

    /// Whether each of these blocks is present, by one state. If the lease answers for all of them, that takes no request,
    /// and else one look for all.
    pub(crate) fn are_present(&self, operation: &'static str, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.gate.check_open(operation)?;
        let begin = Instant::now();
        let by_state = || {
            let state = self.state();
            cids.iter().map(|cid| state.blocks.contains(cid)).collect::<Vec<_>>()
        };
        if self.is_fresh() {
            let present = by_state();
            if present.iter().all(|is_present| *is_present) {
                return Ok(present);
            }
        }
        self.look(begin)?;
        Ok(by_state())
    }
}
