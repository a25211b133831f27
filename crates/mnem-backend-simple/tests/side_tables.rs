//! Side tables as folders of files.

use mnem_store_traits::{Bytes, ErrorKind, SideTable, Store};

use crate::support::{Home, create, reopen};

fn row(key: &'static [u8], value: &'static [u8]) -> (Bytes, Bytes) {
    (Bytes::from_static(key), Bytes::from_static(value))
}

fn keys(table: &dyn SideTable, prefix: &[u8]) -> Vec<Bytes> {
    table.keys(prefix).unwrap().map(Result::unwrap).collect()
}

#[test]
fn rows_survive_reopening_and_come_in_order() {
    let home = Home::new();
    let store = create(&home.path);
    let table = store.side_table("knn_edges").unwrap();
    table.write(&[row(b"b", b"1"), row(b"\xff\x00", b""), row(b"ab", b"2"), row(b"b", b"3")], &[]).unwrap();
    drop((table, store));
    let store = reopen(&home.path);
    assert_eq!(store.side_tables().unwrap(), ["knn_edges"]);
    let table = store.side_table("knn_edges").unwrap();
    assert_eq!(keys(&*table, b""), [&b"ab"[..], b"b", b"\xff\x00"]);
    assert_eq!(keys(&*table, b"a"), [&b"ab"[..]]);
    assert_eq!(table.get(b"b").unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(table.get(b"\xff\x00").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(table.get(b"a").unwrap(), None);
    let info = store.info().unwrap();
    assert_eq!((info.tables[0].name.as_str(), info.tables[0].keys, info.tables[0].bytes), ("knn_edges", 3, 7));
    assert_eq!(std::fs::read(home.file("tables/knn_edges/6162")).unwrap(), b"2");
}

#[test]
fn a_table_without_keys_is_none() {
    let home = Home::new();
    let store = create(&home.path);
    let table = store.side_table("t").unwrap();
    assert_eq!(store.side_tables().unwrap(), Vec::<String>::new());
    table.write(&[], &[Bytes::from_static(b"absent")]).unwrap();
    assert_eq!(keys(&*table, b""), Vec::<Bytes>::new());
    table.write(&[row(b"k", b"v")], &[Bytes::from_static(b"k")]).unwrap();
    assert_eq!(store.side_tables().unwrap(), Vec::<String>::new());
    assert_eq!(table.get(b"k").unwrap(), None);
}

#[test]
fn names_and_keys_outside_the_limits_write_nothing() {
    let home = Home::new();
    let store = create(&home.path);
    for name in ["", "Upper", "a/b", "..", "a b", &"x".repeat(33)] {
        assert_eq!(store.side_table(name).unwrap_err().kind(), ErrorKind::InvalidArgument, "{name}");
    }
    let table = store.side_table(&"x".repeat(32)).unwrap();
    let long = Bytes::from(vec![0xff; 100]);
    table.write(&[(long.clone(), Bytes::new())], &[]).unwrap();
    assert_eq!(keys(&*table, b""), [long]);
    for key in [Bytes::new(), Bytes::from(vec![1; 101])] {
        let error = table.write(&[row(b"first", b""), (key.clone(), Bytes::new())], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(table.get(&key).unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(table.get(b"first").unwrap(), None);
    }
}
