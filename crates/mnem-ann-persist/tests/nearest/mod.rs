//! The neighbours are the true nearest, as decided by integers of any size.

mod families;
mod judge;

use std::{num::NonZero, ops::ControlFlow};

use mnem_ann_persist::{Derive, DeriveError, DistanceMetric, KnnEdge, NodeId, Order, normalized};

use self::{
    families::{Random, SCALES},
    judge::Judge,
};
use crate::node;

const METRICS: [DistanceMetric; 3] = [DistanceMetric::Cosine, DistanceMetric::L2, DistanceMetric::Dot];

fn ids(count: usize, random: &mut Random) -> Vec<NodeId> {
    (0..count).map(|_| NodeId((u128::from(random.next()) << 64 | u128::from(random.next())).to_be_bytes())).collect()
}

fn run(how: Derive, ids: &[NodeId], vectors: &[Vec<f32>], k: usize, metric: DistanceMetric) -> Vec<KnnEdge> {
    how.run(ids, vectors, k as u32, metric, &mut |_, _| ControlFlow::Continue(())).expect("derived")
}

fn pairs(edges: &[KnnEdge]) -> Vec<(NodeId, NodeId)> {
    edges.iter().map(|edge| (edge.src, edge.dst)).collect()
}

fn with_lengths_of_any_size(metric: DistanceMetric) -> Derive {
    let threads = NonZero::new(2).expect("two");
    Derive::new().threads(threads).normalize(metric == DistanceMetric::Cosine)
}

#[test]
fn neighbours_are_the_nearest_by_true_distances() {
    let mut random = Random::new(1);
    // One block of rows, and two; few candidates, and so many that some are dropped on the way.
    for (count, ks) in [(24, &[1, 3, 12][..]), (66, &[2])] {
        for (name, vectors) in families::all(count, &mut random) {
            let ids = ids(vectors.len(), &mut random);
            for metric in METRICS {
                let judge = Judge::new(&ids, &vectors, metric);
                for &k in ks {
                    let edges = run(with_lengths_of_any_size(metric), &ids, &vectors, k, metric);
                    assert_eq!(pairs(&edges), judge.neighbours(k), "{name}: {metric:?}, k = {k}");
                    assert!(edges.iter().all(|edge| edge.weight.is_finite()), "{name}: {metric:?}, k = {k}");
                }
            }
        }
    }
}

/// For vectors divided by their lengths, every metric has the order of the cosine.
#[test]
fn divided_by_their_lengths_the_nearest_have_the_greatest_cosine() {
    let mut random = Random::new(2);
    for (name, vectors) in families::all(20, &mut random) {
        let ids = ids(vectors.len(), &mut random);
        let expected = Judge::new(&ids, &vectors, DistanceMetric::Cosine).neighbours(4);
        for metric in METRICS {
            let edges = run(Derive::new().normalize(true), &ids, &vectors, 4, metric);
            assert_eq!(pairs(&edges), expected, "{name}: {metric:?}");
        }
        // Rounded to 32 bits first, they are other vectors, whose true order is also kept.
        let units: Vec<Vec<f32>> = vectors.iter().map(|vector| normalized(vector).expect("a length")).collect();
        let expected = Judge::new(&ids, &units, DistanceMetric::Cosine).neighbours(4);
        let edges = run(Derive::new(), &ids, &units, 4, DistanceMetric::Cosine);
        assert_eq!(pairs(&edges), expected, "{name}: of length one");
    }
}

/// Long enough that the bounds of a sum are wide, with neighbours that differ in its last bits.
#[test]
fn long_vectors_that_are_nearly_alike_are_told_apart() {
    let mut random = Random::new(3);
    let base: Vec<f32> = (0..150).map(|_| (random.next() >> 40) as f32 / 8_388_608.0 - 1.0).collect();
    let nearly = |random: &mut Random| {
        let mut vector = base.clone();
        let at = random.next() as usize % vector.len();
        vector[at] = f32::from_bits(vector[at].to_bits() + 1 + (random.next() % 3) as u32);
        vector
    };
    let vectors: Vec<Vec<f32>> = (0..66).map(|_| nearly(&mut random)).collect();
    let ids = ids(vectors.len(), &mut random);
    for metric in METRICS {
        let edges = run(with_lengths_of_any_size(metric), &ids, &vectors, 5, metric);
        assert_eq!(pairs(&edges), Judge::new(&ids, &vectors, metric).neighbours(5), "{metric:?}");
    }
}

#[test]
fn a_power_of_two_changes_no_neighbour() {
    let mut random = Random::new(4);
    let vectors: Vec<Vec<f32>> =
        (0..100).map(|_| (0..7).map(|_| (random.next() >> 40) as f32 / 8_388_608.0 - 1.0).collect()).collect();
    let ids = ids(vectors.len(), &mut random);
    for metric in METRICS {
        let expected = run(with_lengths_of_any_size(metric), &ids, &vectors, 6, metric);
        for exponent in [-100, -64, -30, 30, 64, 127] {
            let scaled: Vec<Vec<f32>> =
                vectors.iter().map(|vector| vector.iter().map(|x| x * 2_f32.powi(exponent)).collect()).collect();
            let edges = run(with_lengths_of_any_size(metric), &ids, &scaled, 6, metric);
            assert_eq!(pairs(&edges), pairs(&expected), "{metric:?}, 2^{exponent}");
            if metric == DistanceMetric::Cosine {
                assert_eq!(edges, expected, "2^{exponent}");
            }
        }
    }
}

/// The judge detects a wrong order: that of rounded weights differs.
#[test]
fn the_published_order_is_another_where_squares_vanish_overflow_or_round() {
    let mut random = Random::new(5);
    for step in [1e-25_f32, 1e19, 1e30] {
        let vectors: Vec<Vec<f32>> = (0..40).map(|n| vec![n as f32 * step]).collect();
        let ids = ids(vectors.len(), &mut random);
        let expected = Judge::new(&ids, &vectors, DistanceMetric::L2).neighbours(2);
        let edges = run(Derive::new().order(Order::AsPublished), &ids, &vectors, 2, DistanceMetric::L2);
        assert_ne!(pairs(&edges), expected, "{step:e}");
    }
}

#[test]
fn weights_of_numbers_that_32_bits_cannot_multiply_are_the_nearest_there_are() {
    let tiny = f32::from_bits(1);
    let of = |metric, a: &[f32], b: &[f32]| {
        let edges = run(Derive::new(), &[node(1), node(2)], &[a.to_vec(), b.to_vec()], 1, metric);
        assert_eq!(edges[0].weight.to_bits(), edges[1].weight.to_bits());
        edges[0].weight
    };
    for (a, b, expected) in [
        (&[1e38, 1e38, 1.0][..], &[1e38, -1e38, 3.0][..], 3.0),
        (&[1e30, 1e-30], &[-1e30, 1.0], f32::MIN),
        (&[1e30], &[1e30], f32::MAX),
        (&[1e-25; 100], &[1e-18; 100], 1e-41),
        (&[1e-30], &[1e-30], 0.0),
        (&[tiny, 1e-23], &[1.0, 1e-22], tiny + 1e-45),
    ] {
        assert_eq!(of(DistanceMetric::Dot, a, b), expected, "{a:?} · {b:?}");
    }
    for (distance, expected) in [(1e20, 1e-20), (1e30, 1e-30), (3e38, 1.0 / 3e38), (1e-30, 1.0), (1e10, 1e-10)] {
        assert_eq!(of(DistanceMetric::L2, &[0.0, 0.0], &[0.0, distance]), expected, "{distance:e}");
    }
    assert_eq!(of(DistanceMetric::L2, &[f32::MAX], &[f32::MIN]), (0.5 / f64::from(f32::MAX)) as f32);
}

#[test]
fn any_length_but_zero_divides() {
    for scale in SCALES {
        let unit = normalized(&[0.0, scale, -scale]).expect("a length");
        assert!(
            (unit[1] - 0.5_f32.sqrt()).abs() < 1e-6 && unit[2] == -unit[1] && unit[0] == 0.0,
            "{scale:e}: {unit:?}"
        );
    }
    assert_eq!(normalized(&[f32::MAX; 4]), Some(vec![0.5; 4]));
    assert_eq!(normalized(&[f32::from_bits(1), 0.0]), Some(vec![1.0, 0.0]));
    let refused = Derive::new().normalize(true).run(
        &[node(2), node(1)],
        &[[1.0, 1e38], [0.0, -0.0]],
        1,
        DistanceMetric::Cosine,
        &mut |_, _| ControlFlow::Continue(()),
    );
    assert_eq!(refused, Err(DeriveError::NoLength { position: 1, id: node(1) }));
}
