//! Decoding accepts only canonical rows of valid indexes, and refuses everything else with the offset.

use mnem_ann_persist::{DecodeError, DistanceMetric, KnnEdgeIndex};

use crate::{edge, root, small, unhex};

/// Bytes before the first edge of [`small`].
const HEAD: usize = 3 + 1 + 6 + 1;
const EDGE: usize = 59;
/// Offset of the weight's eight bytes inside an edge.
const WEIGHT: usize = EDGE - 8;

fn offset(row: &[u8]) -> usize {
    match KnnEdgeIndex::decode(row).expect_err("refused") {
        DecodeError::NotCanonical { offset, .. } | DecodeError::Root { offset, .. } => offset,
        other => panic!("{other:?}"),
    }
}

fn spliced(at: usize, remove: usize, insert: &[u8]) -> Vec<u8> {
    let mut row = small().canonical_bytes();
    row.splice(at..at + remove, insert.iter().copied());
    row
}

#[test]
fn reads_back_what_was_written() {
    let index = small();
    let read = KnnEdgeIndex::decode(&index.canonical_bytes()).expect("decodes");
    assert_eq!(read, index);
    assert!(read.edges()[4].weight.is_sign_negative(), "the sign of zero is kept");
}

#[test]
fn every_cut_is_refused() {
    let row = small().canonical_bytes();
    for length in 0..row.len() {
        assert!(offset(&row[..length]) <= length, "cut to {length}");
    }
}

#[test]
fn bytes_behind_the_row_are_refused() {
    let mut row = small().canonical_bytes();
    row.push(0);
    assert_eq!(offset(&row), row.len() - 1);
}

#[test]
fn whatever_decodes_is_canonical() {
    let row = small().canonical_bytes();
    let mut accepted = 0;
    for at in 0..row.len() {
        for bit in 0..8 {
            let mut flipped = row.clone();
            flipped[at] ^= 1 << bit;
            if let Ok(index) = KnnEdgeIndex::decode(&flipped) {
                accepted += 1;
                assert_eq!(index.canonical_bytes(), flipped, "bit {bit} of byte {at}");
                assert_ne!(index.compute_cid(), small().compute_cid());
            }
        }
    }
    assert!(accepted > 0, "a flipped weight or root is a valid row of another index");
}

#[test]
fn longer_forms_of_numbers_are_refused() {
    assert_eq!(offset(&spliced(3, 1, &[0x18, 2])), 3, "k in two bytes");
    assert_eq!(offset(&spliced(3, 1, &[0x1b, 0, 0, 0, 0, 0, 0, 0, 2])), 3, "k in nine bytes");
    assert_eq!(offset(&spliced(3, 1, &[0x1b, 0, 0, 0, 1, 0, 0, 0, 0])), 3, "k above 32 bits");
    assert_eq!(offset(&spliced(3, 1, &[0x22])), 3, "a negative k");
    assert_eq!(offset(&spliced(HEAD - 1, 1, &[0x98, 6])), HEAD - 1, "the count in two bytes");
    assert_eq!(offset(&spliced(HEAD - 1, 1, &[0x9f])), HEAD - 1, "an array of unknown length");
}

#[test]
fn a_count_beyond_the_row_allocates_nothing() {
    let row = spliced(HEAD - 1, 1, &[0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(offset(&row), HEAD - 1);
    let row = spliced(HEAD - 1, 1, &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(offset(&row), HEAD - 1);
}

#[test]
fn weights_that_no_index_has_are_refused() {
    let at = HEAD + WEIGHT;
    for wide in [0.1_f64, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e-300] {
        assert_eq!(offset(&spliced(at, 8, &wide.to_be_bytes())), at, "{wide}");
    }
    assert_eq!(offset(&spliced(at - 1, 9, &[0xfa, 0x3f, 0, 0, 0])), at - 8, "a float of 32 bits");
    assert_eq!(offset(&spliced(at - 1, 9, &[0x01])), at - 8, "an integer");
}

#[test]
fn readable_edges_that_make_no_index_are_refused() {
    let row = small().canonical_bytes();
    let (first, second) = (HEAD..HEAD + EDGE, HEAD + EDGE..HEAD + 2 * EDGE);
    let mut swapped = row.clone();
    swapped[first.clone()].copy_from_slice(&row[second.clone()]);
    swapped[second].copy_from_slice(&row[first]);
    assert!(matches!(KnnEdgeIndex::decode(&swapped), Err(DecodeError::Index(_))));
    assert!(
        matches!(KnnEdgeIndex::decode(&spliced(3, 1, &[1])), Err(DecodeError::Index(_))),
        "k smaller than its lists"
    );
}

#[test]
fn other_keys_and_metrics_are_refused() {
    let row = KnnEdgeIndex::empty(root(), 3, DistanceMetric::Dot).canonical_bytes();
    let metric = 4 + 7 + 7;
    assert_eq!(&row[metric..metric + 4], b"\x63Dot");
    let mut other = row.clone();
    other[metric + 1..metric + 4].copy_from_slice(b"dot");
    assert_eq!(offset(&other), metric);
    // The same map with "edges" first.
    let reordered = unhex("a4656564676573 80 616b03").into_iter().chain(row[11..].iter().copied()).collect::<Vec<_>>();
    assert_eq!(offset(&reordered), 0);
    // One more entry.
    let more = unhex("a5616b03").into_iter().chain(row[4..].iter().copied()).collect::<Vec<_>>();
    assert_eq!(offset(&more), 0);
}

#[test]
fn a_root_that_is_no_cid_is_refused() {
    let row = KnnEdgeIndex::empty(root(), 3, DistanceMetric::Dot).canonical_bytes();
    let prefix = row.len() - 37;
    for (at, byte, expected) in [(prefix, 1, prefix), (prefix + 1, 9, prefix + 1), (prefix + 4, 33, prefix + 1)] {
        let mut other = row.clone();
        other[at] = byte;
        assert_eq!(offset(&other), expected, "byte {at}");
    }
    // A byte after the CID, inside the link.
    let mut longer = row.clone();
    longer.push(0);
    longer[prefix - 1] += 1;
    assert_eq!(offset(&longer), prefix + 1);
}

#[test]
fn an_edge_in_error_is_named() {
    let error = KnnEdgeIndex::new(root(), 1, DistanceMetric::Dot, vec![edge(1, 2, f32::NAN)]).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "edge 0 (01010101010101010101010101010101 to 02020202020202020202020202020202) has a weight that is not finite"
    );
}
