//! The rules for an index, and the error for each violation.

use mnem_ann_persist::{DistanceMetric, IndexError, KnnEdge, KnnEdgeIndex};

use crate::{edge, node, root};

fn refused(k: u32, edges: Vec<KnnEdge>) -> IndexError {
    KnnEdgeIndex::new(root(), k, DistanceMetric::Dot, edges).expect_err("invalid edges")
}

#[test]
fn valid_edges_are_kept_as_they_are() {
    let edges = vec![edge(1, 2, 0.5), edge(1, 3, 0.5), edge(2, 1, 0.5)];
    let index = KnnEdgeIndex::new(root(), 2, DistanceMetric::Dot, edges.clone()).expect("valid edges");
    assert_eq!(index.edges(), edges);
    assert_eq!((index.root_cid(), index.k(), index.metric()), (&root(), 2, DistanceMetric::Dot));
    assert_eq!(index.into_edges(), edges);
}

#[test]
fn edges_ascend_by_source_then_destination() {
    let by_source = refused(2, vec![edge(2, 1, 0.5), edge(1, 2, 0.5)]);
    assert_eq!(by_source, IndexError::Unsorted { position: 1, src: node(1), dst: node(2) });
    let by_destination = refused(2, vec![edge(1, 3, 0.5), edge(1, 2, 0.5)]);
    assert_eq!(by_destination, IndexError::Unsorted { position: 1, src: node(1), dst: node(2) });
}

#[test]
fn a_pair_appears_once_whatever_its_weights() {
    let error = refused(3, vec![edge(1, 2, 0.5), edge(1, 2, 0.25)]);
    assert_eq!(error, IndexError::Duplicate { position: 1, src: node(1), dst: node(2) });
}

#[test]
fn no_node_is_its_own_neighbour() {
    assert_eq!(refused(3, vec![edge(1, 1, 1.0)]), IndexError::SelfLoop { position: 0, node: node(1) });
}

#[test]
fn weights_are_finite() {
    for weight in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = refused(3, vec![edge(1, 2, weight)]);
        assert_eq!(error, IndexError::NotFinite { position: 0, src: node(1), dst: node(2) });
    }
}

#[test]
fn a_source_has_at_most_k_neighbours() {
    let fan = vec![edge(1, 2, 0.5), edge(1, 3, 0.5), edge(1, 4, 0.5)];
    assert_eq!(refused(2, fan.clone()), IndexError::TooManyNeighbours { position: 2, src: node(1), k: 2 });
    assert_eq!(refused(0, fan.clone()), IndexError::TooManyNeighbours { position: 0, src: node(1), k: 0 });
    assert!(KnnEdgeIndex::new(root(), 3, DistanceMetric::Dot, fan).is_ok());
    // The count starts again with each source.
    let two_sources = vec![edge(1, 2, 0.5), edge(1, 3, 0.5), edge(2, 1, 0.5), edge(2, 3, 0.5)];
    assert!(KnnEdgeIndex::new(root(), 2, DistanceMetric::Dot, two_sources).is_ok());
}
