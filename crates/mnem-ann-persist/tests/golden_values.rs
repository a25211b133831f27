//! Rows and CIDs computed with the published crate `mnem-ann` 0.1.7.

use mnem_ann_persist::{DistanceMetric, KnnEdgeIndex};
use mnem_store_traits::{Cid, cid_from_bytes};

use crate::{edge, root, unhex};

fn agrees(index: &KnnEdgeIndex, row: &[u8], cid: &str) {
    assert_eq!(index.canonical_bytes(), row, "the row");
    assert_eq!(index.compute_cid().to_string(), cid, "the CID");
    assert_eq!(&KnnEdgeIndex::decode(row).expect("the published row decodes"), index);
}

#[test]
fn empty_dot() {
    let index = KnnEdgeIndex::empty(root(), 3, DistanceMetric::Dot);
    let row = unhex(
        "a4616b0365656467657380666d657472696363446f7468726f6f745f636964d82a582500017112207e43b4d22a268ccba8b129401305db1c
         84a16e3ed6b1986afd82228187f0a91e",
    );
    assert_eq!(row.len(), 72);
    agrees(&index, &row, "bafkreidr5kdszeeuldm2frpeihfyq3j4zhvocfw564emd5cevwjuvbswp4");
}

#[test]
fn two_nodes_l2() {
    let edges = vec![edge(0x11, 0x22, 0.1), edge(0x22, 0x11, -1.5e-38)];
    let index = KnnEdgeIndex::new(root(), 1, DistanceMetric::L2, edges).expect("valid edges");
    let row = unhex(
        "a4616b0165656467657382
         a363647374502222222222222222222222222222222263737263501111111111111111111111111111111166776569676874fb3fb99999a0000000
         a363647374501111111111111111111111111111111163737263502222222222222222222222222222222266776569676874fbb8146abcc0000000
         666d6574726963624c32
         68726f6f745f636964d82a582500017112207e43b4d22a268ccba8b129401305db1c84a16e3ed6b1986afd82228187f0a91e",
    );
    agrees(&index, &row, "bafkreidfeyhcsku66cgnncle7h3ly4lxzya62ufn7zterurdwfh4bdk4eu");
}

#[test]
fn blake3_root_and_a_k_of_four_bytes() {
    let root: Cid = cid_from_bytes(&unhex("01711e20dd2213d97519ddcb136a51e1fafb45d3b320d706676ebb50c7029762a3291a17"))
        .expect("a CID");
    let index = KnnEdgeIndex::empty(root, 70_000, DistanceMetric::Cosine);
    let row = unhex(
        "a4616b1a0001117065656467657380666d657472696366436f73696e65
         68726f6f745f636964d82a58250001711e20dd2213d97519ddcb136a51e1fafb45d3b320d706676ebb50c7029762a3291a17",
    );
    agrees(&index, &row, "bafkreid2mjmklrjqeond3l4pbpmyet6tzhan3wh4t4cg3y5c5xuyfdicr4");
}

/// Derived with that crate from 20 random vectors, 4 neighbours each.
#[test]
fn derived_from_twenty_vectors() {
    let row = unhex(include_str!("golden/derived-20x4.hex"));
    let index = KnnEdgeIndex::decode(&row).expect("the published row decodes");
    assert_eq!((index.edges().len(), index.k(), index.metric()), (80, 4, DistanceMetric::Cosine));
    let rebuilt = KnnEdgeIndex::new(*index.root_cid(), 4, DistanceMetric::Cosine, index.edges().to_vec());
    agrees(&rebuilt.expect("valid edges"), &row, "bafkreida5zd25etdrny5wwe77xfmzv3bjknqdjczef4dcfzvmknucmhqhe");
}

/// General encoders disagree about the sign of zero; the published rows keep it.
#[test]
fn the_sign_of_zero_is_kept() {
    let index = KnnEdgeIndex::new(root(), 1, DistanceMetric::Dot, vec![edge(0x11, 0x22, -0.0)]).expect("valid edges");
    let row = unhex(
        "a4616b0165656467657381
         a363647374502222222222222222222222222222222263737263501111111111111111111111111111111166776569676874fb8000000000000000
         666d657472696363446f74
         68726f6f745f636964d82a582500017112207e43b4d22a268ccba8b129401305db1c84a16e3ed6b1986afd82228187f0a91e",
    );
    agrees(&index, &row, "bafkreicowd2suoqzs3enw32jqkzunocnobok4suzm2u264s2rivvltbjoe");
}
