//! The simple backend keeps every law.

use std::sync::Arc;

use mnem_backend_simple::OpenOptions;
use mnem_store_traits::conformance::{Fixture, FixtureError, Handles, Profile};
use tempfile::TempDir;

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
        Ok(Handles::from(Arc::new(OpenOptions::new().create(true).open(place.path().join("store"))?)))
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::SecondHandle]
    }
}

mnem_store_traits::conformance_tests!(simple, Simple);
