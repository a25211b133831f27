//! The driver: recognises stores of this backend, and opens them with the options that all backends share.

use std::{fs, io::Read as _, path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{
    Store, StoreError,
    driver::{
        Driver, Entry, FileIdentity, Location, ManagedStore, OpenOptions, Probe, Reclaimed, StoreInfo, TableInfo,
        allocated_bytes, identity,
    },
};
use rusqlite::{Connection, Row};

use crate::{
    SqliteStore,
    error::{BACKEND, failed, io_error},
    tables::{self, APPLICATION, LOCK_WAIT},
};

/// The driver of [`SqliteStore`]: one SQLite database per store.
pub static DRIVER: SqliteDriver = SqliteDriver;

/// The type of [`DRIVER`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SqliteDriver;

/// The only format.
const FORMAT: &str = "mnem-example-sqlite 1";

/// The first bytes of every SQLite database, and the offset of the application id in its header.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const APPLICATION_AT: usize = 68;
const HEADER_BYTES: usize = 100;

/// SQLite's default page size, in bytes.
const PAGE_BYTES: u64 = 4096;

impl Driver for SqliteDriver {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn about(&self) -> &'static str {
        "an SQLite database"
    }

    fn formats(&self) -> &'static [&'static str] {
        &[FORMAT]
    }

    fn lock_wait(&self) -> Duration {
        LOCK_WAIT
    }

    fn suits(&self, at: &Location) -> bool {
        at.as_path().is_some() && at.extension().is_some_and(|extension| extension == "sqlite")
    }

    fn probe(&self, at: &Location) -> Result<Probe, StoreError> {
        let Location::Path(path) = at else { return Ok(Probe::Foreign("it is a URL, not a file".into())) };
        Ok(match Entry::at(path, BACKEND)? {
            Entry::Absent => Probe::Absent,
            // SQLite begins with an empty file, and accepts any empty file as its own.
            Entry::File(0) => Probe::Unfinished,
            Entry::File(file_bytes) => probe_file(path, file_bytes)?,
            Entry::Other(what) => Probe::Foreign(what.into()),
            _ => Probe::Foreign("it is a folder, not a file".into()),
        })
    }

    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError> {
        let requested = options.requested();
        requested.check(self)?;
        requested.check_names(self, self.option_names())?;
        let found = self.probe(at)?;
        let (Location::Path(path), Probe::Absent | Probe::Unfinished | Probe::Store) = (at, &found) else {
            let reason = if let Probe::Foreign(why) = found { why } else { "it is no database".into() };
            return Err(StoreError::NotAStore { location: at.clone(), reason });
        };
        if found == Probe::Store {
            requested.check_existing(self, at)?;
        } else if !requested.may_create() {
            let reason = if found == Probe::Absent { "it does not exist" } else { "it is an empty database" };
            return Err(StoreError::NotAStore { location: at.clone(), reason: reason.into() });
        }
        Ok(Box::new(SqliteStore::open_with(path, requested)?))
    }
}

fn probe_file(path: &Path, file_bytes: u64) -> Result<Probe, StoreError> {
    let mut header = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header));
    read.map_err(|error| failed(path, "look", io_error(error)))?;
    if !header.starts_with(MAGIC) {
        return Ok(Probe::Foreign("the file is not an SQLite database".into()));
    }
    let application = header.get(APPLICATION_AT..APPLICATION_AT + 4).map(|bytes| bytes.try_into().unwrap_or([0; 4]));
    Ok(match application.map(u32::from_be_bytes) {
        Some(APPLICATION) => Probe::Store,
        // If there is a log, it may contain the application id, and only SQLite can tell. Without a log, a single page
        // is a database without tables.
        Some(0) if has_log(path) => tables::look(path)?,
        Some(0) if file_bytes <= PAGE_BYTES => Probe::Unfinished,
        Some(_) => Probe::Foreign("it is a database of another application".into()),
        None => Probe::Foreign("the database ends in its header".into()),
    })
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|found| found.len() > 0)
}

impl ManagedStore for SqliteStore {
    fn driver(&self) -> &'static dyn Driver {
        &DRIVER
    }

    fn format(&self) -> &'static str {
        FORMAT
    }

    fn info(&self) -> Result<StoreInfo, StoreError> {
        let mut info = self.database.read("count", count)?;
        let path = self.database.path();
        let found = fs::metadata(path).map_err(|error| failed(path, "look", io_error(error)))?;
        (info.file_bytes, info.allocated_bytes) = (found.len(), allocated_bytes(&found));
        info.free_bytes = info.free_bytes.min(info.file_bytes);
        Ok(info)
    }

    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        let before = self.info()?.file_bytes;
        self.database.vacuum()?;
        Ok(Reclaimed::new(before, self.info()?.file_bytes))
    }

    fn identity(&self) -> FileIdentity {
        fs::metadata(self.database.path()).ok().and_then(|found| identity(&found))
    }

    fn into_store(self: Box<Self>) -> Arc<dyn Store> {
        Arc::<Self>::from(self)
    }
}

/// Reads a count. SQLite has no unsigned integers.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

fn count(connection: &Connection) -> rusqlite::Result<StoreInfo> {
    // One transaction, so that all queries see one snapshot.
    let read = connection.unchecked_transaction()?;
    let mut info = StoreInfo::default();
    let one = |sql: &str| read.query_row(sql, (), |row| number(row, 0));
    info.blocks = one("SELECT count(*) FROM blocks")?;
    info.block_bytes = one("SELECT coalesce(sum(length(data)), 0) FROM blocks")?;
    info.heads = one("SELECT count(*) FROM heads")?;
    info.free_bytes = one("PRAGMA freelist_count")? * one("PRAGMA page_size")?;
    let mut tables =
        read.prepare("SELECT name, count(*), sum(length(key) + length(value)) FROM side GROUP BY name ORDER BY name")?;
    let rows = tables
        .query_map((), |row| Ok(TableInfo { name: row.get(0)?, keys: number(row, 1)?, bytes: number(row, 2)? }))?;
    info.tables = rows.collect::<rusqlite::Result<_>>()?;
    Ok(info)
}
