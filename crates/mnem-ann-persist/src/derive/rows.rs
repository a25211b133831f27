//! The rows for the first comparison, in 32 bits: scaled so that no sum overflows, and padded with zeros.

use super::{
    exact::power_of_two,
    kernel::{LANES, Lanes},
    rule::Rule,
    unit::normalized,
};

/// Exponents of the largest number of rows that need no scaling, from 2^-20 to below 2^41: a sum of a million squares
/// fits, and so does one of squares of differences of 2^-60.
const PLAIN: std::ops::Range<i32> = -20..41;

/// The bits of precision of a float of 32 bits, and of one of 64.
const BITS: [i32; 2] = [24, 53];

/// Rows of equal length.
#[derive(Debug)]
pub(super) struct Rows {
    numbers: Vec<Lanes>,
    /// Groups of lanes per row.
    width: usize,
    is_scaled_down: bool,
    /// Whether sums in 32 bits, and sums in 64 bits of the unscaled numbers, are exact.
    exact: [bool; 2],
    /// Upper bounds of the rows' lengths, for the dot product.
    lengths: Vec<f32>,
}

impl Rows {
    /// Makes rows of `vectors`, which must be finite and of equal length. With `unit`, divides each by its length;
    /// otherwise multiplies all by one power of two. Fails with the position of a vector that has no length.
    pub(super) fn new(vectors: &[&[f32]], rule: Rule, unit: bool) -> Result<Self, usize> {
        let dimension = vectors.first().map_or(0, |vector| vector.len());
        let width = dimension.div_ceil(LANES);
        let span = Span::of(vectors);
        let is_plain = matches!(rule, Rule::AsPublished(_)) || span.top == i32::MIN || PLAIN.contains(&span.top);
        let shift = if is_plain { 0 } else { PLAIN.end - 1 - span.top };
        let mut numbers = Vec::with_capacity(width * vectors.len());
        for (at, vector) in vectors.iter().enumerate() {
            if unit {
                numbers.extend(lanes(&normalized(vector).ok_or(at)?));
            } else if shift == 0 {
                numbers.extend(lanes(vector));
            } else {
                let scaled = |x: &f32| (f64::from(*x) * power_of_two(shift)) as f32;
                numbers.extend(lanes(&vector.iter().map(scaled).collect::<Vec<f32>>()));
            }
        }
        let lengths =
            if rule == Rule::Dot { vectors.iter().map(|v| length_above(v, shift)).collect() } else { Vec::new() };
        let exact = BITS.map(|bits| span.sums_fit(bits, dimension));
        Ok(Self { numbers, width, is_scaled_down: shift < 0, exact, lengths })
    }

    pub(super) fn row(&self, row: usize) -> &[Lanes] {
        &self.numbers[row * self.width..(row + 1) * self.width]
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn is_scaled_down(&self) -> bool {
        self.is_scaled_down
    }

    /// Whether every dot product and squared distance of the rows is exact in 32 bits, in any order of summation.
    /// Meaningless for rows that were divided by their lengths.
    pub(super) fn is_exact(&self) -> bool {
        self.exact[0]
    }

    /// As [`is_exact`](Self::is_exact), for the unscaled vectors in 64 bits.
    pub(super) fn is_exact_in_64_bits(&self) -> bool {
        self.exact[1]
    }

    /// An upper bound of the length of a row, for the dot product; otherwise 0.
    pub(super) fn length(&self, row: usize) -> f32 {
        self.lengths.get(row).copied().unwrap_or(0.0)
    }
}

/// The numbers in groups of lanes, the last one padded with zeros.
fn lanes(vector: &[f32]) -> impl Iterator<Item = Lanes> + '_ {
    vector.chunks(LANES).map(|group| std::array::from_fn(|lane| group.get(lane).copied().unwrap_or(0.0)))
}

fn length_above(vector: &[f32], shift: i32) -> f32 {
    let square: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    ((square.sqrt() * (1.0 + 1e-6) * power_of_two(shift)) as f32).next_up()
}

/// The range of exponents of the bits of all numbers.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// The exponent of the highest bit; the least integer if all numbers are zero.
    top: i32,
    /// The exponent of the lowest bit.
    bottom: i32,
}

impl Span {
    fn of(vectors: &[&[f32]]) -> Self {
        let mut all = Self { top: i32::MIN, bottom: i32::MAX };
        let numbers = vectors.iter().flat_map(|vector| vector.iter());
        for bits in numbers.map(|x| x.to_bits() & 0x7fff_ffff).filter(|bits| *bits != 0) {
            let (exponent, fraction) = ((bits >> 23) as i32, bits & 0x7f_ffff);
            let (lowest, integer) =
                if exponent == 0 { (-149, fraction) } else { (exponent - 150, fraction | 0x80_0000) };
            all.top = all.top.max(lowest + 31 - integer.leading_zeros() as i32);
            all.bottom = all.bottom.min(lowest + integer.trailing_zeros() as i32);
        }
        all
    }

    /// Whether sums of this many squares of differences, and so of products, are integers below 2^`bits` times one
    /// power of two.
    fn sums_fit(&self, bits: i32, dimension: usize) -> bool {
        if self.top == i32::MIN {
            return true;
        }
        let of_sum = i32::try_from(usize::BITS - dimension.leading_zeros()).unwrap_or(i32::MAX);
        2 * (self.top - self.bottom + 2) + of_sum <= bits
    }
}
