//! The SQLite store keeps every law that needs no failing medium.

use std::{path::PathBuf, sync::Arc};

use mnem_example_sqlite::{DRIVER, SqliteStore};
use mnem_store_traits::{
    Cid,
    conformance::{Fixture, FixtureError, Handles, Profile, as_second_process, in_second_process},
    driver::{Driver, Location},
};
use tempfile::TempDir;

struct Sqlite;

fn file(place: &TempDir) -> PathBuf {
    place.path().join("store.sqlite")
}

impl Fixture for Sqlite {
    type Place = TempDir;

    fn name(&self) -> &str {
        "mnem-example-sqlite"
    }

    fn create(&self) -> Result<TempDir, FixtureError> {
        Ok(TempDir::new()?)
    }

    fn open(&self, place: &TempDir) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(SqliteStore::open(file(place))?)))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::SecondProcess, Profile::Damage, Profile::Driver]
    }

    fn driver(&self, place: &TempDir) -> Result<(&'static dyn Driver, Location), FixtureError> {
        Ok((&DRIVER, file(place).into()))
    }

    fn obey_in_second_process(&self, place: &TempDir, script: &str) -> Result<String, FixtureError> {
        in_second_process("second_process", file(place), script)
    }

    fn damage(&self, place: &TempDir, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        let connection = rusqlite::Connection::open(file(place))?;
        let rows = connection.execute("UPDATE blocks SET data = ?2 WHERE cid = ?1", (cid.to_bytes(), data))?;
        if rows == 1 { Ok(()) } else { Err(format!("{rows} rows hold {cid}").into()) }
    }
}

/// The process that `in_second_process` starts. Does nothing when the test harness runs it.
#[test]
fn second_process() {
    as_second_process(|path| Ok(Handles::from(Arc::new(SqliteStore::open(path)?))));
}

mnem_store_traits::conformance_tests!(
    sqlite,
    Sqlite,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, SecondProcess, Damage, Driver,
        PutsSurvivePower, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);
