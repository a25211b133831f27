//! Decides the nearest with integers of any size: a float of 32 bits is an integer times 2^-149.

use std::cmp::Ordering;

use mnem_ann_persist::{DistanceMetric, NodeId};
use num_bigint::{BigInt, Sign};

/// For each node the others, nearest first.
pub(crate) struct Judge(Vec<(NodeId, Vec<NodeId>)>);

impl Judge {
    pub(crate) fn new(ids: &[NodeId], vectors: &[Vec<f32>], metric: DistanceMetric) -> Self {
        let vectors: Vec<Vec<BigInt>> =
            vectors.iter().map(|vector| vector.iter().copied().map(integer).collect()).collect();
        let others = |at: usize| {
            let others = (0..ids.len()).filter(|other| *other != at);
            let mut others: Vec<(Nearness, NodeId)> =
                others.map(|other| (nearness(&vectors[at], &vectors[other], metric), ids[other])).collect();
            others.sort_by(|a, b| b.0.compare(&a.0).then(a.1.cmp(&b.1)));
            (ids[at], others.into_iter().map(|(_, id)| id).collect())
        };
        Self((0..ids.len()).map(others).collect())
    }

    /// The `k` nearest of each node, as pairs, ascending.
    pub(crate) fn neighbours(&self, k: usize) -> Vec<(NodeId, NodeId)> {
        let pairs = self.0.iter().flat_map(|(src, others)| others.iter().take(k).map(|dst| (*src, *dst)));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        pairs
    }
}

enum Nearness {
    Score(BigInt),
    /// The root of a fraction, given by its sign and the fraction.
    Root(Sign, BigInt, BigInt),
}

impl Nearness {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Score(a), Self::Score(b)) => a.cmp(b),
            (Self::Root(sign_a, above_a, below_a), Self::Root(sign_b, above_b, below_b)) => {
                sign_a.cmp(sign_b).then_with(|| {
                    let of_squares = (above_a * below_b).cmp(&(above_b * below_a));
                    if *sign_a == Sign::Minus { of_squares.reverse() } else { of_squares }
                })
            }
            _ => unreachable!("one metric for all"),
        }
    }
}

fn nearness(a: &[BigInt], b: &[BigInt], metric: DistanceMetric) -> Nearness {
    let sum = |term: &dyn Fn(&BigInt, &BigInt) -> BigInt| a.iter().zip(b).map(|(x, y)| term(x, y)).sum::<BigInt>();
    let dot = || sum(&|x, y| x * y);
    match metric {
        DistanceMetric::L2 => Nearness::Score(-sum(&|x, y| (x - y) * (x - y))),
        DistanceMetric::Dot => Nearness::Score(dot()),
        DistanceMetric::Cosine => {
            let dot = dot();
            // The length of `a` is common to all.
            Nearness::Root(dot.sign(), &dot * &dot, sum(&|_, y| y * y))
        }
    }
}

fn integer(x: f32) -> BigInt {
    let bits = x.to_bits();
    let (exponent, fraction) = (bits >> 23 & 0xff, bits & 0x7f_ffff);
    let magnitude = match exponent {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction | 0x80_0000) << (exponent - 1),
    };
    if x.is_sign_negative() { -magnitude } else { magnitude }
}
