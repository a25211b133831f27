//! Nearest neighbours: which nodes, with what weight, and the errors.

use std::{num::NonZero, ops::ControlFlow};

use mnem_ann_persist::{Derive, DeriveError, DistanceMetric, KnnEdge, KnnEdgeIndex, NodeId, Order, derive, normalized};

use crate::{edge, node, root};

const METRICS: [DistanceMetric; 3] = [DistanceMetric::Cosine, DistanceMetric::L2, DistanceMetric::Dot];

/// Vectors of length one, reproducible.
fn vectors(count: usize, width: usize) -> (Vec<NodeId>, Vec<Vec<f32>>) {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let ids = (0..count).map(|_| NodeId((u128::from(next()) << 64 | u128::from(next())).to_be_bytes())).collect();
    let vector = |_| -> Vec<f32> { (0..width).map(|_| (next() >> 40) as f32 / 8_388_608.0 - 1.0).collect() };
    (ids, (0..count).map(vector).map(|vector| normalized(&vector).expect("not zero")).collect())
}

/// The documented order of summation, one number after the other.
fn weight(a: &[f32], b: &[f32], metric: DistanceMetric) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for (at, (x, y)) in a.iter().zip(b).enumerate() {
        let term = if metric == DistanceMetric::L2 { (x - y) * (x - y) } else { x * y };
        lanes[at % 8] += term;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let sum = ((a + e) + (c + g)) + ((b + f) + (d + h));
    if metric == DistanceMetric::L2 { 1.0 / (1.0 + sum.sqrt()) } else { sum }
}

/// Compares every pair, without any optimisation.
fn plainly(ids: &[NodeId], vectors: &[Vec<f32>], k: usize, metric: DistanceMetric) -> Vec<KnnEdge> {
    let mut edges = Vec::new();
    for (src, a) in ids.iter().zip(vectors) {
        let others = ids.iter().zip(vectors).filter(|(dst, _)| *dst != src);
        let mut list: Vec<KnnEdge> =
            others.map(|(dst, b)| KnnEdge { src: *src, dst: *dst, weight: weight(a, b, metric) }).collect();
        list.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.dst.cmp(&b.dst)));
        edges.extend(list.into_iter().take(k));
    }
    edges.sort_by_key(|edge| (edge.src, edge.dst));
    edges
}

fn bits(edges: &[KnnEdge]) -> Vec<(NodeId, NodeId, u32)> {
    edges.iter().map(|edge| (edge.src, edge.dst, edge.weight.to_bits())).collect()
}

#[test]
fn the_same_as_in_the_plainest_way_for_every_metric_and_shape() {
    for (count, width, k) in [(2, 1, 1), (3, 7, 2), (63, 8, 5), (64, 9, 4), (65, 50, 16), (130, 33, 129), (131, 384, 3)]
    {
        let (ids, vectors) = vectors(count, width);
        for metric in METRICS {
            let edges = derive(&ids, &vectors, k as u32, metric).expect("derived");
            assert_eq!(bits(&edges), bits(&plainly(&ids, &vectors, k, metric)), "{count} x {width}, {k}, {metric:?}");
            KnnEdgeIndex::new(root(), k as u32, metric, edges).expect("an index");
        }
    }
}

#[test]
fn threads_and_the_order_of_input_change_nothing() {
    let (ids, vectors) = vectors(333, 20);
    let with = |threads: usize| {
        let threads = NonZero::new(threads).expect("some");
        let derive = Derive::new().threads(threads);
        derive.run(&ids, &vectors, 9, DistanceMetric::L2, &mut |_, _| ControlFlow::Continue(())).expect("derived")
    };
    let expected = bits(&with(1));
    for threads in [2, 3, 8, 64] {
        assert_eq!(bits(&with(threads)), expected, "{threads} threads");
    }
    let reversed = derive(
        &ids.iter().rev().copied().collect::<Vec<_>>(),
        &vectors.iter().rev().collect::<Vec<_>>(),
        9,
        DistanceMetric::L2,
    );
    assert_eq!(bits(&reversed.expect("derived")), expected);
}

/// The golden bytes, identical on every machine.
#[test]
fn a_derivation_has_the_cid_it_always_had() {
    let (ids, vectors) = vectors(200, 50);
    let cids = METRICS.map(|metric| {
        let edges = derive(&ids, &vectors, 8, metric).expect("derived");
        KnnEdgeIndex::new(root(), 8, metric, edges).expect("an index").compute_cid().to_string()
    });
    assert_eq!(cids, GOLDEN);
}

const GOLDEN: [&str; 3] = [
    "bafkreif5abrseegqvqkqsgv4f53cddj7mxsjjq3vuhtzvfb4ck52io2tjy",
    "bafkreifv7i6twdvcqdmhvomor5o65tntdddxphq7244mlim7jrtu6jqtfq",
    "bafkreicmarq4mam2erizzk54qufi6nykdsfsa47hjwun4unzf7qrxwigbu",
];

#[test]
fn of_equal_weights_the_lowest_ids_win() {
    let ids = [node(5), node(1), node(4), node(2), node(3)];
    let edges = derive(&ids, &[[1.0, 0.0]; 5], 2, DistanceMetric::Cosine).expect("derived");
    let expected = [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1), (5, 2)];
    assert_eq!(edges, expected.map(|(src, dst)| edge(src, dst, 1.0)));
    // Zeros of either sign are equal.
    let vectors = [[1.0, 0.0], [-0.0, 1.0], [0.0, 1.0]];
    let edges = derive(&[node(1), node(2), node(3)], &vectors, 1, DistanceMetric::Dot).expect("derived");
    assert_eq!(edges[0].dst, node(2));
}

/// The result does not depend on which thread comes first, or on the order of blocks.
#[test]
fn ties_over_many_blocks_go_to_the_lowest_ids() {
    let ids: Vec<NodeId> = (0..300_u128).map(|n| NodeId((n * 7919 % 300).to_be_bytes())).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    for threads in [1, 2, 5] {
        let derive = Derive::new().threads(NonZero::new(threads).expect("some"));
        let edges = derive.run(&ids, &[[1.0]; 300], 3, DistanceMetric::Dot, &mut |_, _| ControlFlow::Continue(()));
        for (list, src) in edges.expect("derived").chunks(3).zip(&sorted) {
            let expected: Vec<NodeId> = sorted.iter().filter(|id| *id != src).take(3).copied().collect();
            assert!(list.iter().all(|edge| edge.src == *src));
            assert_eq!(list.iter().map(|edge| edge.dst).collect::<Vec<_>>(), expected, "{threads} threads");
        }
    }
}

#[test]
fn weights_are_those_of_the_metric() {
    let ids = [node(1), node(2)];
    for (metric, expected) in
        [(DistanceMetric::Cosine, 0.6), (DistanceMetric::Dot, 0.6), (DistanceMetric::L2, 0.527_864)]
    {
        let edges = derive(&ids, &[[1.0, 0.0], [0.6, 0.8]], 1, metric).expect("derived");
        assert!((edges[0].weight - expected).abs() < 1e-6, "{metric:?}: {}", edges[0].weight);
    }
}

#[test]
fn k_has_an_answer_whatever_it_is() {
    let (ids, vectors) = vectors(5, 4);
    for (k, each) in [(0, 0), (1, 1), (4, 4), (5, 4), (u32::MAX, 4)] {
        assert_eq!(derive(&ids, &vectors, k, DistanceMetric::Dot).expect("derived").len(), 5 * each, "k = {k}");
    }
    assert_eq!(derive(&ids[..1], &vectors[..1], 3, DistanceMetric::Dot), Ok(vec![]));
    assert_eq!(derive::<Vec<f32>>(&[], &[], 3, DistanceMetric::Dot), Ok(vec![]));
    // Vectors of no numbers are all equal.
    assert_eq!(derive(&ids, &[[0.0; 0]; 5], 1, DistanceMetric::L2).expect("derived").len(), 5);
}

#[test]
fn bad_input_is_named() {
    let ids = [node(1), node(2), node(3)];
    let unit = vec![1.0, 0.0];
    let with =
        |last: Vec<f32>, metric| derive(&ids, &[unit.clone(), unit.clone(), last], 1, metric).expect_err("refused");
    let (cosine, dot) = (DistanceMetric::Cosine, DistanceMetric::Dot);
    let (position, id) = (2, node(3));
    assert_eq!(with(vec![1.0], dot), DeriveError::Ragged { position, id, found: 1, expected: 2 });
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(with(vec![0.0, number], DistanceMetric::L2), DeriveError::NotFinite { position, id });
    }
    for vector in [vec![0.0, 0.0], vec![2.0, 0.0], vec![0.5, 0.5], vec![f32::MAX, f32::MAX]] {
        assert_eq!(with(vector, cosine), DeriveError::NotUnit { position, id });
    }
    assert!(derive(&ids, &[[0.0, 0.0]; 3], 1, dot).is_ok(), "zero vectors have dot products");
    let repeated = derive(&[node(1), node(2), node(1)], &[[1.0], [1.0], [1.0]], 1, dot);
    assert_eq!(repeated, Err(DeriveError::DuplicateId { position: 2, id: node(1) }));
    assert_eq!(derive(&ids, &[[1.0]], 1, dot), Err(DeriveError::Lengths { ids: 3, vectors: 1 }));
    let as_published = |vectors: [[f32; 1]; 2], metric| {
        Derive::new()
            .order(Order::AsPublished)
            .run(&ids[..2], &vectors, 1, metric, &mut |_, _| ControlFlow::Continue(()))
    };
    let large = as_published([[f32::MAX], [f32::MAX]], dot);
    assert!(matches!(large, Err(DeriveError::Overflow { .. })), "{large:?}");
    let far = as_published([[f32::MAX], [f32::MIN]], DistanceMetric::L2).expect("far apart");
    assert_eq!(far[0].weight, 0.0);
}

#[test]
fn progress_is_told_and_can_stop_the_work() {
    let (ids, vectors) = vectors(1000, 4);
    for threads in [1, 3] {
        let derive = Derive::new().threads(NonZero::new(threads).expect("some"));
        let mut seen = Vec::new();
        let edges = derive.run(&ids, &vectors, 2, DistanceMetric::Dot, &mut |done, total| {
            seen.push((done, total));
            ControlFlow::Continue(())
        });
        assert_eq!(edges.expect("derived").len(), 2000);
        assert!(seen.is_sorted() && seen.iter().all(|(_, total)| *total == 1000), "{seen:?}");
        assert_eq!(seen.last(), Some(&(1000, 1000)));
        let stopped = derive.run(&ids, &vectors, 2, DistanceMetric::Dot, &mut |_, _| ControlFlow::Break(()));
        assert_eq!(stopped, Err(DeriveError::Stopped));
    }
}

#[test]
fn normalizing_divides_by_the_length() {
    assert_eq!(normalized(&[3.0, 4.0]), Some(vec![0.6, 0.8]));
    for vector in [vec![], vec![0.0, -0.0], vec![f32::NAN], vec![f32::INFINITY, 1.0]] {
        assert_eq!(normalized(&vector), None, "{vector:?}");
    }
}
