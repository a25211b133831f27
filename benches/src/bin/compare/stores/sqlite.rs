//! SQLite: write-ahead log, synced at every commit; one writing connection, and one reading connection per reader.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use mnem_store_traits::{Bytes, StoreError};
use rusqlite::{Connection, OptionalExtension, Params, Result, Row};

use super::kv::{Kv, failed};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS blocks (cid BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;";

#[derive(Debug)]
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Mutex<Connection>,
    idle: Mutex<Vec<Connection>>,
}

impl Sqlite {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let writer = Connection::open(path)?;
            writer.execute_batch(SCHEMA)?;
            Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), idle: Mutex::default() })
        };
        open().map_err(failed::<rusqlite::Error>(Self::NAME, "open"))
    }

    /// Rewrites the file without its free pages.
    pub(crate) fn compact(path: &Path) -> Result<()> {
        let connection = Connection::open(path)?;
        connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let connection = idle.map_or_else(|| Connection::open(&self.path), Ok).map_err(failed(Self::NAME, "open"))?;
        let answer = read(&connection).map_err(failed(Self::NAME, "read"));
        self.idle.lock().unwrap_or_else(|e| e.into_inner()).push(connection);
        answer
    }

    fn write_with(&self, write: impl FnOnce(&Connection) -> Result<()>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(|e| e.into_inner());
        let write = || {
            let transaction = writer.transaction()?;
            write(&transaction)?;
            transaction.commit()
        };
        write().map_err(failed(Self::NAME, "write"))
    }
}

fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    map: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    connection.prepare_cached(sql)?.query_row(params, map).optional()
}

impl Kv for Sqlite {
    const NAME: &'static str = "SQLite";

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read(|connection| {
            first(connection, "SELECT data FROM blocks WHERE cid = ?1", [key], |row| {
                Ok(Bytes::copy_from_slice(row.get_ref(0)?.as_blob()?))
            })
        })
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        self.read(|connection| {
            Ok(first(connection, "SELECT 1 FROM blocks WHERE cid = ?1", [key], |_| Ok(()))?.is_some())
        })
    }

    fn write(&self, puts: &[(Vec<u8>, Bytes)], heads: Option<&[u8]>) -> Result<(), StoreError> {
        self.write_with(|connection| {
            let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO blocks VALUES (?1, ?2)")?;
            for (key, value) in puts {
                insert.execute((key, value.as_ref()))?;
            }
            if let Some(heads) = heads {
                connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES ('heads', ?1)")?.execute([heads])?;
            }
            Ok(())
        })
    }

    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        self.write_with(|connection| {
            connection.prepare_cached("DELETE FROM blocks WHERE cid = ?1")?.execute([key]).map(drop)
        })
    }

    fn heads(&self) -> Result<Vec<u8>, StoreError> {
        let heads = self
            .read(|connection| first(connection, "SELECT value FROM meta WHERE name = 'heads'", [], |row| row.get(0)));
        Ok(heads?.unwrap_or_default())
    }

    fn keys(&self, after: Option<&[u8]>, count: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT cid FROM blocks WHERE cid > ?1 ORDER BY cid LIMIT ?2";
            let mut select = connection.prepare_cached(sql)?;
            let rows = select.query_map((after.unwrap_or_default(), count as i64), |row| row.get(0))?;
            rows.collect()
        })
    }
}
