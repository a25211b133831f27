//! An open store: its reader and writer, exclusive maintenance, and closing.

use std::{fmt, mem, sync::Arc};

use mnem_store_traits::{
    Cause, Durability, ErrorKind, Outcome, StoreError,
    driver::{FileIdentity, Sharing},
};
use redb::Database;

use crate::{
    CommitDurability,
    engine::{
        file::OpenFile,
        reader::Reader,
        session::{Db, Session},
        snapshot::Invalidate,
        writer::Writer,
    },
    error::{BACKEND, BROKEN_PAGES, contain},
    place::Names,
};

/// An open store, shared by the store and its views. It owns a [`Writer`], which owns a [`Reader`], which owns an
/// [`OpenFile`].
pub(crate) struct Handle {
    pub(crate) writer: Writer,
    /// Device and inode of the file, if there is a file and the system reports them.
    pub(crate) identity: FileIdentity,
    /// Whether the name of the file survives a power cut.
    names: Names,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenFile { path, layout, .. } = self.file();
        f.debug_struct("Handle").field("path", path).field("layout", layout).finish_non_exhaustive()
    }
}

impl Handle {
    pub(crate) fn new(file: OpenFile) -> Self {
        Self { writer: Writer::new(Reader::new(file)), identity: None, names: Names::Durable }
    }

    /// Adds what is known of a file that has a name.
    pub(crate) fn named(mut self, names: Names, identity: FileIdentity) -> Self {
        self.names = names;
        self.identity = identity;
        self
    }

    pub(crate) fn share(self) -> Arc<Self> {
        Arc::new(self)
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.writer.reader
    }

    pub(crate) fn file(&self) -> &OpenFile {
        &self.writer.reader.file
    }

    pub(crate) fn file_mut(&mut self) -> &mut OpenFile {
        &mut self.writer.reader.file
    }

    /// The durability that the capabilities may claim.
    pub(crate) fn claim(&self) -> Durability {
        let claim = self.file().options.durability.claim();
        if self.names == Names::Durable { claim } else { claim.min(Durability::Process) }
    }

    /// Waits for a write in progress and closes the file. Closing again returns `Ok`.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        let _no_writes = self.writer.lock();
        let file = self.file();
        let Some(session) = file.session_mut().take() else { return Ok(()) };
        file.gate.close();
        // A concurrent read caches nothing from here on: the cache is invalidated, and no read begins without a
        // session.
        self.reader().invalidate(Invalidate::Generation);
        let at = file.at("close");
        if file.has_panicked() {
            let shut = session.seam.shut();
            mem::forget(session);
            let source = file.gate.poisoned().cloned().unwrap_or_else(|| Cause::new(BROKEN_PAGES));
            shut.map_err(|error| at.failed(Outcome::NotApplied, error))?;
            let operation = format!("close {}", file.path.display());
            return Err(StoreError::Backend { backend: BACKEND, operation, outcome: Outcome::NotApplied, source });
        }
        let seam = session.seam.clone();
        seam.begin_close(file.options.durability != CommitDurability::None);
        match contain(|| session.close()) {
            Ok(closed) => closed.map_err(|error| at.redb(error)),
            Err(panic) => {
                let _ = seam.shut();
                Err(at.panicked(panic))
            }
        }
    }

    /// Calls `f` with the database for exclusive maintenance. A failure poisons the handle, because redb's state is then
    /// unknown until the file is reopened. If redb refused to begin, the handle stays usable.
    pub(crate) fn maintain(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(&mut Database) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let file = self.file();
        file.gate.check_writable(operation)?;
        file.release(operation)?;
        self.reader().invalidate(Invalidate::Generation);
        // Compaction commits in one phase. In the shared modes, redb commits in two phases, and readers follow the
        // header as it is written, so the header must not wait.
        let header_last =
            file.options.durability == CommitDurability::TwoPhase && file.options.sharing == Sharing::ExclusiveWriter;
        let result = {
            let mut session = file.session_mut();
            let Some(Session { db, seam, .. }) = session.as_mut() else { return Err(file.gate.closed(operation)) };
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
            Ok(Err(error)) => (has_begun(&error), file.at(operation).redb(error)),
            Err(panic) => (true, self.reader().panicked(operation, panic)),
        };
        if begun {
            file.poison(&error);
            if error.kind() == ErrorKind::Damaged {
                self.file_mut().set_damaged(error.clone());
            }
        }
        Err(error)
    }
}

/// Whether failed maintenance had begun: redb first checks that no one else uses the file.
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
            tracing::warn!(path = %self.file().path.display(), %error, cause, "store was dropped and could not be closed cleanly");
        }
    }
}
