//! Handles that never write.

use std::fs;

use mnem_backend_redb::{Check, OpenOptions};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store, WriteBatch};

use crate::support::{Call, FakeMedium, block, create, kind_of, place};

fn reader() -> OpenOptions {
    OpenOptions::new().read_only(true)
}

/// The bytes of a store after a kill: the last commit is in the file, which was not closed.
fn unclean() -> Vec<u8> {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    for n in 0..50 {
        let (cid, data) = block(n);
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
    }
    medium.bytes()
}

#[test]
fn every_write_is_refused() {
    let place = place();
    let (cid, data) = block(1);
    create(&place.path).put(&cid, data.clone()).expect("put");
    for check in [Check::Always, Check::Pages, Check::Never] {
        let store = reader().check(check).open(&place.path).expect("open");
        assert_eq!(kind_of(store.put(&cid, data.clone())), ErrorKind::ReadOnly);
        assert_eq!(kind_of(store.put_trusted(&cid, data.clone())), ErrorKind::ReadOnly);
        assert_eq!(kind_of(store.put_many(&mut std::iter::empty())), ErrorKind::ReadOnly);
        assert_eq!(kind_of(store.delete(&cid)), ErrorKind::ReadOnly);
        assert_eq!(kind_of(store.update(&cid, &[])), ErrorKind::ReadOnly);
        assert_eq!(kind_of(store.swap(&[], &cid)), ErrorKind::ReadOnly);
        assert_eq!(kind_of(store.commit(WriteBatch::new().put(cid, data.clone()))), ErrorKind::ReadOnly);
        let table = store.side_table("notes").expect("side table");
        assert_eq!(kind_of(table.write(&[(Bytes::from_static(b"k"), data.clone())], &[])), ErrorKind::ReadOnly);
        assert_eq!(store.get(&cid).expect("get"), Some(data.clone()));
        assert_eq!(store.info().expect("info").blocks, 1);
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_write_permission_opens_and_stays_as_it_was() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    let (cid, data) = block(1);
    create(&place.path).commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).expect("commit");
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o400)).expect("chmod");
    let before = fs::read(&place.path).expect("read");
    for check in [Check::Auto, Check::Always, Check::Pages, Check::Never] {
        let store = reader().check(check).open(&place.path).expect("open");
        assert_eq!(store.get(&cid).expect("get"), Some(data.clone()));
        assert_eq!(store.heads().expect("heads"), [cid]);
        store.close().expect("close");
    }
    assert!(fs::read(&place.path).expect("read") == before, "the file was changed");
}

#[test]
fn an_unclean_file_is_repaired_in_memory_only() {
    let place = place();
    let bytes = unclean();
    fs::write(&place.path, &bytes).expect("write");
    for check in [Check::Auto, Check::Always, Check::Pages, Check::Never] {
        let store = reader().check(check).open(&place.path).expect("open");
        let heads = store.heads().expect("heads");
        assert_eq!(heads.len(), 50);
        for n in 0..50 {
            let (cid, data) = block(n);
            assert_eq!(store.get(&cid).expect("get"), Some(data));
        }
        store.close().expect("close");
        assert!(fs::read(&place.path).expect("read") == bytes, "the file was changed");
    }
}

#[test]
fn an_unclean_file_in_a_shared_mode_needs_recovery() {
    let place = place();
    fs::write(&place.path, unclean()).expect("write");
    for concurrency in [Sharing::SingleWriter, Sharing::MultiWriter] {
        let opened = reader().sharing(concurrency).open(&place.path);
        assert_eq!(kind_of(opened), ErrorKind::NeedsRecovery);
    }
}

#[test]
fn an_unclean_file_is_recovered_by_a_writer() {
    for check in [Check::Auto, Check::Always, Check::Pages, Check::Never] {
        for concurrency in [Sharing::ExclusiveWriter, Sharing::SingleWriter, Sharing::MultiWriter] {
            let place = place();
            fs::write(&place.path, unclean()).expect("write");
            let store = OpenOptions::new().check(check).sharing(concurrency).open(&place.path).expect("open");
            assert_eq!(store.heads().expect("heads").len(), 50);
            let (cid, data) = block(1_000);
            store.put(&cid, data.clone()).expect("put");
            store.close().expect("close");
            let store = reader().check(Check::Never).open(&place.path).expect("open clean");
            assert_eq!(store.get(&cid).expect("get"), Some(data));
        }
    }
}

#[test]
fn nothing_of_a_medium_is_written() {
    let medium = FakeMedium::of(unclean());
    let store = reader().open_medium(medium.clone(), "medium").expect("open");
    assert_eq!(store.heads().expect("heads").len(), 50);
    store.close().expect("close");
    for call in [Call::Write, Call::Sync, Call::SetLen] {
        assert_eq!(medium.count(call), 0, "{call:?}");
    }
    assert!(medium.closed() > 0);
}
