//! Golden stores: written when their formats became final, and never rewritten. Every later version must read them
//! completely.
//!
//! Their content is computed here, without a store. For a new format, add further stores with `cargo test -p
//! mnem-storage --all-features golden::write -- --ignored`, while nothing has their names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use mnem_ann_persist::{DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId};
use mnem_storage::{
    Bytes, Cid, DAG_CBOR, DAG_JSON, DAG_PB, ErrorKind, FaultKind, OpenOptions, RAW, Store, VerifyOptions, WriteBatch,
    cid::multihash::Multihash, cid_of, is_checkable, unwatched,
};

/// A golden store, and the backend that opens it.
struct Golden {
    name: &'static str,
    backend: &'static str,
}

const GOLDEN: [Golden; 4] = [
    Golden { name: "redb-native-1.redb", backend: "redb" },
    Golden { name: "redb-mnem01.redb", backend: "redb" },
    Golden { name: "simple-1", backend: "simple" },
    Golden { name: "carlog-1", backend: "carlog" },
];

impl Golden {
    fn kept(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(self.name)
    }
}

fn bytes(seed: u8, len: usize) -> Bytes {
    let mut state = u32::from(seed) + 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(next).collect::<Vec<u8>>().into()
}

/// Blocks with every kind of CID, and with lengths on both sides of the limits of a page.
fn blocks() -> Vec<(Cid, Bytes)> {
    let wrap = |code, digest: &[u8]| Multihash::wrap(code, digest).expect("a digest that fits");
    let mut blocks: Vec<(Cid, Bytes)> = [0, 1, 36, 183, 300, 1024, 4000, 4096, 5000, 20_000]
        .into_iter()
        .enumerate()
        .map(|(n, len)| (bytes(n as u8, len), if n % 2 == 0 { RAW } else { DAG_JSON }))
        .map(|(data, codec)| (cid_of(codec, &data), data))
        .collect();
    let text = Bytes::from_static(b"\xa1\x64note\x65hello");
    let sha = *cid_of(RAW, &text).hash();
    blocks.push((cid_of(DAG_CBOR, &text), text.clone()));
    blocks.push((Cid::new_v0(sha).expect("sha2-256"), text.clone()));
    blocks.push((Cid::new_v1(DAG_JSON, sha), text.clone()));
    blocks.push((Cid::new_v1(RAW, wrap(0x1e, &BLAKE3_OF_TEXT)), text.clone()));
    blocks.push((Cid::new_v1(RAW, wrap(0, &text)), text));
    blocks.push((Cid::new_v1(RAW, wrap(0, &[])), Bytes::new()));
    blocks
}

/// Computed independently, with `b3sum`.
const BLAKE3_OF_TEXT: [u8; 32] = [
    0x81, 0xb2, 0x79, 0x45, 0x47, 0xb3, 0x93, 0x29, 0x3d, 0x25, 0x0a, 0x1a, 0x84, 0xef, 0x81, 0xe9, 0x8b, 0x03, 0xab,
    0x89, 0x2a, 0x24, 0x6d, 0x52, 0x01, 0xc5, 0x0c, 0x73, 0x9d, 0x90, 0x63, 0xae,
];

/// A block that no build could check when the stores were made: its hash function is blake2b-256, and its digest is
/// made up. A build with that function reports it as damaged.
fn unchecked() -> (Cid, Bytes) {
    let hash = Multihash::wrap(0xb220, &[7; 32]).expect("a digest that fits");
    (Cid::new_v1(RAW, hash), Bytes::from_static(b"as stored"))
}

fn heads() -> Vec<Cid> {
    let mut heads: Vec<Cid> = blocks().into_iter().skip(9).take(2).map(|(cid, _)| cid).collect();
    heads.sort();
    heads
}

fn rows() -> BTreeMap<Bytes, Bytes> {
    [
        (bytes(1, 100), bytes(2, 10_000)),
        (Bytes::from_static(b"a"), Bytes::new()),
        (Bytes::from_static(&[0]), bytes(3, 5)),
    ]
    .into()
}

fn edges() -> KnnEdgeIndex {
    let node = |n: u8| NodeId([n; 16]);
    let weights = [1.0, 0.5, -0.25, 0.0];
    let edge = |n: u8| {
        (1..=2).map(move |step| KnnEdge {
            src: node(n),
            dst: node(n + step),
            weight: weights[usize::from(n + step) % 4],
        })
    };
    let edges = (0..40).flat_map(edge).collect();
    KnnEdgeIndex::new(heads()[0], 2, DistanceMetric::Dot, edges).expect("a valid index")
}

fn fill(store: &dyn Store) {
    let mut batch = WriteBatch::new();
    batch.extend(blocks());
    let (cid, data) = unchecked();
    let heads = heads();
    store.commit(batch.put_trusted(cid, data).update(heads[0], [])).expect("commit");
    store.update(&heads[1], &[]).expect("update");
    let notes = store.side_table("notes").expect("a side table");
    notes.write(&rows().into_iter().collect::<Vec<_>>(), &[]).expect("write rows");
    mnem_ann_persist::store(&*store.side_table(mnem_ann_persist::TABLE).expect("edges"), &edges()).expect("edges");
}

/// Checks that the store has exactly the original content.
fn check(name: &str, store: &dyn Store) {
    let mut expected: BTreeMap<Cid, Bytes> = blocks().into_iter().collect();
    let (unchecked, as_stored) = unchecked();
    expected.insert(unchecked, as_stored.clone());
    let mut found = BTreeMap::new();
    for cid in store.cids().expect("cids") {
        let cid = cid.expect("a CID");
        if cid == unchecked && is_checkable(&unchecked) {
            assert_eq!(store.get(&cid).expect_err("a made-up digest").kind(), ErrorKind::Corrupt, "{name}");
            found.insert(cid, as_stored.clone());
            continue;
        }
        found.insert(cid, store.get(&cid).expect("get").expect("a listed block"));
    }
    assert_eq!(found, expected, "{name}");
    assert_eq!(store.heads().expect("heads"), heads(), "{name}");
    assert_eq!(store.side_tables().expect("side tables"), [mnem_ann_persist::TABLE, "notes"], "{name}");
    let notes = store.side_table("notes").expect("a side table");
    let found = notes.keys(&[]).expect("keys").map(|key| {
        let key = key.expect("a key");
        let value = notes.get(&key).expect("get").expect("a listed row");
        (key, value)
    });
    assert_eq!(found.collect::<BTreeMap<_, _>>(), rows(), "{name}");
    let table = store.side_table(mnem_ann_persist::TABLE).expect("edges");
    let index = edges();
    let cid = index.compute_cid();
    let listed: Result<Vec<Cid>, _> = mnem_ann_persist::list(&*table).expect("list").collect();
    assert_eq!(listed.expect("CIDs"), [cid], "{name}");
    assert_eq!(mnem_ann_persist::load(&*table, &cid).expect("load"), Some(index), "{name}");
}

fn copy_of(golden: &Golden, folder: &Path) -> PathBuf {
    let copy = folder.join(golden.name);
    copy_all(&golden.kept(), &copy);
    copy
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).expect("copy a file");
        return;
    }
    fs::create_dir(to).expect("make a folder");
    for entry in fs::read_dir(from).expect("read a folder") {
        let entry = entry.expect("an entry");
        copy_all(&entry.path(), &to.join(entry.file_name()));
    }
}

fn compiled_in() -> impl Iterator<Item = &'static Golden> {
    GOLDEN.iter().filter(|golden| mnem_storage::DRIVERS.iter().any(|driver| driver.name() == golden.backend))
}

#[test]
fn kept_stores_are_read_whole_and_found_without_a_fault() {
    for golden in compiled_in() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = copy_of(golden, folder.path());
        assert_eq!(
            mnem_storage::detect(&path).expect("detect").map(|driver| driver.name()),
            Some(golden.backend),
            "{}",
            golden.name
        );
        check(golden.name, &*OpenOptions::new().read_only(true).open(&path).expect("open"));
        let report = mnem_storage::verify_at(&path, &VerifyOptions::new(), &mut unwatched).expect("verify");
        // The blocks contain random bytes, which are invalid in every followed codec. One of them has the digest of
        // other bytes.
        let random = blocks().into_iter().map(|(cid, _)| cid).filter(|cid| [DAG_JSON, DAG_PB].contains(&cid.codec()));
        let malformed = random.map(|cid| (FaultKind::Malformed, Some(cid)));
        let damaged = is_checkable(&unchecked().0).then(|| (FaultKind::Corrupt, Some(unchecked().0)));
        let expected: BTreeSet<_> = malformed.chain(damaged).collect();
        let found: BTreeSet<_> = report.faults.iter().map(|fault| (fault.kind, fault.cid)).collect();
        assert_eq!(found, expected, "{}", golden.name);
        assert_eq!(report.fault_count, expected.len() as u64, "{}", golden.name);
        assert_eq!(report.blocks, blocks().len() as u64 + 1, "{}", golden.name);
    }
}

#[test]
fn kept_stores_are_written_to_and_stay_in_their_format() {
    for golden in compiled_in() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = copy_of(golden, folder.path());
        let format = mnem_storage::info_at(&path, &OpenOptions::new()).expect("info").format;
        let store = OpenOptions::new().open(&path).expect("open");
        let data = Bytes::from_static(b"written later");
        let cid = cid_of(RAW, &data);
        store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, heads())).expect("commit");
        store.close().expect("close");
        let store = OpenOptions::new().open(&path).expect("reopen");
        assert_eq!(store.heads().expect("heads"), [cid], "{}", golden.name);
        assert_eq!(store.get(&cid).expect("get"), Some(data), "{}", golden.name);
        store.close().expect("close");
        assert_eq!(mnem_storage::info_at(&path, &OpenOptions::new()).expect("info").format, format);
    }
}

#[test]
fn a_store_that_is_filled_now_holds_the_same() {
    for subject in crate::fixtures::stores() {
        fill(&*subject.store);
        check(subject.name, &*subject.store);
    }
}

#[test]
#[cfg(all(feature = "redb", feature = "simple", feature = "carlog"))]
#[ignore = "writes the stores that are kept, where there are none: for a new format, once"]
fn write() {
    for golden in GOLDEN {
        let path = golden.kept();
        if path.exists() {
            continue;
        }
        let store: std::sync::Arc<dyn Store> = match golden.name {
            "redb-mnem01.redb" => {
                let options = mnem_backend_redb::OpenOptions::new().layout(mnem_backend_redb::Layout::Mnem01);
                std::sync::Arc::new(options.create(true).open(&path).expect("a new store"))
            }
            _ => OpenOptions::new().create(true).backend(golden.backend).open(&path).expect("a new store"),
        };
        fill(&*store);
        store.close().expect("close");
    }
}
