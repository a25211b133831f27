//! The database file: its tables, its identification, and opening a connection to it.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::{StoreError, driver::Probe};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{damaged, failed};

/// `PRAGMA application_id` of a store: "mnem".
pub(crate) const APPLICATION: u32 = 0x6d6e_656d;

/// `PRAGMA user_version` of the only format.
const FORMAT: i64 = 1;

/// Timeout of a writer for a writer of another handle or process.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Pause between two attempts to take a lock.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Keys are CIDs as bytes. `STRICT` makes SQLite enforce the column types.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS blocks (cid BLOB PRIMARY KEY NOT NULL, data BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS heads (cid BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS side (name TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name, key)) STRICT;
    PRAGMA application_id = 0x6d6e656d;
    PRAGMA user_version = 1;
";

/// Opens the writing connection. Returns it, and whether it created the store. Does not change a file that is not a
/// store.
pub(crate) fn open_writer(path: &Path, wait: Duration) -> Result<(Connection, bool), StoreError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE, wait)?;
    recognise(path, &connection)?;
    make_durable(path, &connection, wait)?;
    let made = make_tables(&mut connection).map_err(|error| failed(path, "make tables", error))?;
    Ok((connection, made))
}

/// Setting the version writes a page even if nothing changes, so this commit syncs the whole log. It may contain
/// unsynced writes of a killed process, which SQLite treats as committed when it recovers the log; they become durable
/// before anyone relies on them.
fn make_tables(connection: &mut Connection) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: u32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    transaction.execute_batch(TABLES)?;
    transaction.commit()?;
    Ok(application != APPLICATION)
}

/// Opens a reading connection. In WAL mode it sees the last commit, and neither waits for a writer nor blocks one.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, LOCK_WAIT)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| failed(path, "open a reader", error))?;
    Ok(connection)
}

/// As [`open_reader`], for a read-only handle, which may lack write permission. Fails if this is not a store.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, LOCK_WAIT)?;
    recognise(path, &connection)?;
    Ok(connection)
}

/// Checks the database with SQLite: its pages, its indexes, and the column types.
pub(crate) fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let said: String = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
        .map_err(|error| failed(path, "check", error))?;
    if said == "ok" { Ok(()) } else { Err(damaged(path.display().to_string(), Unsound(said))) }
}

/// The report of a database check.
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

/// Classifies a database whose last changes may be in its log.
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

/// Checks that this is a store, or an empty database that may become one. Only reads.
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

/// Enables a write-ahead log that is synced at every commit. SQLite reports the mode that it set, which may differ from
/// the requested one.
fn make_durable(path: &Path, connection: &Connection, wait: Duration) -> Result<(), StoreError> {
    let ask = || -> rusqlite::Result<(String, i64)> {
        let journal = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // For systems where a plain sync leaves bytes in the drive's cache (macOS). No effect elsewhere.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        Ok((journal, connection.query_row("PRAGMA synchronous", (), |row| row.get(0))?))
    };
    match until_free(wait, ask).map_err(|error| failed(path, "set durability", error))? {
        (journal, 2) if journal == "wal" => Ok(()),
        (journal, synchronous) => Err(StoreError::Unsupported {
            operation: format!("a synced write-ahead log at {}", path.display()),
            reason: format!("SQLite answers journal {journal}, synchronous {synchronous}"),
        }),
    }
}

/// Repeats `work` while another connection is in its way, for at most `wait`. SQLite's own timeout does not cover a
/// reader that becomes a writer, because two of them could wait for each other. Changing the journal mode does just
/// that, so when two handles create a store together, SQLite refuses one of them without waiting.
fn until_free<T>(wait: Duration, work: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let begin = Instant::now();
    loop {
        match work() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && begin.elapsed() < wait => {
                thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}
