//! The redb backend keeps every law, exclusive and in the shared modes.

use std::{error::Error, path::Path, sync::Arc};

use ::redb::{Database, TableDefinition};
use mnem_backend_redb::{DRIVER, OpenOptions};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{
    Cid,
    conformance::{Fixture, FixtureError, Handles, Profile, as_second_process, in_second_process},
    driver::{Driver, Location},
};
use tempfile::TempDir;

fn open(folder: &Path, concurrency: Sharing) -> Result<Handles, FixtureError> {
    let options = OpenOptions::new().create(true).sharing(concurrency);
    Ok(Handles::from(Arc::new(options.open(folder.join("store.redb"))?)))
}

struct Redb;

impl Fixture for Redb {
    type Place = TempDir;

    fn name(&self) -> &str {
        "redb"
    }

    fn create(&self) -> Result<TempDir, FixtureError> {
        Ok(TempDir::new()?)
    }

    fn open(&self, place: &TempDir) -> Result<Handles, FixtureError> {
        open(place.path(), Sharing::ExclusiveWriter)
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::Damage, Profile::Driver]
    }

    fn driver(&self, place: &TempDir) -> Result<(&'static dyn Driver, Location), FixtureError> {
        Ok((&DRIVER, place.path().join("store.redb").into()))
    }

    fn damage(&self, place: &TempDir, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        overwrite(&place.path().join("store.redb"), cid, data).map_err(|error| error.to_string().into())
    }
}

/// Overwrites a block in the file, as another program might.
fn overwrite(file: &Path, cid: &Cid, data: &[u8]) -> Result<(), Box<dyn Error>> {
    let database = Database::open(file)?;
    let transaction = database.begin_write()?;
    let objects: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");
    transaction.open_table(objects)?.insert(cid.to_bytes().as_slice(), data)?;
    Ok(transaction.commit()?)
}

struct SharedRedb;

impl Fixture for SharedRedb {
    type Place = TempDir;

    fn name(&self) -> &str {
        "redb, shared by several writers"
    }

    fn create(&self) -> Result<TempDir, FixtureError> {
        Ok(TempDir::new()?)
    }

    fn open(&self, place: &TempDir) -> Result<Handles, FixtureError> {
        open(place.path(), Sharing::MultiWriter)
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::SecondProcess]
    }

    fn obey_in_second_process(&self, place: &TempDir, script: &str) -> Result<String, FixtureError> {
        in_second_process("second_process", place.path(), script)
    }
}

#[test]
fn second_process() {
    as_second_process(|folder| open(Path::new(&folder), Sharing::MultiWriter));
}

mnem_store_traits::conformance_tests!(
    redb,
    Redb,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, Damage, Driver,
        PutsSurvivePower, CumulativeDurability, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);
mnem_store_traits::conformance_tests!(
    shared_redb,
    SharedRedb,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, SecondProcess,
        PutsSurvivePower, CumulativeDurability, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
);
