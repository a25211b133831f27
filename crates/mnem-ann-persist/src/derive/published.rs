//! The arithmetic of the published crate: one sum in 32 bits, from the first number to the last.

use super::kernel::{AT_ONCE, Lanes, square_of_difference};
use crate::DistanceMetric;

/// The weights of a row with each of several others.
pub(super) fn weights(metric: DistanceMetric, a: [&[Lanes]; AT_ONCE], b: &[Lanes]) -> [f32; AT_ONCE] {
    match metric {
        DistanceMetric::L2 => sums(a, b, square_of_difference).map(super::weight::closeness),
        DistanceMetric::Cosine | DistanceMetric::Dot => sums(a, b, |x, y| x * y),
    }
}

/// Each addition of a sum depends on the one before, so several sums run side by side.
#[inline(always)]
fn sums(a: [&[Lanes]; AT_ONCE], b: &[Lanes], term: impl Fn(f32, f32) -> f32) -> [f32; AT_ONCE] {
    let [a0, a1, a2, a3] = a.map(|row| row[..b.len()].as_flattened());
    let mut sums = [0.0; AT_ONCE];
    for (at, y) in b.as_flattened().iter().enumerate() {
        for (sum, x) in sums.iter_mut().zip([a0[at], a1[at], a2[at], a3[at]]) {
            *sum += term(x, *y);
        }
    }
    sums
}
