//! A read-only handle changes nothing, and needs no write access.

use std::{fs, io, sync::Arc};

use mnem_backend_simple::{OpenOptions, medium::StdFileSystem};
use mnem_store_traits::{Blockstore, Bytes, ErrorKind, OpHeadsStore, Store, WriteBatch};

use crate::support::{Home, block, create, head, traced::Traced};

#[test]
fn reads_ask_for_no_change() {
    let home = Home::new();
    let store = create(&home.path);
    let (cid, data) = block(1);
    store.put(&cid, data.clone()).unwrap();
    store.update(&head(1), &[]).unwrap();
    store.side_table("t").unwrap().write(&[(Bytes::from_static(b"k"), Bytes::from_static(b"v"))], &[]).unwrap();
    fs::write(home.file("tmp/00112233445566778899aabbccddeeff"), b"12345").unwrap();
    drop(store);
    // As on a medium whose files cannot be opened for writing.
    fs::remove_file(home.file("lock")).unwrap();
    fs::remove_file(home.file("tmp/.lock")).unwrap();

    let traced = Traced::new(Arc::new(StdFileSystem), &home.path);
    for call in ["create", "sync", "rename", "link", "remove", "lock", "write"] {
        traced.fail_always(call, io::ErrorKind::ReadOnlyFilesystem);
    }
    let store = OpenOptions::new().read_only(true).open_on(Arc::new(traced.clone()), &home.path).unwrap();
    assert_eq!(store.get(&cid).unwrap(), Some(data.clone()));
    assert_eq!(store.cids().unwrap().count(), 1);
    assert_eq!(store.heads().unwrap(), [head(1)]);
    let table = store.side_table("t").unwrap();
    assert_eq!(table.get(b"k").unwrap().as_deref(), Some(&b"v"[..]));
    assert_eq!(store.side_tables().unwrap(), ["t"]);
    assert_eq!(store.info().unwrap().free_bytes, 5);
    assert_eq!(store.foreign().unwrap().len(), 1);

    let errors = [
        store.put(&cid, data.clone()).unwrap_err(),
        store.put_trusted(&cid, data.clone()).unwrap_err(),
        store.put_many(&mut [Ok((cid, data.clone()))].into_iter()).unwrap_err(),
        store.delete(&cid).unwrap_err(),
        store.update(&cid, &[]).unwrap_err(),
        store.swap(&[head(1)], &cid).unwrap_err(),
        store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap_err(),
        table.write(&[(Bytes::from_static(b"k"), Bytes::new())], &[]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::ReadOnly);
    }
    store.close().unwrap();
    assert_eq!(traced.take_writes(), Vec::<String>::new());
}

#[test]
fn a_reader_sees_what_writers_do_meanwhile() {
    let home = Home::new();
    let writer = create(&home.path);
    let reader = OpenOptions::new().read_only(true).open(&home.path).unwrap();
    let (cid, data) = block(1);
    assert_eq!(reader.get(&cid).unwrap(), None);
    writer.commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).unwrap();
    assert_eq!(reader.get(&cid).unwrap(), Some(data));
    assert_eq!(reader.heads().unwrap(), [cid]);
}
