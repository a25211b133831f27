//! The simple backend keeps every law.

use std::{fs, path::Path, sync::Arc};

use mnem_backend_simple::{DRIVER, OpenOptions};
use mnem_store_traits::{
    Cid,
    cid::multibase::{Base, encode},
    conformance::{Fixture, FixtureError, Handles, Profile, as_second_process, in_second_process},
    driver::{Driver, Location},
};
use tempfile::TempDir;

fn open(folder: &Path) -> Result<Handles, FixtureError> {
    Ok(Handles::from(Arc::new(OpenOptions::new().create(true).open(folder.join("store"))?)))
}

struct Simple;

impl Fixture for Simple {
    type Place = TempDir;

    fn name(&self) -> &str {
        "simple"
    }

    fn create(&self) -> Result<TempDir, FixtureError> {
        Ok(TempDir::new()?)
    }

    fn open(&self, place: &TempDir) -> Result<Handles, FixtureError> {
        open(place.path())
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle, Profile::SecondProcess, Profile::Damage, Profile::Driver]
    }

    fn driver(&self, place: &TempDir) -> Result<(&'static dyn Driver, Location), FixtureError> {
        Ok((&DRIVER, place.path().join("store").into()))
    }

    fn obey_in_second_process(&self, place: &TempDir, script: &str) -> Result<String, FixtureError> {
        in_second_process("second_process", place.path(), script)
    }

    fn damage(&self, place: &TempDir, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        let name = encode(Base::Base32Lower, cid.to_bytes());
        let shard = &name[name.len() - 3..name.len() - 1];
        Ok(fs::write(place.path().join("store/objects").join(shard).join(&name), data)?)
    }
}

#[test]
fn second_process() {
    as_second_process(|folder| open(Path::new(&folder)));
}

mnem_store_traits::conformance_tests!(
    simple,
    Simple,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, SecondHandle, SecondProcess, Damage, Driver,
        PutsSurvivePower, HeadsSurvivePower, AtomicHeads,
    ],
    inapplicable: [truncated_store_is_no_empty_store],
);
