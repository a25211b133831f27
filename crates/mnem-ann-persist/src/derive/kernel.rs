//! The arithmetic over groups of lanes. Its order is a promise: see [`derive`](super::derive).
//!
//! The loops are written so that the compiler vectorises them without reordering anything.

/// Lanes per sum.
pub(super) const LANES: usize = 8;

/// Rows that one row is compared with at once, so that each of its numbers is loaded once for all of them.
pub(super) const AT_ONCE: usize = 4;

/// Consecutive numbers of a row, or the lanes of a sum.
pub(super) type Lanes = [f32; LANES];

/// Adds the lanes in the promised order.
fn sum(lanes: &Lanes) -> f32 {
    let halves: [f32; 4] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 4]);
    let quarters: [f32; 2] = std::array::from_fn(|lane| halves[lane] + halves[lane + 2]);
    quarters[0] + quarters[1]
}

/// The dot product of two vectors of equal length.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    one(a, b, |x, y| x * y)
}

/// The squared distance of two vectors of equal length.
pub(super) fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    one(a, b, square_of_difference)
}

/// [`dot`] of a row with each of several.
pub(super) fn dots(a: [&[Lanes]; AT_ONCE], b: &[Lanes]) -> [f32; AT_ONCE] {
    several(a, b, |x, y| x * y)
}

/// [`square_distance`] of a row to each of several.
pub(super) fn square_distances(a: [&[Lanes]; AT_ONCE], b: &[Lanes]) -> [f32; AT_ONCE] {
    several(a, b, square_of_difference)
}

pub(super) fn square_of_difference(x: f32, y: f32) -> f32 {
    let difference = x - y;
    difference * difference
}

/// A sum that begins with +0 is never −0, so the zeros that pad a row do not change its bits, and are left out here.
#[inline(always)]
fn one(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += term(a[lane], b[lane]);
        }
    }
    for ((sum, x), y) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += term(*x, *y);
    }
    sum(&lanes)
}

#[inline(always)]
fn several(a: [&[Lanes]; AT_ONCE], b: &[Lanes], term: impl Fn(f32, f32) -> f32) -> [f32; AT_ONCE] {
    // Cut all rows to one length here, so that the loop needs no bounds checks.
    let [a0, a1, a2, a3] = a.map(|row| &row[..b.len()]);
    let (mut s0, mut s1, mut s2, mut s3) = ([0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for (at, b) in b.iter().enumerate() {
        for lane in 0..LANES {
            s0[lane] += term(a0[at][lane], b[lane]);
            s1[lane] += term(a1[at][lane], b[lane]);
            s2[lane] += term(a2[at][lane], b[lane]);
            s3[lane] += term(a3[at][lane], b[lane]);
        }
    }
    [s0, s1, s2, s3].map(|lanes| sum(&lanes))
}
