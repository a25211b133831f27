//! Which files are stores.

use std::{fs, path::Path};

use mnem_backend_redb::{Layout, OpenOptions};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, RAW, Store, StoreError, WriteBatch, cid_of};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::support::{block, create, kind_of, open, place};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// Changes a file without the backend.
fn with_redb(path: &Path, f: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::create(path).expect("open with redb");
    let transaction = database.begin_write().expect("begin");
    f(&transaction);
    transaction.commit().expect("commit");
    database.close().expect("close");
}

fn set_format(path: &Path, format: &str) {
    with_redb(path, |transaction| {
        transaction.open_table(META).expect("meta").insert("format", format.as_bytes()).expect("insert");
    });
}

#[test]
fn a_file_of_the_published_crate_is_found_and_kept() {
    let place = place();
    let (cid, data) = block(1);
    with_redb(&place.path, |transaction| {
        let objects = TableDefinition::<&[u8], &[u8]>::new("mnem_objects");
        let heads = TableDefinition::<&[u8], ()>::new("mnem_op_heads");
        let key = cid.to_bytes();
        transaction.open_table(objects).expect("objects").insert(key.as_slice(), data.as_ref()).expect("insert");
        transaction.open_table(heads).expect("heads").insert(key.as_slice(), ()).expect("insert");
    });
    let store = open(&place.path);
    assert_eq!(store.layout(), Layout::Mnem01);
    assert_eq!(store.get(&cid).expect("get"), Some(data));
    assert_eq!(store.heads().expect("heads"), [cid]);
    let (next, data) = block(2);
    store.commit(WriteBatch::new().put(next, data).update(next, [cid])).expect("commit");
    assert_eq!(store.format(), "mnem-backend-redb 0.1");
    drop(store);
    let database = Database::open(&place.path).expect("open with redb");
    let transaction = database.begin_read().expect("read");
    let names: Vec<String> =
        transaction.list_tables().expect("tables").map(|t| redb::TableHandle::name(&t).to_owned()).collect();
    assert_eq!(names, ["mnem_objects", "mnem_op_heads"]);
    let heads = transaction.open_table(TableDefinition::<&[u8], ()>::new("mnem_op_heads")).expect("heads");
    let keys: Vec<Vec<u8>> = heads.iter().expect("iter").map(|row| row.expect("row").0.value().to_vec()).collect();
    assert_eq!(keys, [next.to_bytes()]);
}

#[test]
fn a_layout_is_chosen_only_for_a_new_file() {
    let place = place();
    let options = OpenOptions::new().create(true).layout(Layout::Mnem01);
    assert_eq!(options.open(&place.path).expect("create").layout(), Layout::Mnem01);
    assert_eq!(create(&place.path).layout(), Layout::Mnem01);
}

#[test]
fn a_later_format_is_refused_and_the_file_untouched() {
    for concurrency in [Sharing::ExclusiveWriter, Sharing::SingleWriter, Sharing::MultiWriter] {
        for read_only in [false, true] {
            let place = place();
            drop(create(&place.path));
            set_format(&place.path, "mnem-backend-redb 2");
            let before = fs::read(&place.path).expect("read");
            let opened =
                OpenOptions::new().create(!read_only).read_only(read_only).sharing(concurrency).open(&place.path);
            let Err(StoreError::UnsupportedFormat { found, supported }) = opened else {
                panic!("expected UnsupportedFormat, got {opened:?}")
            };
            assert_eq!((found.as_str(), supported.as_str()), ("mnem-backend-redb 2", "mnem-backend-redb 1"));
            assert!(fs::read(&place.path).expect("read") == before, "the file was changed");
        }
    }
}

#[test]
fn another_programs_redb_file_is_not_a_store_and_untouched() {
    let place = place();
    with_redb(&place.path, |transaction| {
        transaction
            .open_table(TableDefinition::<u64, u64>::new("invoices"))
            .expect("table")
            .insert(1, 2)
            .expect("insert");
        transaction.open_table(TableDefinition::<u64, u64>::new("meta")).expect("table").insert(1, 2).expect("insert");
    });
    let before = fs::read(&place.path).expect("read");
    let opened = OpenOptions::new().create(true).open(&place.path);
    let Err(StoreError::NotAStore { reason, .. }) = opened else { panic!("expected NotAStore, got {opened:?}") };
    assert!(reason.contains("invoices"), "{reason}");
    assert!(fs::read(&place.path).expect("read") == before, "the file was changed");
}

#[test]
fn a_redb_file_without_tables_is_not_a_store() {
    let place = place();
    with_redb(&place.path, |_| ());
    assert_eq!(kind_of(OpenOptions::new().create(true).open(&place.path)), ErrorKind::NotAStore);
}

#[test]
fn tables_of_other_types_are_not_a_store() {
    let place = place();
    with_redb(&place.path, |transaction| {
        transaction.open_table(TableDefinition::<u64, u64>::new("mnem_objects")).expect("table");
        transaction.open_table(TableDefinition::<&[u8], ()>::new("mnem_op_heads")).expect("table");
    });
    assert_eq!(kind_of(OpenOptions::new().open(&place.path)), ErrorKind::NotAStore);
}

/// The scan has passed all blocks by then.
#[test]
fn a_sweep_that_meets_a_key_that_is_no_cid_removes_nothing() {
    let place = place();
    let blocks: Vec<_> = (0..50).map(block).collect();
    create(&place.path).put_many(&mut blocks.iter().cloned().map(Ok)).expect("put_many");
    with_redb(&place.path, |transaction| {
        let objects: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");
        let mut table = transaction.open_table(objects).expect("objects");
        table.insert(&b"\xff is no CID"[..], &b"data"[..]).expect("insert");
    });
    let store = open(&place.path);
    let mut shown = 0;
    let error = store.sweep(None, None, &mut |_| {
        shown += 1;
        true
    });
    assert_eq!((error.unwrap_err().kind(), shown), (ErrorKind::Damaged, 50));
    for (cid, data) in blocks {
        assert_eq!(store.get(&cid).expect("get"), Some(data));
    }
    // The damage is in the row, not in the handle.
    let (cid, data) = block(100);
    store.put(&cid, data).expect("put");
}

#[test]
fn heads_changed_behind_the_checksum_are_damage() {
    let place = place();
    let (cid, data) = block(1);
    create(&place.path).commit(WriteBatch::new().put(cid, data).update(cid, [])).expect("commit");
    with_redb(&place.path, |transaction| {
        let heads = TableDefinition::<&[u8], ()>::new("op_heads");
        transaction.open_table(heads).expect("heads").insert(block(2).0.to_bytes().as_slice(), ()).expect("insert");
    });
    let store = open(&place.path);
    assert_eq!(kind_of(store.heads()), ErrorKind::Damaged);
    assert_eq!(kind_of(store.update(&cid, &[])), ErrorKind::Damaged);
    assert!(store.has(&cid).expect("has"));
}

#[test]
fn a_key_that_is_no_cid_is_damage_and_named() {
    let place = place();
    drop(create(&place.path));
    with_redb(&place.path, |transaction| {
        let objects = TableDefinition::<&[u8], &[u8]>::new("objects");
        transaction
            .open_table(objects)
            .expect("objects")
            .insert([0xca, 0xfe].as_slice(), b"x".as_slice())
            .expect("insert");
    });
    let store = open(&place.path);
    let items: Vec<_> = store.cids().expect("cids").collect();
    assert_eq!(items.len(), 1);
    let text = items.into_iter().next().expect("an item").expect_err("an error").to_string();
    assert!(text.contains("objects") && text.contains("cafe"), "{text}");
}

#[test]
fn wrong_bytes_under_a_cid_are_corrupt() {
    let place = place();
    let (cid, data) = block(1);
    drop(create(&place.path));
    with_redb(&place.path, |transaction| {
        let objects = TableDefinition::<&[u8], &[u8]>::new("objects");
        let key = cid.to_bytes();
        transaction.open_table(objects).expect("objects").insert(key.as_slice(), b"wrong".as_slice()).expect("insert");
    });
    let store = open(&place.path);
    assert_eq!(kind_of(store.get(&cid)), ErrorKind::Corrupt);
    assert_eq!(kind_of(store.with_block(&cid, &mut |_| panic!("lent wrong bytes"))), ErrorKind::Corrupt);
    store.delete(&cid).expect("delete");
    store.put(&cid, data.clone()).expect("put");
    assert_eq!(store.get(&cid).expect("get"), Some(data));
}

#[test]
fn the_worked_example_of_the_format_page_is_what_is_written() {
    let place = place();
    let data = Bytes::from_static(b"hello");
    let cid = cid_of(RAW, &data);
    create(&place.path).commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).expect("commit");
    let database = Database::open(&place.path).expect("open with redb");
    let transaction = database.begin_read().expect("read");
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let key: Vec<u8> = [0x01, 0x55, 0x12, 0x20]
        .into_iter()
        .chain((0..64).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).expect("hex")))
        .collect();
    let objects = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new("objects")).expect("objects");
    assert_eq!(objects.get(key.as_slice()).expect("get").expect("the block").value(), b"hello");
    let heads = transaction.open_table(TableDefinition::<&[u8], ()>::new("op_heads")).expect("heads");
    assert!(heads.get(key.as_slice()).expect("get").is_some());
    let meta = transaction.open_table(META).expect("meta");
    assert_eq!(meta.get("format").expect("get").expect("a row").value(), b"mnem-backend-redb 1");
    let summed: Vec<u8> = [0, 0, 0, 0x24].into_iter().chain(key).collect();
    let checksum = meta.get("heads_checksum").expect("get").expect("a row");
    assert_eq!(checksum.value(), cid_of(RAW, &summed).hash().digest());
    let page = include_str!("../FORMAT.md");
    assert!(page.contains(digest) && page.contains("6d6e656d2d6261636b656e642d726564622031"));
}

#[test]
fn a_file_of_an_older_redb_is_an_unsupported_format() {
    // The version byte of both commit slots.
    let place = place();
    drop(create(&place.path));
    let mut bytes = fs::read(&place.path).expect("read");
    (bytes[64], bytes[192]) = (2, 2);
    fs::write(&place.path, &bytes).expect("write");
    for read_only in [false, true] {
        let opened = OpenOptions::new().read_only(read_only).open(&place.path);
        assert_eq!(kind_of(opened), ErrorKind::UnsupportedFormat);
    }
    assert!(fs::read(&place.path).expect("read") == bytes, "the file was changed");
}
