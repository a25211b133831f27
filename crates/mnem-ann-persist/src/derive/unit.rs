//! Vectors of length one.

use super::{exact::power_of_two, kernel::dot};

/// The tolerance of the square of a vector's length around one, for the cosine.
const UNIT_TOLERANCE: f32 = 0.02;

/// Whether a vector has length one.
pub(super) fn is_unit(vector: &[f32]) -> bool {
    (dot(vector, vector) - 1.0).abs() <= UNIT_TOLERANCE
}

/// Divides the vector by its length, for the cosine. Returns `None` if it is zero or not finite.
///
/// A vector and its multiple by a power of two give the same numbers, because the largest number is first scaled to
/// between 1 and 2.
pub fn normalized(vector: &[f32]) -> Option<Vec<f32>> {
    let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    if largest == 0.0 || !vector.iter().all(|x| x.is_finite()) {
        return None;
    }
    let exponent = (f64::from(largest).to_bits() >> 52) as i32 - 1023;
    let scale = power_of_two(-exponent);
    let scaled: Vec<f32> = vector.iter().map(|x| (f64::from(*x) * scale) as f32).collect();
    let length = dot(&scaled, &scaled).sqrt();
    length.is_finite().then(|| scaled.iter().map(|x| x / length).collect())
}
