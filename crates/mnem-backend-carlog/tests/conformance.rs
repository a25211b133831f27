//! The carlog backend keeps every law.

use std::{fs, ops::Range, path::Path, sync::Arc};

use mnem_backend_carlog::{DRIVER, OpenOptions};
use mnem_car::SectionOffsets;
use mnem_store_traits::{
    Cid,
    conformance::{Fixture, FixtureError, Handles, Profile},
    driver::{Driver, Location},
};
use tempfile::TempDir;

/// Small bounds, so that the index of each store is in several runs.
fn open(folder: &Path) -> Result<Handles, FixtureError> {
    let options = OpenOptions::new().create(true).index_bounds(8, 4_000);
    Ok(Handles::from(Arc::new(options.open(folder.join("store.carlog"))?)))
}

/// The range of a block's bytes in a segment.
fn block_in(log: &[u8], cid: &Cid) -> Option<Range<usize>> {
    // The length of a segment's header fits in one byte.
    let mut offset = u64::from(*log.first()?) + 1;
    loop {
        let section = SectionOffsets::parse(log.get(offset as usize..)?, offset).ok()?;
        if section.cid == *cid {
            return Some(section.data_offset as usize..section.end() as usize);
        }
        offset = section.end();
    }
}

struct Carlog;

impl Fixture for Carlog {
    type Place = TempDir;

    fn name(&self) -> &str {
        "carlog"
    }

    fn create(&self) -> Result<TempDir, FixtureError> {
        Ok(TempDir::new()?)
    }

    fn open(&self, place: &TempDir) -> Result<Handles, FixtureError> {
        open(place.path())
    }

    fn profiles(&self) -> &[Profile] {
        &[Profile::Persistence, Profile::Damage, Profile::Driver]
    }

    fn driver(&self, place: &TempDir) -> Result<(&'static dyn Driver, Location), FixtureError> {
        Ok((&DRIVER, place.path().join("store.carlog").into()))
    }

    /// Overwrites the bytes of the block in the log.
    fn damage(&self, place: &TempDir, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        let path = place.path().join("store.carlog/seg-000001.car");
        let mut log = fs::read(&path)?;
        let range = block_in(&log, cid).ok_or("the block is not in the log")?;
        let block = log.get_mut(range).ok_or("the log ends in the block")?;
        // The block keeps its length in the log: shorter data is padded with zeros, longer data is cut. If the length
        // differs, change the first byte too, so that the bytes are wrong in any case.
        let is_resized = data.len() != block.len();
        for (at, byte) in block.iter_mut().enumerate() {
            *byte = data.get(at).copied().unwrap_or(0) ^ u8::from(is_resized && at == 0);
        }
        Ok(fs::write(path, log)?)
    }
}

mnem_store_traits::conformance_tests!(
    carlog,
    Carlog,
    has: [
        Blocks, Heads, Store, Limits, SideTables, Persistence, Damage, Driver,
        PutsSurvivePower, CumulativeDurability, AtomicPutMany, AtomicCommit, AtomicSideTableWrites, HeadsSurvivePower, AtomicHeads,
    ],
    inapplicable: [truncated_store_is_no_empty_store],
);
