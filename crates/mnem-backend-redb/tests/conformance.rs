//! The redb backend keeps every law.

use std::sync::Arc;

use mnem_backend_redb::OpenOptions;
use mnem_store_traits::conformance::{Fixture, FixtureError, Handles, Profile};
use tempfile::TempDir;

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
        Ok(Handles::from(Arc::new(OpenOptions::new().create(true).open(place.path().join("store.redb"))?)))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence]
    }
}

mnem_store_traits::conformance_tests!(redb, Redb);
