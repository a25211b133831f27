//! An open file: its session, and whether it may still be used.

use std::{
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

    /// Writes to the medium what was staged while opening.
    ///
    /// # Errors
    /// The medium's; the database must not be used then.
    pub(crate) fn release(&self, operation: &'static str) -> Result<(), StoreError> {
        let session = self.session();
        let session = session.as_ref().ok_or_else(|| self.gate.closed(operation))?;
        session.seam.release().map_err(|error| self.at(operation).failed(Outcome::Unknown, error))
    }

    /// The length of the file, in bytes.
    pub(crate) fn file_bytes(&self, operation: &'static str) -> Result<u64, StoreError> {
        let medium = self.session().as_ref().ok_or_else(|| self.gate.closed(operation))?.seam.medium();
        medium.len().map_err(|error| self.at(operation).failed(Outcome::NotApplied, error))
    }
}
