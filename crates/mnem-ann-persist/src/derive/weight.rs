//! The weight of an edge.

use std::cmp::Ordering;

use super::{
    exact::Sum,
    kernel::{dot, square_distance},
};
use crate::DistanceMetric;

/// Dot products from 2^-60 on have lost nothing significant to underflow in 32 bits.
const PLAIN_FROM: f32 = 8.673_617_4e-19;

/// The weight of two vectors of equal length, always finite.
pub(super) fn weight(metric: DistanceMetric, a: &[f32], b: &[f32]) -> f32 {
    match metric {
        DistanceMetric::Cosine => dot(a, b),
        DistanceMetric::Dot => dot_product(a, b),
        DistanceMetric::L2 => match square_distance(a, b) {
            square if square.is_finite() => closeness(square),
            _ => closeness_from_afar(a, b),
        },
    }
}

/// The weight of an L2 edge. It is 0 for an infinite distance.
pub(super) fn closeness(square_distance: f32) -> f32 {
    1.0 / (1.0 + square_distance.sqrt())
}

/// [`closeness`] for a squared distance that is too large for 32 bits.
fn closeness_from_afar(a: &[f32], b: &[f32]) -> f32 {
    let differences = a.iter().zip(b).map(|(x, y)| f64::from(*x) - f64::from(*y));
    (1.0 / (1.0 + differences.map(|difference| difference * difference).sum::<f64>().sqrt())) as f32
}

/// The dot product; or the true one, rounded, if a product may overflow or underflow in 32 bits.
fn dot_product(a: &[f32], b: &[f32]) -> f32 {
    let plain = dot(a, b);
    if plain.abs() >= PLAIN_FROM && plain.is_finite() {
        return plain;
    }
    let largest = |vector: &[f32]| vector.iter().fold(0.0, |largest: f64, x| largest.max(f64::from(x.abs())));
    // If the products are far above the smallest number of 32 bits, 2^-149, a small sum means that they cancel.
    if plain.is_finite() && largest(a) * largest(b) >= f64::from(PLAIN_FROM) * f64::from(f32::EPSILON) {
        return plain;
    }
    let (sign, magnitude) = Sum::new().add(1, a, b).finish();
    let rounded = magnitude.to_f32().min(f32::MAX);
    if sign == Ordering::Less { -rounded } else { rounded }
}
