//! An open file: its session, and whether it may still be used.

use std::{
    io,
    path::PathBuf,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use mnem_store_traits::{Cause, Outcome, StoreError, backend::Gate};

use crate::{
    Layout, OpenOptions,
    engine::session::Session,
    error::{At, BACKEND, is_latched},
};

/// The file under a [`Reader`](crate::engine::reader::Reader) and a [`Writer`](crate::engine::writer::Writer).
pub(crate) struct OpenFile {
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) options: OpenOptions,
    /// Whether it may still be used.
    pub(crate) gate: Gate,
    /// `None` once closed. Held while a transaction begins, never while one runs.
    session: RwLock<Option<Session>>,
    /// What the file held when it was opened is durable: see [`OpenFile::settle`].
    settled: AtomicBool,
    /// redb panicked: its objects must not be dropped.
    panicked: AtomicBool,
    /// Maintenance found the file damaged, so reads are refused too: they might miss rows that exist.
    damaged: Option<StoreError>,
}

impl OpenFile {
    pub(crate) fn new(path: PathBuf, layout: Layout, options: OpenOptions, session: Session) -> Self {
        Self {
            path,
            layout,
            gate: Gate::new(BACKEND, options.read_only),
            options,
            // A file that was left open has been synced by now.
            settled: AtomicBool::new(!session.was_closed),
            session: RwLock::new(Some(session)),
            panicked: AtomicBool::new(false),
            damaged: None,
        }
    }

    pub(crate) fn at(&self, operation: &'static str) -> At<'_> {
        At { path: &self.path, operation }
    }

    // Nothing that runs under these locks leaves the session half changed, so a poisoned lock is read through.
    pub(crate) fn session(&self) -> RwLockReadGuard<'_, Option<Session>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn session_mut(&self) -> RwLockWriteGuard<'_, Option<Session>> {
        self.session.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether redb panicked since the file was opened.
    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    /// Remembers that redb panicked.
    pub(crate) fn set_panicked(&self) {
        self.panicked.store(true, Ordering::Release);
    }

    /// Refuses writes from now on, because of `error`.
    pub(crate) fn poison(&self, error: &StoreError) {
        self.gate.poison(Cause::new(error.clone()));
    }

    /// Refuses writes if the medium failed: redb writes nothing more then.
    pub(crate) fn poison_if_failed(&self, error: &StoreError) {
        let failed = self.session().as_ref().is_some_and(|session| session.seam.failed());
        if failed || is_latched(error) {
            self.poison(error);
        }
    }

    /// Refuses reads from now on, because of this damage.
    pub(crate) fn set_damaged(&mut self, error: StoreError) {
        self.damaged = Some(error);
    }

    /// Whether redb may be asked to read.
    ///
    /// # Errors
    /// `Damaged`.
    pub(crate) fn check_readable(&self) -> Result<(), StoreError> {
        self.damaged.clone().map_or(Ok(()), Err)
    }

    /// Writes to the medium what was staged while opening. Not for two threads at once.
    ///
    /// # Errors
    /// The medium's; the handle is poisoned then.
    pub(crate) fn release(&self, operation: &'static str) -> Result<(), StoreError> {
        let (seam, was_closed) = {
            let session = self.session();
            let session = session.as_ref().ok_or_else(|| self.gate.closed(operation))?;
            (session.seam.clone(), session.was_closed)
        };
        self.poison_on_error(operation, seam.release(was_closed))
    }

    /// Makes durable what the file held when it was opened, before anything of it is acknowledged: another program may
    /// have put it there, a copy for instance, and synced neither the file nor its name.
    ///
    /// # Errors
    /// The medium's; the handle is poisoned then.
    pub(crate) fn settle(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.settled.load(Ordering::Acquire) {
            return Ok(());
        }
        let seam = self.session().as_ref().ok_or_else(|| self.gate.closed(operation))?.seam.clone();
        self.poison_on_error(operation, seam.settle())?;
        self.set_settled();
        Ok(())
    }

    /// What the file held when it was opened is durable.
    pub(crate) fn set_settled(&self) {
        self.settled.store(true, Ordering::Release);
    }

    fn poison_on_error(&self, operation: &'static str, done: io::Result<()>) -> Result<(), StoreError> {
        let done = done.map_err(|error| self.at(operation).failed(Outcome::NotApplied, error));
        done.inspect_err(|error| self.poison(error))
    }

    /// The length of the file, in bytes.
    pub(crate) fn file_bytes(&self, operation: &'static str) -> Result<u64, StoreError> {
        let medium = self.session().as_ref().ok_or_else(|| self.gate.closed(operation))?.seam.medium();
        medium.len().map_err(|error| self.at(operation).failed(Outcome::NotApplied, error))
    }
}
