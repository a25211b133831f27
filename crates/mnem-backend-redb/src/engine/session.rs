//! The open database, and how it closes.

use redb::{Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TransactionError};

use crate::engine::medium::Seam;

/// An open database of redb.
pub(crate) enum Db {
    /// Open for writing, or for reading only and repaired in memory.
    Writable(Database),
    /// A clean file, open for reading only.
    ReadOnly(ReadOnlyDatabase),
}

/// The database and the seam below it.
pub(crate) struct Session {
    pub(crate) db: Db,
    pub(crate) seam: Seam,
    /// The file had been closed. Nothing is written before the first write, and without one the file stays as it was.
    pub(crate) was_closed: bool,
    /// A second database over the file, repaired in memory, for reading on after the medium failed and redb refused.
    pub(crate) recovered: Option<(Database, Seam)>,
}

impl Session {
    pub(crate) fn new(db: Db, seam: Seam) -> Self {
        Self { db, seam, was_closed: false, recovered: None }
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, TransactionError> {
        match (&self.recovered, &self.db) {
            (Some((db, _)), _) => db.begin_read(),
            (None, Db::Writable(db)) => db.begin_read(),
            (None, Db::ReadOnly(db)) => db.begin_read(),
        }
    }

    pub(crate) fn close(self) -> Result<(), DatabaseError> {
        drop(self.recovered);
        match self.db {
            Db::Writable(db) => db.close(),
            Db::ReadOnly(db) => db.close(),
        }
    }
}
