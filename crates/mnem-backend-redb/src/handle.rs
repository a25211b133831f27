//! An open file: its state, exclusive maintenance, and how it closes. Transactions are in `reading` and `writing`.

use std::{
    fmt, mem,
    path::PathBuf,
    sync::{
        Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use mnem_store_traits::{Cause, Durability, ErrorKind, Outcome, StoreError, backend::Gate};
use redb::Database;

use crate::{
    BACKEND, CommitDurability, Layout, OpenOptions, Verify,
    engine::{
        change::Change,
        group::Group,
        present::Present,
        session::{Db, Session},
        snapshot::{Ends, Kept},
        verified::Verified,
    },
    error::{At, BROKEN_PAGES, Panic, contain},
    place::Names,
};
use mnem_store_traits::driver::Sharing;

/// An open store, shared by the store and its views.
pub(crate) struct Handle {
    pub(crate) path: PathBuf,
    /// Device and number of the file, where there is one and the system tells them.
    pub(crate) identity: Option<(u64, u64)>,
    pub(crate) layout: Layout,
    pub(crate) options: OpenOptions,
    /// Whether the file is found after a power cut.
    names: Names,
    /// `None` once closed. Held while a transaction begins, never while one runs.
    session: RwLock<Option<Session>>,
    /// What the next read sees, unless somebody commits before.
    pub(crate) kept: Kept,
    /// Blocks that need not be looked up again to know that they are there.
    pub(crate) present: Present,
    /// Blocks that need not be hashed again; `None`: every block is hashed at every read.
    pub(crate) verified: Option<Verified>,
    /// Callers that share a commit.
    pub(crate) group: Group<Change, Result<(), StoreError>>,
    /// Held by the one write in progress.
    pub(crate) writer: Mutex<()>,
    /// Whether it may still be used.
    pub(crate) gate: Gate,
    /// redb panicked: its objects must not be dropped.
    panicked: AtomicBool,
    /// Maintenance found the file damaged, so reads are refused too: they might not find what is there.
    damaged: Option<StoreError>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("path", &self.path).field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(path: PathBuf, layout: Layout, options: OpenOptions, session: Session) -> Self {
        let verified = (options.verify == Verify::OncePerHandle).then(Verified::new);
        Self {
            path,
            identity: None,
            layout,
            names: Names::Durable,
            session: RwLock::new(Some(session)),
            kept: Kept::default(),
            present: Present::default(),
            verified,
            group: Group::default(),
            writer: Mutex::new(()),
            gate: Gate::new(BACKEND, options.read_only),
            options,
            panicked: AtomicBool::new(false),
            damaged: None,
        }
    }

    pub(crate) fn named(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    pub(crate) fn share(self) -> Arc<Self> {
        Arc::new(self)
    }

    pub(crate) fn at(&self, operation: &'static str) -> At<'_> {
        At { path: &self.path, operation }
    }

    /// What the capabilities may claim.
    pub(crate) fn claim(&self) -> Durability {
        let claim = self.options.durability.claim();
        if self.names == Names::Durable { claim } else { claim.min(Durability::Process) }
    }

    // Nothing that runs under these locks leaves the session half changed, so a poisoned lock is read through.
    pub(crate) fn session(&self) -> RwLockReadGuard<'_, Option<Session>> {
        self.session.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn session_mut(&self) -> RwLockWriteGuard<'_, Option<Session>> {
        self.session.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Remembers that redb panicked, and says so.
    pub(crate) fn panicked(&self, operation: &'static str, panic: Panic) -> StoreError {
        self.panicked.store(true, Ordering::Release);
        self.kept.leak();
        let error = self.at(operation).panicked(panic);
        self.poison(&error);
        error
    }

    /// Gives up the snapshot that is kept for reads. After a panic of redb it must not be dropped.
    pub(crate) fn forget_kept(&self, ends: Ends) {
        if self.panicked.load(Ordering::Acquire) {
            self.kept.leak();
        } else if contain(|| self.kept.forget(ends)).is_err() {
            self.panicked.store(true, Ordering::Release);
        }
    }

    /// Refuses writes from now on, because of `error`.
    pub(crate) fn poison(&self, error: &StoreError) {
        self.gate.poison(Cause::new(error.clone()));
    }

    /// Whether redb may be asked to read.
    ///
    /// # Errors
    /// `Damaged`.
    pub(crate) fn check_readable(&self) -> Result<(), StoreError> {
        self.damaged.clone().map_or(Ok(()), Err)
    }

    /// Lets what was staged while opening reach the medium.
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

    /// Waits for a write in progress and closes the file. Closing again is `Ok`.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let _writer = self.writer.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(session) = self.session_mut().take() else { return Ok(()) };
        self.gate.close();
        // A read that is beginning now keeps nothing: the epoch ends here, and without a session no other begins.
        self.forget_kept(Ends::Era);
        let at = self.at("close");
        if self.panicked.load(Ordering::Acquire) {
            let shut = session.seam.shut();
            mem::forget(session);
            let source = self.gate.poisoned().cloned().unwrap_or_else(|| Cause::new(BROKEN_PAGES));
            shut.map_err(|error| at.failed(Outcome::NotApplied, error))?;
            let operation = format!("close {}", self.path.display());
            return Err(StoreError::Backend { backend: BACKEND, operation, outcome: Outcome::NotApplied, source });
        }
        let seam = session.seam.clone();
        match contain(|| session.close()) {
            Ok(closed) => closed.map_err(|error| at.redb(error)),
            Err(panic) => {
                let _ = seam.shut();
                Err(at.panicked(panic))
            }
        }
    }

    /// Calls `f` with the database for exclusive maintenance. A failure poisons the handle, unless redb refused to begin: what state redb is in, only
    /// opening the file again tells.
    pub(crate) fn maintain(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(&mut Database) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        self.gate.check_writable(operation)?;
        self.forget_kept(Ends::Era);
        // Compaction commits in one phase. The shared modes make two of every one, and readers there follow the header as it is written.
        let header_last =
            self.options.durability == CommitDurability::TwoPhase && self.options.sharing == Sharing::ExclusiveWriter;
        let result = {
            let session = self.session.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            let Some(Session { db, seam, .. }) = session.as_mut() else { return Err(self.gate.closed(operation)) };
            let Db::Writable(db) = db else { return Err(StoreError::ReadOnly { backend: BACKEND, operation }) };
            contain(|| {
                seam.header_last(header_last)?;
                let done = f(db);
                seam.header_last(false)?;
                done
            })
        };
        let (begun, error) = match result {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => (has_begun(&error), self.at(operation).redb(error)),
            Err(panic) => (true, self.panicked(operation, panic)),
        };
        if begun {
            self.poison(&error);
            self.damaged = (error.kind() == ErrorKind::Damaged).then(|| error.clone());
        }
        Err(error)
    }
}

/// Whether maintenance that failed had begun: redb first looks whether somebody else uses the file.
fn has_begun(error: &redb::Error) -> bool {
    !matches!(
        error,
        redb::Error::TransactionInProgress
            | redb::Error::PersistentSavepointExists
            | redb::Error::EphemeralSavepointExists
    )
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(path = %self.path.display(), %error, cause, "store was dropped and could not be closed cleanly");
        }
    }
}
