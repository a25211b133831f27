//! The animals with randomly changed bytes: any result except a panic, a hang or a wrong block.

use mnem_storage::{
    Blockstore as _, MemoryStore, OpHeadsStore as _,
    car::{self, ImportOptions},
    unwatched,
};
use proptest::{collection::vec, prelude::*};

use crate::fixtures::animals;

const PREFIX_BYTES: usize = 64 * 1024;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_archives_are_errors_or_legal(
        // Half of the changes are near the start, which has the header and the first lengths.
        changes in vec((prop_oneof![0..200_usize, 0..PREFIX_BYTES], any::<u8>()), 1..6),
        keep in prop_oneof![3 => Just(PREFIX_BYTES), 1 => 0..PREFIX_BYTES],
    ) {
        let mut archive = animals();
        archive.truncate(PREFIX_BYTES);
        for (at, byte) in changes {
            archive[at] = byte;
        }
        archive.truncate(keep);
        let store = MemoryStore::new();
        let result = car::import(&store, &archive[..], &ImportOptions::new().batch_bytes(4096), &mut unwatched);
        prop_assert_eq!(store.heads().unwrap(), []);
        let stored = store.cids().unwrap().count() as u64;
        match result {
            Ok(report) => prop_assert_eq!(report.new, stored),
            Err(error) => {
                prop_assert_eq!(error.kept().new, stored);
                prop_assert!(error.offset().is_none_or(|offset| offset <= archive.len() as u64));
            }
        }
        for cid in store.cids().unwrap() {
            // Reading checks the hash, so no damaged block was stored.
            prop_assert!(store.get(&cid.unwrap()).unwrap().is_some());
        }
    }
}
