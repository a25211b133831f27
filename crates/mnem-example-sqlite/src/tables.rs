//! The database file: its tables, its marks, and opening a connection to it.

use std::{path::Path, time::Duration};

use mnem_store_traits::{StoreError, driver::Probe};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{damaged, failed};

/// `PRAGMA application_id` of a store: "mnem".
pub(crate) const APPLICATION: u32 = 0x6d6e_656d;

/// `PRAGMA user_version` of the only format there is.
const FORMAT: i64 = 1;

/// How long a writer waits for a writer of another handle or process.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Keys are CIDs as bytes. `STRICT`: a column holds nothing but its type.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS blocks (cid BLOB PRIMARY KEY NOT NULL, data BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS heads (cid BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS side (name TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name, key)) STRICT;
    PRAGMA application_id = 0x6d6e656d;
    PRAGMA user_version = 1;
";

/// The connection that writes, and whether it made the store. Leaves what is not a store as it is.
pub(crate) fn open_writer(path: &Path, wait: Duration) -> Result<(Connection, bool), StoreError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, wait)?;
    recognise(path, &connection)?;
    make_durable(path, &connection)?;
    let made = make_tables(&mut connection).map_err(|error| failed(path, "make tables", error))?;
    Ok((connection, made))
}

/// Setting the version writes a page also when nothing changes, so this commit syncs the whole log: what a killed process had written and
/// not synced, and SQLite takes for committed when it recovers the log, is durable before anybody relies on it.
fn make_tables(connection: &mut Connection) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: u32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    transaction.execute_batch(TABLES)?;
    transaction.commit()?;
    Ok(application != APPLICATION)
}

/// A connection that reads: in a log-mode database it sees the last commit, and neither waits for a writer nor makes it wait.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, LOCK_WAIT)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| failed(path, "open a reader", error))?;
    Ok(connection)
}

/// As [`open_reader`], for a handle that never writes, and may not be allowed to. It fails where this is no store.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, LOCK_WAIT)?;
    recognise(path, &connection)?;
    Ok(connection)
}

/// Whether SQLite finds the database sound: its pages, its indexes, and that columns hold what they may.
pub(crate) fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let said: String = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
        .map_err(|error| failed(path, "check", error))?;
    if said == "ok" { Ok(()) } else { Err(damaged(path.display().to_string(), Unsound(said))) }
}

/// What the check of a database said.
#[derive(Debug)]
struct Unsound(String);

impl std::fmt::Display for Unsound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsound {}

fn connect(path: &Path, access: OpenFlags, wait: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | access;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(wait)?;
        Ok(connection)
    };
    open().map_err(|error| failed(path, "open a connection", error))
}

/// What a database is whose last changes may be in its log.
pub(crate) fn look(path: &Path) -> Result<Probe, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, LOCK_WAIT)?;
    let ids = "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id";
    let ids = connection.query_row(ids, (), |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(match ids.map_err(|error| failed(path, "read the header", error))? {
        (APPLICATION, _) => Probe::Store,
        (0, 0i64) => Probe::Unfinished,
        _ => Probe::Foreign("it is a database of another application".into()),
    })
}

/// Whether this is a store, or an empty database that may become one. Reads only.
fn recognise(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let not_a_store = |reason: &str| StoreError::NotAStore { location: path.into(), reason: reason.to_owned() };
    let look = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
                FROM pragma_application_id, pragma_user_version";
    let row = connection.query_row(look, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    match row {
        Ok((APPLICATION, FORMAT, _)) | Ok((0, 0, 0i64)) => Ok(()),
        Ok((APPLICATION, found, _)) => {
            Err(StoreError::UnsupportedFormat { found: found.to_string(), supported: FORMAT.to_string() })
        }
        Ok(_) => Err(not_a_store("a database of another application")),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(not_a_store("a file that is not an SQLite database"))
        }
        Err(error) => Err(failed(path, "read the header", error)),
    }
}

/// A write-ahead log, synced at every commit. SQLite answers what it did, which need not be what it was asked.
fn make_durable(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let ask = || -> rusqlite::Result<(String, i64)> {
        let journal = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Where a plain sync leaves bytes in the drive's cache (macOS); means nothing elsewhere.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        Ok((journal, connection.query_row("PRAGMA synchronous", (), |row| row.get(0))?))
    };
    match ask().map_err(|error| failed(path, "set durability", error))? {
        (journal, 2) if journal == "wal" => Ok(()),
        (journal, synchronous) => Err(StoreError::Unsupported {
            operation: format!("a synced write-ahead log at {}", path.display()),
            reason: format!("SQLite answers journal {journal}, synchronous {synchronous}"),
        }),
    }
}
