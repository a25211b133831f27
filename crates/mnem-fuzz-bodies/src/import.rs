//! Imports of archives into a store.

use mnem_storage::{
    Blockstore as _, MemoryStore, OpHeadsStore as _,
    car::{self, ImportOptions},
    unwatched,
};

/// Smaller than the limit of a store, so that a fuzzer's inputs reach it.
const BLOCK_BYTES_MAX: u64 = 64 * 1024;

/// A valid archive is imported completely. An invalid one leaves at most verified blocks, and no heads.
pub fn car_import(data: &[u8]) {
    let store = MemoryStore::new();
    let options = ImportOptions::new().heads(true).batch_bytes(4_096).block_bytes_max(BLOCK_BYTES_MAX);
    let result = car::import(&store, data, &options, &mut unwatched);
    let stored = store.cids().expect("cids").count() as u64;
    match result {
        Ok(report) => {
            assert_eq!(report.new, stored);
            let again =
                car::import(&store, data, &options, &mut unwatched).expect("what was imported is imported again");
            assert_eq!((again.new, again.blocks), (0, report.blocks));
        }
        Err(error) => {
            assert_eq!(error.kept().new, stored);
            assert!(error.offset().is_none_or(|offset| offset <= data.len() as u64), "an offset behind the end");
            assert_eq!(store.heads().expect("heads"), [], "a bad archive set heads");
        }
    }
    for cid in store.cids().expect("cids") {
        // Reading checks the hash.
        assert!(store.get(&cid.expect("a CID")).expect("a whole block").is_some());
    }
}
