//! Exact sums of products of 32-bit floats.
//!
//! Such a float is an integer of 24 bits times a power of two from 2^-149 to 2^104, so a product is an integer of 48
//! bits times a power of two from 2^-298 to 2^208.

use std::cmp::Ordering;

/// The exponent of a sum's lowest bit.
const LOWEST: i32 = -298;

/// Limbs of 32 bits that hold a sum of 2^60 products.
const LIMBS: usize = 20;

/// A sum. A limb accumulates up to 2^31 products and is reduced to 32 bits at the end.
#[derive(Clone, Debug)]
pub(super) struct Sum([i64; LIMBS]);

/// A magnitude: an integer times 2^-298 for a sum, and times the corresponding power for a product of sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Magnitude {
    /// Number of zero limbs below the first.
    low: usize,
    /// The first and the last limb are not zero.
    limbs: Vec<u32>,
}

/// The float as an integer, and its shift relative to 2^-149.
fn parts(x: f32) -> (i64, u32) {
    let bits = x.to_bits();
    let (exponent, fraction) = ((bits >> 23) & 0xff, i64::from(bits & 0x7f_ffff));
    let (integer, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 0x80_0000, exponent - 1) };
    (if x.is_sign_negative() { -integer } else { integer }, shift)
}

impl Sum {
    pub(super) fn new() -> Self {
        Self([0; LIMBS])
    }

    /// Adds `times` · Σ a·b, for finite numbers and `times` from −2 to 2.
    pub(super) fn add(mut self, times: i64, a: &[f32], b: &[f32]) -> Self {
        for (x, y) in a.iter().zip(b) {
            let ((x, x_shift), (y, y_shift)) = (parts(*x), parts(*y));
            let product = times * x * y;
            let (limb, shift) = ((x_shift + y_shift) as usize / 32, (x_shift + y_shift) % 32);
            let wide = u128::from(product.unsigned_abs()) << shift;
            for (place, part) in self.0[limb..].iter_mut().zip([wide, wide >> 32, wide >> 64]) {
                let part = i64::from(part as u32);
                *place += if product < 0 { -part } else { part };
            }
        }
        self
    }

    /// The sign of the sum, and its magnitude.
    pub(super) fn finish(mut self) -> (Ordering, Magnitude) {
        // The top limb keeps its sign.
        self.carry();
        let sign = match self.0.iter().rposition(|limb| *limb != 0) {
            None => Ordering::Equal,
            Some(_) if self.0[LIMBS - 1] < 0 => Ordering::Less,
            Some(_) => Ordering::Greater,
        };
        if sign == Ordering::Less {
            self.0.iter_mut().for_each(|limb| *limb = -*limb);
            self.carry();
        }
        (sign, Magnitude::new(0, self.0.iter().map(|limb| *limb as u32).collect()))
    }

    fn carry(&mut self) {
        for at in 0..LIMBS - 1 {
            let carry = self.0[at] >> 32;
            self.0[at] &= 0xffff_ffff;
            self.0[at + 1] += carry;
        }
    }
}

impl Magnitude {
    fn new(low: usize, mut limbs: Vec<u32>) -> Self {
        limbs.truncate(limbs.iter().rposition(|limb| *limb != 0).map_or(0, |last| last + 1));
        let zeros = limbs.iter().position(|limb| *limb != 0).unwrap_or(0);
        limbs.drain(..zeros);
        Self { low: if limbs.is_empty() { 0 } else { low + zeros }, limbs }
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let mut limbs = vec![0_u32; self.limbs.len() + other.limbs.len()];
        for (at, x) in self.limbs.iter().enumerate() {
            let mut carry = 0;
            for (place, y) in limbs[at..].iter_mut().zip(other.limbs.iter().chain([&0])) {
                let sum = u64::from(*place) + u64::from(*x) * u64::from(*y) + carry;
                (*place, carry) = (sum as u32, sum >> 32);
            }
        }
        Self::new(self.low + other.low, limbs)
    }

    /// The magnitude of a sum in 32 bits, rounded once, ties to even; infinite if it is too large.
    pub(super) fn to_f32(&self) -> f32 {
        let top = self.limbs.len().saturating_sub(3);
        let whole = self.limbs[top..].iter().rev().fold(0_u128, |whole, limb| whole << 32 | u128::from(*limb));
        // Keep 52 bits, with the last one set if anything was cut off. They fit into 64 bits, and rounding to 32 gives
        // the same result.
        let cut = (128 - whole.leading_zeros()).saturating_sub(52);
        let is_inexact = whole.trailing_zeros() < cut || top > 0;
        let kept = (whole >> cut) as u64 | u64::from(is_inexact);
        let exponent = LOWEST + 32 * (self.low + top) as i32 + cut as i32;
        (kept as f64 * power_of_two(exponent)) as f32
    }
}

impl Ord for Magnitude {
    fn cmp(&self, other: &Self) -> Ordering {
        let top = |of: &Self| of.low + of.limbs.len();
        // Compare from the highest limb down. If one number runs out of limbs, the other is greater, because its lowest
        // limb is not zero.
        (top(self).cmp(&top(other))).then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }
}

impl PartialOrd for Magnitude {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// For exponents from −1022 to 1023.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(pairs: &[(f32, f32)]) -> (Ordering, f32) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
        let (sign, magnitude) = Sum::new().add(1, &a, &b).finish();
        (sign, magnitude.to_f32())
    }

    #[test]
    fn sums_are_exact_from_the_smallest_to_the_largest() {
        let tiny = f32::from_bits(1);
        assert_eq!(sum(&[]), (Ordering::Equal, 0.0));
        assert_eq!(sum(&[(1e38, 1e38), (tiny, -1.0), (-1e38, 1e38)]), (Ordering::Less, tiny));
        assert_eq!(sum(&[(f32::MAX, 1.0), (3.0, 7.0), (f32::MIN, 1.0)]), (Ordering::Greater, 21.0));
        assert_eq!(sum(&[(f32::MAX, f32::MAX)]), (Ordering::Greater, f32::INFINITY));
        assert_eq!(sum(&[(tiny, tiny)]), (Ordering::Greater, 0.0));
        assert_eq!(sum(&[(1.5, 2.0), (0.25, -4.0)]), (Ordering::Greater, 2.0));
    }

    #[test]
    fn a_sum_is_rounded_once() {
        let (even, odd) = (1.0, f32::from_bits(0x3f80_0001));
        let half = f32::EPSILON / 2.0;
        assert_eq!(sum(&[(even, 1.0), (half, 1.0)]).1, even);
        assert_eq!(sum(&[(odd, 1.0), (half, 1.0)]).1, f32::from_bits(0x3f80_0002));
        // A tiny amount above the half decides.
        assert_eq!(sum(&[(even, 1.0), (half, 1.0), (f32::from_bits(1), f32::from_bits(1))]).1, odd);
        assert_eq!(sum(&[(odd, 1.0), (half, 1.0), (f32::from_bits(1), -1.0)]).1, odd);
    }

    #[test]
    fn magnitudes_compare_and_multiply() {
        let of = |x: f32, y: f32| Sum::new().add(1, &[x], &[y]).finish().1;
        let numbers =
            [of(0.0, 1.0), of(f32::from_bits(1), f32::from_bits(1)), of(1e-38, 1.0), of(1.0, 1.0), of(3.0, 1e38)];
        assert!(numbers.is_sorted() && numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        assert_eq!(of(3.0, 5.0).times(&of(7.0, 11.0)), of(5.0, 7.0).times(&of(11.0, 3.0)));
        assert!(of(3.0, 5.0).times(&of(1.0, 1.0)) < of(4.0, 4.0).times(&of(1.0, 1.0)));
    }
}
