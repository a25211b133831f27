//! Handles that read beside one that writes.

use mnem_backend_carlog::OpenOptions;
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store};

use crate::support::{Content, Place, block, commits};

#[test]
fn a_reader_sees_every_acknowledged_commit_at_its_next_call() {
    let place = Place::new();
    let store = place.open();
    let reader = place.read_only();
    assert_eq!(Content::of(&reader), Content::default());
    for n in 0..20 {
        let (cid, data) = block(n);
        store.put(&cid, data.clone()).unwrap();
        assert_eq!(reader.get(&cid).unwrap(), Some(data));
        store.update(&cid, &store.heads().unwrap()).unwrap();
        assert_eq!(reader.heads().unwrap(), [cid]);
        if n % 3 == 0 {
            store.delete(&cid).unwrap();
            assert!(!reader.has(&cid).unwrap());
        }
        let table = store.side_table("t").unwrap();
        table.write(&[(vec![n as u8].into(), "v".into())], &[]).unwrap();
        assert!(reader.side_table("t").unwrap().get(&[n as u8]).unwrap().is_some());
    }
    store.close().unwrap();
    assert_eq!(reader.side_tables().unwrap(), ["t"]);
    let store = place.open();
    assert_eq!(commits(&store, 3), Content::of(&reader));
}

#[test]
fn a_reader_writes_nothing_and_one_handle_writes() {
    let place = Place::new();
    let store = place.open();
    commits(&store, 2);
    let before = place.files();
    let reader = place.read_only();
    Content::of(&reader);
    let (cid, data) = block(9);
    assert_eq!(reader.put(&cid, data).unwrap_err().kind(), ErrorKind::ReadOnly);
    reader.close().unwrap();
    assert_eq!(place.files(), before);
    let error = OpenOptions::new().open(place.store()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    store.close().unwrap();
    OpenOptions::new().open(place.store()).unwrap();
}
