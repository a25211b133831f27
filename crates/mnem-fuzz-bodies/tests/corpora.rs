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

/// Of the two golden stores of bucket.
const CHECKPOINTS: [&str; 2] =
    ["ckpt/00000000000000000005-00000000000000000000", "ckpt/00000000000000000010-00000000000000000000"];

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

/// Nodes of all forms: without links, with a few, named, sized, with the data first and last.
fn pb_nodes(cids: &[Cid]) -> Vec<Vec<u8>> {
    let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).expect("short")], bytes].concat();
    let v0 = Cid::new_v0(*cids[0].hash()).expect("a CIDv0");
    let plain = |cid: &Cid| field(0x12, &field(0x0a, &cid.to_bytes()));
    let full = |cid: &Cid| {
        let fields = [field(0x0a, &cid.to_bytes()), field(0x12, "a näme".as_bytes()), vec![0x18, 0xf2, 0x07]];
        field(0x12, &fields.concat())
    };
    let data = field(0x0a, b"\x08\x02\x18\x07");
    let links = |link: &dyn Fn(&Cid) -> Vec<u8>, n: usize| cids[..n].iter().flat_map(link).collect::<Vec<u8>>();
    vec![
        Vec::new(),
        data.clone(),
        plain(&v0),
        [links(&full, 3), data.clone()].concat(),
        [data, links(&plain, 4)].concat(),
        [full(&v0), vec![0x0a, 0]].concat(),
    ]
}

/// Values of all kinds, with links and what looks like them.
fn json_values(cids: &[Cid]) -> Vec<Vec<u8>> {
    let (a, b, v0) = (cids[0], cids[1], Cid::new_v0(*cids[2].hash()).expect("a CIDv0"));
    let texts = [
        "null".to_owned(),
        format!(r#"{{"/":"{a}"}}"#),
        format!(r#"{{"links":[{{"/":"{a}"}},{{"/":"{v0}"}},{{"\u002f":"{b}"}}],"name":"\"\u00e9\ud83d\ude00\n"}}"#),
        r#" { "b" : {"/":{"bytes":"AQIDBA"}} , "a" : [-0, 1.5e-7, 18446744073709551616] } "#.to_owned(),
        format!(r#"{{"0":{{"/":{{"/":{{"/":"{b}"}}}}}},"/":"{a}"}}"#),
        r#"{"/":{"bytes":true},"b":1,"a":{"/":[],"c":{}},"":"/"}"#.to_owned(),
    ];
    texts.map(String::into_bytes).to_vec()
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
    for target in ["car_import", "car_read"] {
        write(target, [leaf_archives[0].clone(), many.clone(), version_two(&many), archive(&[], &[])]);
    }
    write("dag_cbor_links", cids.iter().step_by(cids.len() / 12).map(|cid| block(cid).1.to_vec()));
    let some: Vec<Cid> = cids.iter().step_by(cids.len() / 12).copied().collect();
    write("dag_pb_links", pb_nodes(&some));
    write("dag_json_links", json_values(&some));
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
    let log = folder("crates/mnem-backend-carlog/tests/golden/1.carlog");
    for (target, name) in
        [("carlog_segment", "seg-000002.car"), ("carlog_run", "run-000004"), ("carlog_manifest", "manifest")]
    {
        let whole = fs::read(log.join(name)).expect("a kept store");
        let edits = [0, 2, 8, 10].map(|choice| [&[choice][..], &[0, 16, 40, 0, 3], &[0, 1, 9, 2, 0]].concat());
        let files = [4, 6, 12, 14].map(|choice| [&[choice][..], &whole].concat());
        write(target, edits.into_iter().chain(files).chain([vec![0, 0, 4, 0, 5, 0], vec![2, 0, 0, 0, 6, 9]]));
    }
    write_corpora_of_bucket();
    // Which file and how; then edits of five bytes: a place, what to do there, with what.
    let edits = [0, 1, 2, 8, 9].map(|choice| [&[choice][..], &[0, 16, 40, 0, 3], &[0, 0, 9, 128, 0]].concat());
    let pages = [0, 1].map(|choice| [&[choice][..], &[0, 48, 0, 4, 7], &[0, 80, 0, 3, 0]].concat());
    let sizes = [[0, 2, 0, 0, 5, 0], [1, 0, 0, 0, 6, 200]].map(|input| input.to_vec());
    // Pages of a kept file by themselves: with blocks, with a large one, with heads.
    let file = fs::read(folder("crates/mnem-storage/tests/golden/redb-native-1.redb")).expect("a kept store");
    let leaves = file.chunks(4096).enumerate().filter(|(_, page)| page[0] == 1).map(|(page, _)| page * 4096);
    let pages_alone = leaves.map(|at| [b"\x04", &file[at..(at + 2 * 4096).min(file.len())]].concat());
    let of_kept = edits.iter().chain(&pages).cloned().collect::<Vec<_>>();
    write("redb_pages", of_kept.into_iter().chain(pages_alone));
    write("redb_open", edits.into_iter().chain(pages).chain(sizes).chain([b"\x04redb\x1a\x0a\xa9\x0d\x0a".to_vec()]));
}

/// How the store is opened, which object; then edits of five bytes or a whole object. Without checkpoints (16), all
/// entries are read.
fn write_corpora_of_bucket() {
    let golden = folder("crates/mnem-backend-bucket/tests/golden");
    let object = |choice: u8, which: u8, name: &str| {
        let store = ["1.bucket", "1-compacted.bucket"][usize::from(choice & 1)];
        let bytes = fs::read(golden.join(store).join(name)).expect("a kept store");
        [&[choice, which][..], &bytes].concat()
    };
    let two = |choice: u8, which: u8| [&[choice, which][..], &[0, 1, 40, 0, 3], &[0, 0, 99, 1, 0]].concat();
    // In the CID of a block or value that the entry adds or deletes, or in its heads.
    let places: [u16; 8] = [260, 380, 460, 500, 480, 480, 480, 300];
    let one = (0..8).zip(places).map(|(which, place)| [&[16, which, 0][..], &place.to_be_bytes(), &[0, 3]].concat());
    let of_compacted = [17, 25, 49].into_iter().zip([3, 8, 9]).map(|(choice, which)| two(choice, which));
    let whole = [(20, 3, "log/00000000000000000003.car"), (29, 9, "log/00000000000000000009.car")];
    let whole = whole.map(|(choice, which, name)| object(choice, which, name));
    let lengths = [vec![0, 7, 0, 1, 0, 5, 0], vec![24, 7, 0, 0, 0, 6, 9]];
    write("bucket_entry", one.chain(of_compacted).chain([two(2, 7), two(8, 7)]).chain(whole).chain(lengths));
    let edits = [0, 2, 8, 9, 33].map(|choice| two(choice, 0));
    let whole = [object(4, 0, CHECKPOINTS[0]), object(13, 0, CHECKPOINTS[1])];
    let lengths = [vec![0, 0, 0, 1, 0, 5, 0], vec![0, 0, 0, 0, 0, 6, 9]];
    write("bucket_checkpoint", edits.into_iter().chain(whole).chain(lengths.clone()));
    write("bucket_pack", [0, 1, 2, 16, 33].map(|choice| two(choice, 0)).into_iter().chain(lengths));
}
