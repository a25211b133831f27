//! Commits: first the blocks, then the required blocks, then the head.

use mnem_backend_simple::OpenOptions;
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Store, WriteBatch};

use crate::support::{Home, block, create, head};

#[test]
fn a_commit_lands_whole() {
    let home = Home::new();
    let store = create(&home.path);
    let (a, data_a) = block(1);
    let (b, data_b) = block(2);
    store.put(&a, data_a.clone()).unwrap();
    store.commit(WriteBatch::new().put(a, data_a).put(b, data_b.clone()).require(a).update(b, [])).unwrap();
    drop(store);
    let store = OpenOptions::new().read_only(true).open(&home.path).unwrap();
    assert_eq!(store.get(&b).unwrap(), Some(data_b));
    assert_eq!(store.heads().unwrap(), [b]);
}

#[test]
fn a_bad_batch_keeps_nothing() {
    let home = Home::new();
    let store = create(&home.path);
    let (a, data) = block(1);
    let (b, _) = block(2);
    let error = store.commit(WriteBatch::new().put(a, data.clone()).put(b, data).update(a, [])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CidMismatch);
    assert_eq!(store.cids().unwrap().count(), 0);
    assert_eq!(store.heads().unwrap(), []);
}

#[test]
fn a_missing_requirement_moves_no_head_also_without_one() {
    let home = Home::new();
    let store = create(&home.path);
    let (a, data) = block(1);
    let (absent, _) = block(2);
    store.update(&head(1), &[]).unwrap();
    for batch in [
        WriteBatch::new().put(a, data.clone()).require(absent).update(a, [head(1)]),
        WriteBatch::new().put(a, data.clone()).require(absent).swap([head(1)], a),
        WriteBatch::new().require(absent),
    ] {
        let error = store.commit(batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingBlock);
        assert!(error.to_string().contains(&absent.to_string()), "{error}");
        assert_eq!(store.heads().unwrap(), [head(1)]);
    }
}

#[test]
fn a_failed_swap_moves_no_head() {
    let home = Home::new();
    let store = create(&home.path);
    let (a, data) = block(1);
    store.update(&head(1), &[]).unwrap();
    let error = store.commit(WriteBatch::new().put(a, data).swap([head(2)], a)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HeadsMoved);
    assert_eq!(store.heads().unwrap(), [head(1)]);
}

#[test]
fn nothing_to_commit_is_nothing_done() {
    let home = Home::new();
    let store = create(&home.path);
    store.commit(&WriteBatch::new()).unwrap();
    assert_eq!(store.info().unwrap().blocks, 0);
}
