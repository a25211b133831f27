//! The heads file, and the lock that guards it.

use std::{fs, time::Duration};

use mnem_backend_simple::OpenOptions;
use mnem_store_traits::{
    Blockstore, ErrorKind, OpHeadsStore, Retry, Store, StoreError, WriteBatch,
    cid::{Cid, Version, multihash::Multihash},
};

use crate::support::{Home, block, create, head};

#[test]
fn the_file_is_the_text_that_the_format_says() {
    let home = Home::new();
    let store = create(&home.path);
    let read = || fs::read_to_string(home.file("op_heads")).unwrap();
    assert_eq!(read(), "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
    let mut heads = [head(1), head(2), head(3)];
    for head in &heads {
        store.update(head, &[]).unwrap();
    }
    heads.sort();
    let lines: String = heads.iter().map(|head| format!("{head}\n")).collect();
    assert!(read().starts_with(&lines), "{}", read());
    assert!(read()[lines.len()..].starts_with("sha256 "));
    assert_eq!(read().lines().count(), 4);
}

#[test]
fn a_head_of_version_0_stays_one() {
    let home = Home::new();
    let store = create(&home.path);
    let (v1, _) = block(1);
    let v0 = Cid::new(Version::V0, 0x70, Multihash::wrap(0x12, v1.hash().digest()).unwrap()).unwrap();
    store.update(&v0, &[]).unwrap();
    store.update(&v1, &[]).unwrap();
    assert_eq!(store.heads().unwrap(), [v0, v1]);
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for_and_then_named() {
    let home = Home::new();
    let options = OpenOptions::new().create(true).lock_wait(Duration::from_millis(20));
    let store = options.open(&home.path).unwrap();
    store.update(&head(1), &[]).unwrap();
    let holder = fs::File::open(home.file("lock")).unwrap();
    holder.lock().unwrap();
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).unwrap();
    for error in [
        store.update(&head(2), &[]).unwrap_err(),
        store.swap(&[head(1)], &head(2)).unwrap_err(),
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert_eq!(error.retry(), Some(Retry::SameCall));
        assert!(matches!(error, StoreError::Locked { location } if location == (&home.path).into()));
    }
    assert_eq!(store.heads().unwrap(), [head(1)], "readers need no lock");
    drop(holder);
    store.update(&head(2), &[head(1)]).unwrap();
    assert_eq!(store.heads().unwrap(), [head(2)]);
}

#[test]
fn a_lock_that_is_given_up_while_waiting_is_taken() {
    let home = Home::new();
    let store = create(&home.path);
    let holder = fs::File::open(home.file("lock")).unwrap();
    holder.lock().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.update(&head(1), &[]));
        drop(holder);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(store.heads().unwrap(), [head(1)]);
}
