//! An open file: its session, and whether it is still usable.

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
    /// Whether the file is still usable.
    pub(crate) gate: Gate,
    /// `None` once closed. The lock is held while a transaction begins, never while one runs.
    session: RwLock<Option<Session>>,
    /// Whether the content that the file had when it was opened is durable: see [`OpenFile::settle`].
    settled: AtomicBool,
    /// redb panicked: its objects must be leaked, not dropped.
    panicked: AtomicBool,
    /// Maintenance found the file damaged. Reads are refused too, because they might miss rows that exist.
    damaged: Option<StoreError>,
}

impl OpenFile {
    pub(crate) fn new(path: PathBuf, layout: Layout, options: OpenOptions, session: Session) -> Self {
        Self {
            path,
            layout,
            gate: Gate::new(BACKEND, options.read_only),
            options,
            // A file that was not closed has been synced by now.
            settled: AtomicBool::new(!session.was_closed),
            session: RwLock::new(Some(session)),
            panicked: AtomicBool::new(false),
            damaged: None,
        }
    }

    pub(crate) fn at(&self, operation: &'static str) -> At<'_> {
        At { path: &self.path, operation }
    }

    // No code under these locks leaves the session half changed, so a poisoned lock can be ignored.
    pub(crate) fn session(&self) -> RwLockReadGuard<'_, Option<Session>> {
        self.session.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn session_mut(&self) -> RwLockWriteGuard<'_, Option<Session>> {
        self.session.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether redb has panicked since the file was opened.
    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    /// Records that redb panicked.
    pub(crate) fn set_panicked(&self) {
        self.panicked.store(true, Ordering::Release);
    }

    /// Refuses writes from now on, because of `error`.
    pub(crate) fn poison(&self, error: &StoreError) {
        self.gate.poison(Cause::new(error.clone()));
    }

    /// Refuses writes if the medium failed, since redb then writes nothing more.
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

    /// Checks that redb may be asked to read.
    ///
    /// # Errors
    /// `Damaged`.
    pub(crate) fn check_readable(&self) -> Result<(), StoreError> {
        self.damaged.clone().map_or(Ok(()), Err)
    }

    /// Writes the changes staged during the open to the medium. Must not be called by two threads at once.
    ///
    /// # Errors
    /// Those of the medium; the handle is then poisoned.
    pub(crate) fn release(&self, operation: &'static str) -> Result<(), StoreError> {
        let (seam, was_closed) = {
            let session = self.session();
            let session = session.as_ref().ok_or_else(|| self.gate.closed(operation))?;
            (session.seam.clone(), session.was_closed)
        };
        self.poison_on_error(operation, seam.release(was_closed))
    }

    /// Makes the content that the file had when it was opened durable, before any of it is acknowledged. Another
    /// program may have written it, a copy for instance, and synced neither the file nor its name.
    ///
    /// # Errors
    /// Those of the medium; the handle is then poisoned.
    pub(crate) fn settle(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.settled.load(Ordering::Acquire) {
            return Ok(());
        }
        let seam = self.session().as_ref().ok_or_else(|| self.gate.closed(operation))?.seam.clone();
        self.poison_on_error(operation, seam.settle())?;
        self.set_settled();
        Ok(())
    }

    /// Records that the content that the file had when it was opened is durable.
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
