//! The links of a DAG-CBOR block.

use ipld_core::ipld::Ipld;
use mnem_storage::{DAG_CBOR, cid_of, links};

/// An accepted block is one item in its only encoding, and its links are those of the decoded tree.
pub fn dag_cbor_links(data: &[u8]) {
    let cid = cid_of(DAG_CBOR, data);
    let Ok(found) = links(&cid, data) else { return };
    let tree: Ipld = serde_ipld_dagcbor::from_slice(data).expect("what has links is an item");
    assert_eq!(serde_ipld_dagcbor::to_vec(&tree).expect("an item can be written"), data, "not the canonical encoding");
    let mut expected = Vec::new();
    tree.references(&mut expected);
    let mut found = found;
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "other links than those of the tree");
}
