//! The animals through every backend: imported, verified, copied, exported and imported again.

use mnem_storage::{
    BlockstoreExt as _, MemoryStore, OpHeadsStore as _, Store, VerifyOptions,
    car::{self, ExportOptions, ImportOptions, ImportReport},
    copy, unwatched, verify,
};

use crate::fixtures::{ANIMALS_BLOCKS, animals, animals_root, stores};

fn import(store: &dyn Store, archive: &[u8]) -> ImportReport {
    car::import(store, archive, &ImportOptions::new().heads(true), &mut unwatched).unwrap()
}

fn export(store: &dyn Store) -> Vec<u8> {
    let mut archive = Vec::new();
    let report = car::export(store, &mut archive, &ExportOptions::new(), &mut unwatched).unwrap();
    assert_eq!((report.blocks, report.archive_bytes), (ANIMALS_BLOCKS, archive.len() as u64));
    archive
}

#[test]
fn every_backend_holds_the_animals_and_gives_them_back() {
    let archive = animals();
    let reference = MemoryStore::new();
    import(&reference, &archive);
    let exported = export(&reference);
    for subject in stores() {
        let (name, store) = (subject.name, &*subject.store);
        let copied = copy(&reference, store, &mut unwatched).unwrap();
        assert_eq!((copied.blocks, copied.new), (ANIMALS_BLOCKS, ANIMALS_BLOCKS), "{name}");
        assert_eq!(store.heads().unwrap(), [animals_root()], "{name}");
        assert!(export(store) == exported, "{name} gives other bytes");
        assert!(export(store) == exported, "{name} gives other bytes the second time");
        let report = verify(store, &VerifyOptions::new(), &mut unwatched).unwrap();
        assert_eq!((report.blocks, report.reached, report.fault_count), (ANIMALS_BLOCKS, ANIMALS_BLOCKS, 0), "{name}");
        let again = import(store, &archive);
        assert_eq!((again.blocks, again.new, again.present), (ANIMALS_BLOCKS, 0, ANIMALS_BLOCKS), "{name}");
        assert_eq!((again.heads_set.len(), store.heads().unwrap().len()), (0, 1), "{name}");
        assert_eq!(store.cids().unwrap().count() as u64, ANIMALS_BLOCKS, "{name}");
    }
}

#[test]
fn an_exported_archive_is_imported_whole() {
    let reference = MemoryStore::new();
    import(&reference, &animals());
    let store = MemoryStore::new();
    let report = import(&store, &export(&reference));
    assert_eq!((report.new, report.missing_roots.len()), (ANIMALS_BLOCKS, 0));
    assert_eq!(store.heads().unwrap(), [animals_root()]);
    assert_eq!(store.missing_links(&animals_root()).unwrap(), []);
}
