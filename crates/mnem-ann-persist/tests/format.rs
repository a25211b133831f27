//! The worked example in `FORMAT.md` matches what is written, and decodes to the index that it describes.

use std::collections::BTreeMap;

use mnem_ann_persist::{DistanceMetric, Format, KnnEdgeIndex, TABLE, derive, load, open, store, store_row};
use mnem_store_traits::{Bytes, Cid, MemoryStore, Store as _};

use crate::{node, root, unhex};

const PAGE: &str = include_str!("../FORMAT.md");

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The rows of the example in format 2, and its row in format 1.
fn rows_of_the_page() -> (Rows, Rows) {
    let blocks = PAGE.split("```bytes\n").skip(1).map(|block| block.split("```").next().expect("an end"));
    let mut rows: Vec<_> = blocks.map(row).collect();
    assert_eq!(rows.len(), 4, "manifest, page, chunk; and the row of format 1");
    let row_of_format_1 = rows.pop();
    (rows.into_iter().collect(), row_of_format_1.into_iter().collect())
}

/// Parses the hexadecimal lines of a row. Two spaces separate the bytes from their explanation.
fn row(block: &str) -> (Vec<u8>, Vec<u8>) {
    let bytes = |lines: &str| unhex(&lines.lines().filter_map(|line| line.split("  ").next()).collect::<String>());
    let (key, value) = block.strip_prefix("key\n").expect("a key").split_once("value\n").expect("a value");
    (bytes(key), bytes(value))
}

fn rows_of(store: &MemoryStore) -> Rows {
    let table = store.side_table(TABLE).expect("the table");
    let keys = table.keys(&[]).expect("keys").map(|key| key.expect("a key"));
    keys.map(|key| (key.to_vec(), table.get(&key).expect("read").expect("a row").to_vec())).collect()
}

fn index() -> KnnEdgeIndex {
    let edges = derive(&[node(0x11), node(0x22)], &[[0.0], [1.0]], 1, DistanceMetric::L2).expect("derived");
    KnnEdgeIndex::new(root(), 1, DistanceMetric::L2, edges).expect("an index")
}

#[test]
fn the_example_is_what_is_written() {
    let (packed, row) = rows_of_the_page();
    let index = index();
    let prose = PAGE.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(prose.contains(&format!("The index `{}`: root `{}`", index.compute_cid(), index.root_cid())));
    let [in_2, in_1] = [MemoryStore::new(), MemoryStore::new()];
    store(&*in_2.side_table(TABLE).expect("the table"), &index).expect("stored");
    store_row(&*in_1.side_table(TABLE).expect("the table"), &index).expect("stored");
    assert_eq!(rows_of(&in_2), packed);
    assert_eq!(rows_of(&in_1), row);
}

#[test]
fn the_example_is_read() {
    let (packed, row) = rows_of_the_page();
    for (rows, format) in [(packed, Format::Packed), (row, Format::Row)] {
        let table = MemoryStore::new().side_table(TABLE).expect("the table");
        let puts: Vec<(Bytes, Bytes)> = rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        table.write(&puts, &[]).expect("written");
        let cid: Cid = index().compute_cid();
        assert_eq!(load(&*table, &cid).expect("read"), Some(index()));
        let reader = open(table, &cid).expect("read").expect("there");
        assert_eq!(reader.format(), format);
        assert_eq!(reader.neighbors(&node(0x22)).expect("read")[0].dst, node(0x11));
    }
}
