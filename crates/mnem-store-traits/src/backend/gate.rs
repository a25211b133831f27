//! The state of a handle: closed, read-only, poisoned.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use crate::{Cause, StoreError};

/// The state of a handle, with the errors that every backend returns for it: closed, read-only, poisoned.
///
/// ```
/// use mnem_store_traits::{Cause, ErrorKind, backend::Gate};
///
/// let gate = Gate::new("mine", false);
/// assert!(gate.check_writable("put").is_ok());
/// gate.poison(Cause::new("a sync failed"));
/// assert_eq!(gate.check_writable("put").map_err(|error| error.kind()), Err(ErrorKind::Poisoned));
/// assert!(gate.check_open("get").is_ok()); // reads go on
/// assert!(gate.close()); // this call closed it
/// assert_eq!(gate.check_open("get").map_err(|error| error.kind()), Err(ErrorKind::Closed));
/// ```
#[derive(Debug)]
pub struct Gate {
    backend: &'static str,
    read_only: bool,
    closed: AtomicBool,
    poison: OnceLock<Cause>,
}

impl Gate {
    /// The gate of a newly opened handle. `backend` is its name in errors.
    pub fn new(backend: &'static str, read_only: bool) -> Self {
        Self { backend, read_only, closed: AtomicBool::new(false), poison: OnceLock::new() }
    }

    /// Whether the handle never writes.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Call this at the start of every read.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub fn check_open(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(self.closed(operation)) } else { Ok(()) }
    }

    /// Call this at the start of every write. It includes [`check_open`](Self::check_open).
    ///
    /// # Errors
    /// In this order: [`StoreError::Closed`], [`StoreError::ReadOnly`], [`StoreError::Poisoned`].
    pub fn check_writable(&self, operation: &'static str) -> Result<(), StoreError> {
        self.check_open(operation)?;
        if self.read_only {
            return Err(StoreError::ReadOnly { backend: self.backend, operation });
        }
        self.check_poison()
    }

    /// Checks whether a write in progress may continue.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`].
    pub fn check_poison(&self) -> Result<(), StoreError> {
        match self.poison.get() {
            Some(source) => Err(StoreError::Poisoned { backend: self.backend, source: source.clone() }),
            None => Ok(()),
        }
    }

    /// Refuses writes from now on. The first cause is kept.
    pub fn poison(&self, cause: Cause) {
        let _ = self.poison.set(cause);
    }

    /// Why writes are refused, if they are.
    pub fn poisoned(&self) -> Option<&Cause> {
        self.poison.get()
    }

    /// Refuses every call from now on. Returns `false` if it was already closed. The backend waits for writes in
    /// progress first.
    pub fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// The error of a call on a closed handle.
    pub fn closed(&self, operation: &'static str) -> StoreError {
        StoreError::Closed { backend: self.backend, operation }
    }
}
