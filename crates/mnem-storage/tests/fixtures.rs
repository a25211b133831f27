//! Archives, blocks, and stores to import them into.

use std::{path::Path, sync::Arc};

use mnem_storage::{
    Bytes, Cid, DAG_CBOR, DAG_JSON, DAG_PB, DRIVERS, MemoryStore, OpenOptions, RAW, Store, car,
    cid::multihash::Multihash, cid_of,
};
use tempfile::TempDir;

pub(crate) const ANIMALS_ROOT: &str = "bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe";
pub(crate) const ANIMALS_BLOCKS: u64 = 4077;

pub(crate) type Block = (Cid, Bytes);

/// A store under test, with its name for messages and its folder.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) store: Arc<dyn Store>,
    _folder: TempDir,
}

pub(crate) fn animals() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/data/wordnet-animals.car");
    std::fs::read(path).expect("the animals archive")
}

pub(crate) fn animals_root() -> Cid {
    ANIMALS_ROOT.parse().expect("a CID")
}

/// An empty store of each kind that this build has.
pub(crate) fn stores() -> Vec<Subject> {
    let folder = || tempfile::tempdir().expect("a temporary folder");
    let mut stores = vec![Subject { name: "memory", store: Arc::new(MemoryStore::new()), _folder: folder() }];
    for backend in DRIVERS.iter().map(|driver| driver.name()) {
        let folder = folder();
        let options = OpenOptions::new().create(true).backend(backend);
        let store = options.open(folder.path().join("store")).expect("a new store");
        stores.push(Subject { name: backend, store, _folder: folder });
    }
    stores
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value % 128).expect("below 128");
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low + 128);
    }
}

/// The content, preceded by its length.
pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    [varint(content.len() as u64), content.to_vec()].concat()
}

fn link(cid: &Cid) -> Vec<u8> {
    let cid = cid.to_bytes();
    let len = u8::try_from(cid.len() + 1).expect("a short CID");
    let text = if len < 24 { vec![0x40 + len] } else { vec![0x58, len] };
    [&[0xd8, 0x2a][..], &text, &[0], &cid].concat()
}

/// A CBOR array of links.
fn links(cids: &[Cid]) -> Vec<u8> {
    let mut bytes = match u16::try_from(cids.len()).expect("up to 65,535 links") {
        len @ 0..24 => vec![0x80 + len as u8],
        len @ 24..256 => vec![0x98, len as u8],
        len => [&[0x99], &len.to_be_bytes()[..]].concat(),
    };
    cids.iter().for_each(|cid| bytes.extend(link(cid)));
    bytes
}

pub(crate) fn car(roots: &[Cid], blocks: &[Block]) -> Vec<u8> {
    let mut writer = car::Writer::new(Vec::new(), roots).expect("a header");
    for (cid, data) in blocks {
        writer.write(cid, data).expect("a section");
    }
    writer.finish().expect("an archive")
}

pub(crate) fn header(roots: &[Cid]) -> Vec<u8> {
    car(roots, &[])
}

/// A CARv2 around `payload`, whose header names an index at its end.
pub(crate) fn car_v2(payload: &[u8]) -> Vec<u8> {
    let data_size = payload.len() as u64;
    let mut bytes = b"\x0a\xa1\x67version\x02".to_vec();
    bytes.extend([0; 16]);
    for field in [51, data_size, 51 + data_size] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(payload);
    bytes
}

pub(crate) fn raw(data: impl Into<Bytes>) -> Block {
    let data = data.into();
    (cid_of(RAW, &data), data)
}

/// A DAG-CBOR block with these links.
pub(crate) fn node(children: &[Cid]) -> Block {
    let data = Bytes::from(links(children));
    (cid_of(DAG_CBOR, &data), data)
}

/// A CID with this multihash, valid or not.
pub(crate) fn cid_with_hash(codec: u64, code: u64, digest: &[u8]) -> Cid {
    Cid::new_v1(codec, Multihash::wrap(code, digest).expect("a short digest"))
}

/// A raw CID with a hash function for private use, which no build supports. The digest is `fill`, repeated.
pub(crate) fn unknown_hash(fill: u8) -> Cid {
    cid_with_hash(RAW, 0x3f_0001, &[fill; 32])
}

/// A root that links to a large leaf and a small one, parents first. The length of the large one takes two bytes.
pub(crate) fn family() -> (Cid, Vec<Block>) {
    let (large, small) = (raw(vec![7; 200]), raw("small"));
    let root = node(&[large.0, small.0]);
    (root.0, vec![root, large, small])
}

/// A DAG-PB block with these links, each with a name and a size, followed by data.
pub(crate) fn pb_node(children: &[Cid], data: &str) -> Block {
    let field = |tag: u8, bytes: &[u8]| [vec![tag], framed(bytes)].concat();
    let link = |cid: &Cid| field(0x12, &[field(0x0a, &cid.to_bytes()), field(0x12, b"name"), vec![0x18, 9]].concat());
    let bytes = [children.iter().flat_map(link).collect(), field(0x0a, data.as_bytes())].concat();
    (cid_of(DAG_PB, &bytes), bytes.into())
}

/// A DAG-JSON block with these links.
pub(crate) fn json_node(children: &[Cid], label: &str) -> Block {
    let links: Vec<String> = children.iter().map(|cid| format!(r#",{{"/":"{cid}"}}"#)).collect();
    let text = format!(r#"["{label}"{}]"#, links.concat());
    (cid_of(DAG_JSON, text.as_bytes()), text.into())
}

/// A block whose codec may have links but is not followed: dag-jose.
pub(crate) fn opaque(data: &str) -> Block {
    (cid_of(0x85, data.as_bytes()), data.to_owned().into())
}
