//! Who is nearest, by integers of any size: a float of 32 bits is one times 2^-149.

use std::cmp::Ordering;

use mnem_ann_persist::{DistanceMetric, NodeId};
use num_bigint::{BigInt, Sign};

/// Vectors of integers with their ids.
pub(crate) struct Judge {
    ids: Vec<NodeId>,
    vectors: Vec<Vec<BigInt>>,
}

impl Judge {
    pub(crate) fn new(ids: &[NodeId], vectors: &[Vec<f32>]) -> Self {
        let vectors = vectors.iter().map(|vector| vector.iter().copied().map(integer).collect()).collect();
        Self { ids: ids.to_vec(), vectors }
    }

    /// The `k` nearest of each node, as pairs, ascending.
    pub(crate) fn neighbours(&self, k: usize, metric: DistanceMetric) -> Vec<(NodeId, NodeId)> {
        let mut pairs = Vec::new();
        for (at, src) in self.ids.iter().enumerate() {
            let mut others: Vec<(Nearness, NodeId)> = (0..self.ids.len())
                .filter(|other| *other != at)
                .map(|other| (nearness(&self.vectors[at], &self.vectors[other], metric), self.ids[other]))
                .collect();
            others.sort_by(|a, b| b.0.compare(&a.0).then(a.1.cmp(&b.1)));
            pairs.extend(others.into_iter().take(k).map(|(_, dst)| (*src, dst)));
        }
        pairs.sort_unstable();
        pairs
    }
}

/// A fraction: the numerator's sign, its square, and the square of the denominator.
struct Nearness {
    sign: Sign,
    numerator: BigInt,
    denominator: BigInt,
}

impl Nearness {
    fn compare(&self, other: &Self) -> Ordering {
        let of_squares = (&self.numerator * &other.denominator).cmp(&(&other.numerator * &self.denominator));
        self.sign.cmp(&other.sign).then(if self.sign == Sign::Minus { of_squares.reverse() } else { of_squares })
    }
}

fn nearness(a: &[BigInt], b: &[BigInt], metric: DistanceMetric) -> Nearness {
    let sum = |term: &dyn Fn(&BigInt, &BigInt) -> BigInt| a.iter().zip(b).map(|(x, y)| term(x, y)).sum::<BigInt>();
    let dot = || sum(&|x, y| x * y);
    let one = || BigInt::from(1);
    let (score, denominator) = match metric {
        DistanceMetric::L2 => (-sum(&|x, y| (x - y) * (x - y)), one()),
        DistanceMetric::Dot => (dot(), one()),
        // The length of `a` is the same for all.
        DistanceMetric::Cosine => (dot(), sum(&|_, y| y * y)),
    };
    Nearness { sign: score.sign(), numerator: &score * &score, denominator }
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
