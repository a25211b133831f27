//! Graphs of every followed codec are handled completely. Blocks of other codecs are counted, and never skipped
//! silently.

use std::io;

use mnem_storage::{
    Blockstore as _, BlockstoreExt as _, Bytes, Cid, CopyError, DAG_JSON, DAG_PB, ErrorKind, FaultKind, MemoryStore,
    OpHeadsStore as _, ReachableOptions, Store, VerifyOptions, VerifyReport,
    car::{self, ExportErrorKind, ExportOptions, ImportErrorKind, ImportOptions},
    copy_reachable, unwatched, verify,
};

use crate::fixtures::{Block, car, json_node, node, opaque, pb_node, raw, stores};

fn import(store: &dyn Store, roots: &[Cid], blocks: &[Block]) {
    car::import(store, &car(roots, blocks)[..], &ImportOptions::new().heads(true), &mut unwatched).expect("imported");
}

fn verified(store: &dyn Store) -> VerifyReport {
    verify(store, &VerifyOptions::new(), &mut unwatched).expect("verified")
}

/// Five blocks below a root of each followed codec; the last is a leaf.
fn graphs() -> Vec<(&'static str, Vec<Block>)> {
    let of = |make: fn(&[Cid]) -> Block| {
        let [a, b, c] = ["a", "b", "c"].map(raw);
        let inner = make(&[b.0, c.0]);
        let root = make(&[a.0, inner.0, b.0]);
        vec![root, a, inner, b, c]
    };
    let v0 = |children: &[Cid]| {
        let (cid, data) = pb_node(children, "version 0");
        (Cid::new_v0(*cid.hash()).expect("a CIDv0"), data)
    };
    vec![
        ("dag-cbor", of(node)),
        ("dag-pb", of(|children| pb_node(children, "data"))),
        ("dag-pb, version 0", of(v0)),
        ("dag-json", of(|children| json_node(children, "a label"))),
    ]
}

#[test]
fn a_graph_of_any_followed_codec_is_whole() {
    for (codec, blocks) in graphs() {
        for subject in stores() {
            let name = format!("{codec} in {}", subject.name);
            let (store, root) = (&*subject.store, blocks[0].0);
            import(store, &[root], &blocks);
            let found = verified(store);
            assert_eq!((found.fault_count, found.heads, found.reached, found.opaque), (0, 1, 5, 0), "{name}");
            assert_eq!(found.links, 5, "{name}");
            let mut archive = Vec::new();
            let report = car::export(store, &mut archive, &ExportOptions::new(), &mut unwatched).expect("exported");
            assert_eq!((report.blocks, report.opaque, report.missing_count), (5, 0, 0), "{name}");
            assert_eq!(archive, car(&[root], &blocks), "{name}: parents first, in encoded order");
            let copied = copy_reachable(store, &MemoryStore::new(), &ReachableOptions::new(), &mut unwatched);
            assert_eq!(copied.expect("copied").copied.blocks, 5, "{name}");
        }
    }
}

#[test]
fn a_missing_block_is_found_below_any_followed_codec() {
    for (codec, blocks) in graphs() {
        for absent in 1..blocks.len() {
            let store = MemoryStore::new();
            import(&store, &[blocks[0].0], &blocks);
            store.delete(&blocks[absent].0).expect("deleted");
            let found = verified(&store);
            assert_eq!((found.fault_count, found.faults[0].kind), (1, FaultKind::MissingLink), "{codec}");
            assert_eq!(found.faults[0].cid, Some(blocks[absent].0), "{codec}");
            let exported = car::export(&store, io::sink(), &ExportOptions::new(), &mut unwatched);
            assert_eq!(exported.expect_err("incomplete").kind(), ExportErrorKind::MissingBlock, "{codec}");
            let copied = copy_reachable(&store, &MemoryStore::new(), &ReachableOptions::new(), &mut unwatched);
            assert_eq!(copied.expect_err("incomplete").kind(), Some(ErrorKind::MissingBlock), "{codec}");
        }
    }
}

#[test]
fn a_malformed_block_of_a_followed_codec_is_a_fault_and_ends_an_export() {
    for (codec, bytes) in [(DAG_PB, &b"\x12\x00"[..]), (DAG_JSON, b"{\"/\":\"x\"}"), (DAG_JSON, b"")] {
        let store = MemoryStore::new();
        let bad = store.put_as(codec, Bytes::from_static(bytes)).expect("put");
        let top = pb_node(&[bad], "links to a malformed block");
        import(&store, &[top.0], &[top]);
        let found = verified(&store);
        assert_eq!((found.fault_count, found.faults[0].kind), (1, FaultKind::Malformed));
        for options in [ExportOptions::new(), ExportOptions::new().skip_missing(true).opaque_leaves(true)] {
            let exported = car::export(&store, io::sink(), &options, &mut unwatched);
            assert_eq!(exported.expect_err("malformed").kind(), ExportErrorKind::DamagedBlock);
        }
        let options = ReachableOptions::new().skip_missing(true).opaque_leaves(true);
        let copied = copy_reachable(&store, &MemoryStore::new(), &options, &mut unwatched);
        assert_eq!(copied.expect_err("malformed").kind(), Some(ErrorKind::Malformed));
    }
}

#[test]
fn blocks_that_may_have_links_are_refused_unless_allowed() {
    // dag-jose, git-raw, car, and an unknown codec.
    for codec in [0x85, 0x78, 0x0202, 0x3f_ffff] {
        let store = MemoryStore::new();
        let jose = store.put_as(codec, Bytes::from_static(b"signed")).expect("put");
        let unreached = store.put_as(codec, Bytes::from_static(b"no head reaches this")).expect("put");
        let leaf = raw("leaf");
        let top = node(&[leaf.0, jose]);
        import(&store, &[top.0], &[top.clone(), leaf.clone()]);
        let found = verified(&store);
        assert_eq!((found.fault_count, found.reached, found.opaque, found.opaque_reached), (0, 3, 2, 1));
        let error = car::export(&store, io::sink(), &ExportOptions::new(), &mut unwatched).expect_err("refused");
        assert_eq!(error.kind(), ExportErrorKind::OpaqueBlock);
        let told = error.to_string();
        assert!(told.contains(&jose.to_string()) && told.contains(&format!("{codec:#04x}")), "{told}");
        let mut archive = Vec::new();
        let options = ExportOptions::new().opaque_leaves(true);
        let report = car::export(&store, &mut archive, &options, &mut unwatched).expect("allowed");
        assert_eq!((report.blocks, report.opaque), (3, 1));
        assert_eq!(archive, car(&[top.0], &[top, leaf, (jose, Bytes::from_static(b"signed"))]));

        let copy = MemoryStore::new();
        let error = copy_reachable(&store, &copy, &ReachableOptions::new(), &mut unwatched).expect_err("refused");
        assert!(matches!(&error, CopyError::Opaque { cid } if **cid == jose), "{error:?}");
        assert_eq!(copy.heads().expect("heads"), []);
        let options = ReachableOptions::new().opaque_leaves(true);
        let report = copy_reachable(&store, &copy, &options, &mut unwatched).expect("allowed");
        assert_eq!((report.copied.blocks, report.opaque), (3, 1));
        assert!(copy.has(&jose).expect("looked up") && !copy.has(&unreached).expect("looked up"));
        assert_eq!(copy.heads().expect("heads"), store.heads().expect("heads"));
    }
}

#[test]
fn blocks_of_codecs_without_links_are_no_obstacle() {
    for codec in [0x55, 0x51, 0x0200, 0x72, 0x00] {
        let store = MemoryStore::new();
        let leaf = store.put_as(codec, Bytes::from_static(b"plain data")).expect("put");
        store.update(&leaf, &[]).expect("a head");
        assert_eq!(verified(&store).opaque, 0);
        let report = car::export(&store, io::sink(), &ExportOptions::new(), &mut unwatched).expect("exported");
        assert_eq!((report.blocks, report.opaque), (1, 0));
    }
}

#[test]
fn an_import_that_must_be_complete_counts_what_it_could_not_follow() {
    let (leaf, jose) = (raw("leaf"), opaque("signed"));
    let top = json_node(&[leaf.0, jose.0], "top");
    let archive = car(&[top.0], &[top, leaf, jose.clone()]);
    let options = ImportOptions::new().complete(true);
    let report = car::import(&MemoryStore::new(), &archive[..], &options, &mut unwatched).expect("complete");
    assert_eq!((report.reached, report.opaque, report.heads_set.len()), (Some(3), Some(1), 1));
    let report = car::import(&MemoryStore::new(), &archive[..], &ImportOptions::new(), &mut unwatched).expect("read");
    assert_eq!((report.reached, report.opaque), (None, None));
    // An absent block counts as absent, not as opaque.
    let store = MemoryStore::new();
    car::import(&store, &archive[..], &ImportOptions::new(), &mut unwatched).expect("read");
    store.delete(&jose.0).expect("deleted");
    let without = car(&report.roots, &[]);
    let error = car::import(&store, &without[..], &options, &mut unwatched).expect_err("incomplete");
    assert_eq!(error.kind(), ImportErrorKind::Incomplete);
}
