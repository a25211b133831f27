//! The corpora, made from real files: the animals and the kept stores.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mnem_storage::{
    Blockstore as _, BlockstoreExt as _, Bytes, Cid, MemoryStore, OpHeadsStore as _, OpenOptions,
    car::{self, ExportOptions, ImportOptions},
    unwatched,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn write(target: &str, inputs: impl IntoIterator<Item = Vec<u8>>) {
    let folder = folder("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).expect("make a folder");
    for (n, input) in inputs.into_iter().enumerate() {
        fs::write(folder.join(format!("real-{n:02}")), input).expect("write");
    }
}

fn animals() -> MemoryStore {
    let store = MemoryStore::new();
    let archive = fs::read(folder("docs/data/wordnet-animals.car")).expect("the animals");
    car::import(&store, &archive[..], &ImportOptions::new().heads(true), &mut unwatched).expect("import");
    store
}

/// An archive of a few blocks, with these roots.
fn archive(blocks: &[(Cid, Bytes)], roots: &[Cid]) -> Vec<u8> {
    let store = MemoryStore::new();
    for (cid, data) in blocks {
        store.put_trusted(cid, data.clone()).expect("put");
    }
    for root in roots {
        store.update(root, &[]).expect("update");
    }
    let mut bytes = Vec::new();
    let _ = car::export(&store, &mut bytes, &ExportOptions::new(), &mut unwatched);
    bytes
}

/// The same archive as the payload of a CARv2.
fn version_two(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x0a\xa1\x67version\x02".to_vec();
    bytes.extend([0; 16]);
    for field in [51, payload.len() as u64, 0] {
        bytes.extend(field.to_le_bytes());
    }
    [bytes, payload.to_vec()].concat()
}

#[test]
#[ignore = "writes the corpora that are kept, for when a target takes its input in another way"]
fn write_corpora() {
    let store = animals();
    let mut cids: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
    cids.sort_by_key(|cid| store.size(cid).expect("size"));
    let block = |cid: &Cid| (*cid, store.get_required(cid).expect("a block"));
    let leaves: Vec<_> = cids.iter().take(400).step_by(40).map(block).collect();
    let leaf_archives = [&leaves[..1], &leaves[..1]].map(|blocks| archive(blocks, &[blocks[0].0]));
    let mut several: Vec<Cid> = leaves.iter().map(|(cid, _)| *cid).collect();
    several.sort();
    let many = archive(&leaves, &several);
    write("car_import", [leaf_archives[0].clone(), many.clone(), version_two(&many), archive(&[], &[])]);
    write("dag_cbor_links", cids.iter().step_by(cids.len() / 12).map(|cid| block(cid).1.to_vec()));
    write("knn_row", mnem_fuzz_bodies::whole_knn_rows());
    let kept = folder("crates/mnem-storage/tests/golden");
    let heads = fs::read(kept.join("simple-1/op_heads")).expect("a kept store");
    let lines = heads.iter().rev().skip(1).position(|byte| *byte == b'\n').map(|n| heads.len() - n - 1).unwrap_or(0);
    let open_lines = [b"+", &heads[..lines]].concat();
    let of_many: String = several.iter().map(|cid| format!("{cid}\n")).collect();
    write("op_heads_file", [heads, open_lines, b"+".to_vec(), format!("+{of_many}").into_bytes()]);
    let kept = OpenOptions::new().read_only(true).open(kept.join("redb-native-1.redb")).expect("a kept store");
    let texts = kept.cids().expect("cids").map(|cid| cid.expect("a CID").to_string());
    let texts: Vec<String> = texts.step_by(3).collect();
    let paths = ["/ipfs/", "https://ipfs.io/ipfs/", "ipfs://"].map(|before| format!("{before}{}", texts[1]));
    write("cli_cid", texts.iter().chain(&paths).map(|text| text.clone().into_bytes()));
    // Which file and how; then edits of five bytes: a place, what to do there, with what.
    let edits = [0, 1, 2, 8, 9].map(|choice| [&[choice][..], &[0, 16, 40, 0, 3], &[0, 0, 9, 128, 0]].concat());
    let pages = [0, 1].map(|choice| [&[choice][..], &[0, 48, 0, 4, 7], &[0, 80, 0, 3, 0]].concat());
    let sizes = [[0, 2, 0, 0, 5, 0], [1, 0, 0, 0, 6, 200]].map(|input| input.to_vec());
    write("redb_open", edits.into_iter().chain(pages).chain(sizes).chain([b"\x04redb\x1a\x0a\xa9\x0d\x0a".to_vec()]));
}
