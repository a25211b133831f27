//! The golden store was written when the format became final, and is never rewritten. Every later version must read it
//! completely.
//!
//! The test that compares it with a new store also writes a new golden store, for a new version of the format, to the
//! folder that `MNEM_GOLDEN` names, and a compacted one beside it.

use std::{collections::BTreeMap, env, fs, path::Path};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_store_traits::{Blockstore, Bytes, Cid, DAG_CBOR, RAW, Store, cid::multihash::Multihash, cid_of};

use crate::support::{Content, Place, block, commit};

/// The folder of the golden store that was compacted.
const COMPACTED: &str = "1-compacted.carlog";

/// Small bounds, so that a small store has several segments and runs.
fn options() -> OpenOptions {
    OpenOptions::new().segment_bytes(4_000).index_bounds(12, 3_000)
}

/// Blocks with different kinds of CIDs, and with lengths that take one byte and two.
fn odd_blocks() -> Vec<(Cid, Bytes)> {
    let text = Bytes::from_static(b"\xa1\x64note\x65hello");
    let sha = *cid_of(RAW, &text).hash();
    let identity = Multihash::wrap(0, &text).unwrap();
    let long = Bytes::from(vec![7; 1_500]);
    vec![
        (cid_of(DAG_CBOR, &text), text.clone()),
        (Cid::new_v0(sha).unwrap(), text.clone()),
        (Cid::new_v1(RAW, identity), text),
        (cid_of(RAW, &[]), Bytes::new()),
        (cid_of(RAW, &long), long),
    ]
}

/// Writes the content of the golden store, and ends without closing it.
fn write(path: &Path) {
    let store = options().create(true).open(path).unwrap();
    (0..12).for_each(|n| commit(&store, n));
    store.put_many(&mut odd_blocks().into_iter().map(Ok)).unwrap();
    [3, 8, 20].iter().for_each(|n| store.delete(&block(*n).0).unwrap());
    store.put(&block(3).0, block(3).1).unwrap();
    let table = store.side_table("t").unwrap();
    table.write(&[("a".into(), "1".into()), ("b".into(), "2".into()), ("c".into(), "3".into())], &[]).unwrap();
    table.write(&[("a".into(), "4".into())], &["b".into()]).unwrap();
    store.close().unwrap();
    let store = options().open(path).unwrap();
    (12..14).for_each(|n| commit(&store, n));
}

/// The same, compacted, and with commits after that.
fn write_compacted(path: &Path) {
    write(path);
    let store = options().open(path).unwrap();
    assert!(store.compact().unwrap().nothing_to_do.is_none());
    store.put(&block(40).0, block(40).1).unwrap();
    store.delete(&block(40).0).unwrap();
}

fn check(store: &CarlogStore) {
    let content = Content::of(store);
    let blocks = (0..28).filter(|n| ![8, 20].contains(n)).map(block).chain(odd_blocks());
    let blocks: BTreeMap<_, _> = blocks.collect();
    assert!(content.blocks.iter().eq(blocks.keys()));
    assert!(blocks.iter().all(|(cid, data)| store.get(cid).unwrap().as_ref() == Some(data)));
    assert_eq!(content.heads, [block(26).0]);
    assert!(!store.has(&block(8).0).unwrap());
    let table = store.side_table("t").unwrap();
    let rows = table.keys(b"").unwrap().map(|key| key.and_then(|key| Ok((key.clone(), table.get(&key)?.unwrap()))));
    assert!(rows.map(Result::unwrap).eq([("a".into(), Bytes::from("4")), ("c".into(), "3".into())]));
}

fn golden() -> BTreeMap<String, Vec<u8>> {
    files_of("1.carlog")
}

fn files_of(name: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn the_golden_store_is_read_and_written_on() {
    let place = Place::new();
    let files = golden();
    place.restore(&files);
    check(&options().read_only(true).open(place.store()).unwrap());
    assert_eq!(place.files(), files, "a reader writes nothing");
    let store = options().open(place.store()).unwrap();
    check(&store);
    store.delete(&block(8).0).unwrap();
    store.close().unwrap();
    check(&options().open(place.store()).unwrap());
}

/// The golden store is opened from its index. The end of a covered segment is damaged, so the log alone would not
/// suffice.
#[test]
fn the_golden_store_is_read_with_its_index() {
    let (place, mut files) = (Place::new(), golden());
    *files.get_mut("seg-000001.car").and_then(|log| log.last_mut()).unwrap() ^= 1;
    place.restore(&files);
    let store = options().read_only(true).open(place.store()).unwrap();
    (0..8).map(block).for_each(|(cid, data)| assert_eq!(store.get(&cid).unwrap(), Some(data)));
    files.retain(|name, _| !name.starts_with("run-"));
    place.restore(&files);
    assert!(options().read_only(true).open(place.store()).is_err());
}

/// Rebuilding the index of the golden store from its log gives the same index.
#[test]
fn the_golden_store_is_read_without_its_index() {
    let is_index = |name: &str| name.starts_with("run-") || name.starts_with("rows-");
    let (place, mut files) = (Place::new(), golden());
    assert!(files.keys().filter(|name| is_index(name)).count() >= 3 && files.contains_key("seg-000002.car"));
    files.retain(|name, _| !is_index(name));
    place.restore(&files);
    check(&options().open(place.store()).unwrap());
    check(&options().read_only(true).open(place.store()).unwrap());
}

/// With its index and without.
#[test]
fn the_golden_compacted_store_is_read_and_written_on() {
    let (place, files) = (Place::new(), files_of(COMPACTED));
    assert!(!files.contains_key("seg-000003.car") && files.contains_key("seg-000004.car"));
    for without_index in [false, true] {
        let mut files = files.clone();
        files.retain(|name, _| !without_index || !name.starts_with("run-") && !name.starts_with("rows-"));
        place.restore(&files);
        check(&options().read_only(true).open(place.store()).unwrap());
        assert_eq!(place.files(), files, "a reader writes nothing");
        let store = options().open(place.store()).unwrap();
        check(&store);
        assert!(store.compact().unwrap().nothing_to_do.is_none());
        check(&store);
        store.close().unwrap();
        check(&options().open(place.store()).unwrap());
    }
}

#[test]
fn a_store_written_now_holds_the_same() {
    let place = Place::new();
    let path = env::var_os("MNEM_GOLDEN").map_or(place.store(), Into::into);
    write(&path);
    check(&options().read_only(true).open(&path).unwrap());
    let path = path.with_file_name(COMPACTED);
    write_compacted(&path);
    check(&options().read_only(true).open(&path).unwrap());
}
