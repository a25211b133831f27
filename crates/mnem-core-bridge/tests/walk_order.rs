//! Walks through the bridge equal the engine's own, block by block: over random graphs, staged and landed, in memory
//! and in files.

use std::sync::Arc;

use mnem_backend_redb::OpenOptions as Redb;
use mnem_backend_simple::OpenOptions as Simple;
use mnem_core::{
    id::{CODEC_DAG_CBOR, CODEC_RAW, Cid, Multihash},
    store::{Blockstore, MemoryBlockstore},
};
use mnem_core_bridge::{Bridge, Options};
use mnem_store_traits::{Bytes, MemoryStore, Store};
use proptest::{collection::vec, prelude::*};

/// A DAG-CBOR item. Links are to earlier blocks, by number.
#[derive(Clone, Debug)]
enum Item {
    Text,
    Link(usize),
    List(Vec<Item>),
    /// Written in the given order, canonical or not.
    Map(Vec<(String, Item)>),
}

fn item() -> impl Strategy<Value = Item> {
    let leaf = prop_oneof![1 => Just(Item::Text), 4 => any::<prop::sample::Index>().prop_map(|n| Item::Link(n.index(1 << 16)))];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Item::List),
            // Few letters and several lengths, so that the order by length differs from the plain one.
            vec(("[a-c]{1,3}", inner), 0..6).prop_map(|mut entries| {
                let mut known = Vec::new();
                entries.retain(|(key, _)| {
                    !known.contains(key) && {
                        known.push(key.clone());
                        true
                    }
                });
                Item::Map(entries)
            }),
        ]
    })
}

fn head(out: &mut Vec<u8>, major: u8, len: usize) {
    match len {
        0..24 => out.push(major << 5 | len as u8),
        24..256 => out.extend([major << 5 | 24, len as u8]),
        _ => panic!("too long for these tests"),
    }
}

fn encode(item: &Item, earlier: &[Cid], out: &mut Vec<u8>) {
    match item {
        Item::Link(number) if !earlier.is_empty() => {
            // Prefer the latest blocks, so that some graphs are deep.
            let back = (number % earlier.len()).min(number % 7);
            let cid = earlier[earlier.len() - 1 - back].to_bytes();
            out.extend([0xd8, 42]);
            head(out, 2, cid.len() + 1);
            out.push(0);
            out.extend(cid);
        }
        Item::Text | Item::Link(_) => out.extend(*b"\x64leaf"),
        Item::List(items) => {
            head(out, 4, items.len());
            items.iter().for_each(|item| encode(item, earlier, out));
        }
        Item::Map(entries) => {
            head(out, 5, entries.len());
            for (key, item) in entries {
                head(out, 3, key.len());
                out.extend(key.as_bytes());
                encode(item, earlier, out);
            }
        }
    }
}

/// Blocks, the last of which is the root. Every eighth is not DAG-CBOR according to its CID.
fn graph(items: &[Item]) -> Vec<(Cid, Bytes)> {
    let mut cids: Vec<Cid> = Vec::new();
    let mut blocks = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let mut data = Vec::new();
        // Add the block's number, so that no two blocks are equal.
        head(&mut data, 4, 2);
        head(&mut data, 0, number);
        encode(item, &cids, &mut data);
        let codec = if number % 8 == 5 { CODEC_RAW } else { CODEC_DAG_CBOR };
        let cid = Cid::new(codec, Multihash::sha2_256(&data));
        cids.push(cid.clone());
        blocks.push((cid, Bytes::from(data)));
    }
    blocks
}

type Walked = Vec<Result<(Cid, Bytes), String>>;

fn walk(store: &dyn Blockstore, root: &Cid) -> Walked {
    // Nothing may come after an error.
    store.iter_from_root(root).map(|block| block.map_err(|error| error.to_string())).collect()
}

/// Fills the bridge. Half of the blocks are staged when the walk begins.
fn fill(bridge: &Bridge, blocks: &[(Cid, Bytes)]) {
    for (number, (cid, data)) in blocks.iter().enumerate() {
        bridge.put(cid.clone(), data.clone()).unwrap();
        if number == blocks.len() / 2 {
            bridge.flush().unwrap();
        }
    }
}

fn bridge(store: Arc<dyn Store>) -> Bridge {
    Bridge::with_options(store, &Options::new().staged_time_max(None))
}

fn theirs(blocks: &[(Cid, Bytes)]) -> MemoryBlockstore {
    let theirs = MemoryBlockstore::new();
    blocks.iter().for_each(|(cid, data)| theirs.put(cid.clone(), data.clone()).unwrap());
    theirs
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_memory(items in vec(item(), 1..40), lacking in prop::option::weighted(0.2, any::<prop::sample::Index>())) {
        let mut blocks = graph(&items);
        let root = blocks[blocks.len() - 1].0.clone();
        if let Some(lacking) = lacking {
            blocks.remove(lacking.index(blocks.len()));
        }
        let bridge = bridge(Arc::new(MemoryStore::new()));
        fill(&bridge, &blocks);
        prop_assert_eq!(walk(&bridge, &root), walk(&theirs(&blocks), &root));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_files(items in vec(item(), 20..40)) {
        let blocks = graph(&items);
        let root = blocks[blocks.len() - 1].0.clone();
        let expected = walk(&theirs(&blocks), &root);
        let folder = tempfile::tempdir().unwrap();
        let stores: [Arc<dyn Store>; 2] = [
            Arc::new(Redb::new().create(true).open(folder.path().join("a.redb")).unwrap()),
            Arc::new(Simple::new().create(true).open(folder.path().join("a.simple")).unwrap()),
        ];
        for store in stores {
            let bridge = bridge(store);
            fill(&bridge, &blocks);
            prop_assert_eq!(&walk(&bridge, &root), &expected);
        }
    }
}

/// The cases that the random graphs should cover, one by one.
#[test]
fn the_known_peculiarities() {
    let link = |back: usize| Item::Link(back);
    let leaves = [Item::Text, Item::Text, Item::Text];
    let order = |root: Item| {
        let items: Vec<Item> = leaves.iter().cloned().chain([root]).collect();
        let blocks = graph(&items);
        let bridge = bridge(Arc::new(MemoryStore::new()));
        fill(&bridge, &blocks);
        let walked = walk(&bridge, &blocks[3].0);
        assert_eq!(walked, walk(&theirs(&blocks), &blocks[3].0));
        let number = |cid: &Cid| blocks.iter().position(|(known, _)| known == cid).unwrap();
        walked.iter().map(|block| number(&block.as_ref().unwrap().0)).collect::<Vec<_>>()
    };
    // `link(0)` is the latest leaf, 2.
    assert_eq!(order(Item::List(vec![link(2), link(1), link(0)])), [3, 0, 1, 2]);
    assert_eq!(order(Item::List(vec![link(2), link(1), link(2), link(0)])), [3, 1, 0, 2], "the last place counts");
    let map =
        |keys: [&str; 3]| Item::Map(keys.iter().zip([2, 1, 0]).map(|(key, n)| (key.to_string(), link(n))).collect());
    assert_eq!(order(map(["b", "aa", "c"])), [3, 1, 0, 2], "by the letters of the keys, not their length or place");
}
