//! Decides which of two candidates is truly nearer: first by bounds in 32 bits, then by bounds in 64, then by exact
//! sums.

use std::{cell::OnceCell, cmp::Ordering, collections::HashMap};

use super::{
    bounds::Bounds,
    exact::{Magnitude, Sum},
    matrix::Matrix,
    rule::Rule,
};

/// The unit of rounding in 64 bits, plus one percent for terms of higher order.
const UNIT: f64 = f64::EPSILON / 2.0 * 1.01;

/// A true score, up to a factor or summand common to all candidates of a source.
#[derive(Clone, Debug)]
pub(super) struct Estimate {
    value: f64,
    error: f64,
    /// The exact score, computed on first use and kept, because a candidate is compared many times.
    exact: OnceCell<Box<Exact>>,
}

/// The exact score, greater for nearer nodes.
#[derive(Clone, Debug)]
struct Exact {
    sign: Ordering,
    /// The magnitude of the score; for the cosine, of the square of the dot product.
    magnitude: Magnitude,
    /// For the cosine, the divisor of the square of the dot product.
    square: Option<Magnitude>,
}

/// Decides between the candidates of one source.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    matrix: &'a Matrix<'a>,
    bounds: Bounds,
    /// The squared lengths, for the cosine.
    squares: Vec<f64>,
    /// For each row, the first row with the same numbers.
    twins: Vec<u32>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(matrix: &'a Matrix<'a>) -> Self {
        let rule = matrix.rule();
        let square = |row| matrix.vector(row).iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        let squares = if rule == Rule::Cosine { (0..matrix.len()).map(square).collect() } else { Vec::new() };
        let twins = if matches!(rule, Rule::AsPublished(_)) { Vec::new() } else { twins(matrix) };
        Self { matrix, bounds: Bounds::new(rule, matrix.rows()), squares, twins }
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The bounds of a true score, given the score in 32 bits.
    pub(super) fn bounds_of(&self, source: usize, row: usize, score: f32) -> (f64, f64) {
        let length = |row| f64::from(self.matrix.rows().length(row));
        self.bounds.of(score, length(source) * length(row))
    }

    /// The twin of a row. Rows with the same twin are equally near to any source.
    pub(super) fn twin(&self, row: usize) -> u32 {
        self.twins.get(row).copied().unwrap_or(row as u32)
    }

    pub(super) fn estimate(&self, source: usize, row: usize, score: f32) -> Estimate {
        let (value, error) = self.value_and_error(source, row, score);
        Estimate { value, error, exact: OnceCell::new() }
    }

    fn value_and_error(&self, source: usize, row: usize, score: f32) -> (f64, f64) {
        let pairs = || {
            let (a, b) = (self.matrix.vector(source), self.matrix.vector(row));
            a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)))
        };
        // Products of numbers of 32 bits are exact in 64.
        let products = || pairs().fold((0.0, 0.0), |(sum, size), (x, y)| (sum + x * y, size + (x * y).abs()));
        let terms = self.matrix.vector(row).len() as f64;
        let is_exact = self.matrix.rows().is_exact_in_64_bits();
        match self.matrix.rule() {
            Rule::AsPublished(_) => (f64::from(score), 0.0),
            Rule::L2 => {
                let square: f64 = pairs().map(|(x, y)| (x - y) * (x - y)).sum();
                (-square, if is_exact { 0.0 } else { (terms + 3.0) * UNIT * square })
            }
            Rule::Dot => {
                let (sum, size) = products();
                (sum, if is_exact { 0.0 } else { terms * UNIT * size })
            }
            Rule::Cosine => {
                let (sum, size) = products();
                let length = self.squares[row].sqrt();
                let error = terms * size + (terms + 4.0) * sum.abs();
                (sum / length, error / length * UNIT * 1.01)
            }
        }
    }

    /// Orders the nearer candidate first; of two equally near ones, the lower row.
    pub(super) fn order<'e>(&self, source: usize, a: (u32, &'e Estimate), b: (u32, &'e Estimate)) -> Ordering {
        let ((a, of_a), (b, of_b)) = (a, b);
        let apart = of_a.error + of_b.error;
        let nearer = if (of_a.value - of_b.value).abs() > apart * 1.01 {
            of_b.value.partial_cmp(&of_a.value).unwrap_or(Ordering::Equal)
        } else if apart == 0.0 || self.twin(a as usize) == self.twin(b as usize) {
            Ordering::Equal
        } else {
            let exact = |row, of: &'e Estimate| of.exact.get_or_init(|| self.exact(source, row as usize));
            exact(b, of_b).cmp(exact(a, of_a))
        };
        nearer.then(a.cmp(&b))
    }

    fn exact(&self, source: usize, row: usize) -> Box<Exact> {
        let (x, a) = (self.matrix.vector(source), self.matrix.vector(row));
        let (sum, square) = match self.matrix.rule() {
            // Estimates are exact here.
            Rule::AsPublished(_) => (Sum::new(), None),
            Rule::Dot => (Sum::new().add(1, x, a), None),
            // Omit x·x from the square of the distance, since it is common to all candidates.
            Rule::L2 => (Sum::new().add(2, x, a).add(-1, a, a), None),
            Rule::Cosine => (Sum::new().add(1, x, a), Some(Sum::new().add(1, a, a).finish().1)),
        };
        let (sign, magnitude) = sum.finish();
        let magnitude = if square.is_some() { magnitude.times(&magnitude) } else { magnitude };
        Box::new(Exact { sign, magnitude, square })
    }
}

impl Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitudes = || match (&self.square, &other.square) {
            (Some(of_self), Some(of_other)) => self.magnitude.times(of_other).cmp(&other.magnitude.times(of_self)),
            _ => self.magnitude.cmp(&other.magnitude),
        };
        self.sign.cmp(&other.sign).then_with(|| match self.sign {
            Ordering::Less => magnitudes().reverse(),
            _ => magnitudes(),
        })
    }
}

/// For each row, the first row that has the same numbers. Zeros of either sign are equal.
fn twins(matrix: &Matrix<'_>) -> Vec<u32> {
    let mut first: HashMap<Vec<u32>, u32> = HashMap::with_capacity(matrix.len());
    let bits = |row: u32| matrix.vector(row as usize).iter().map(|x| (x + 0.0).to_bits()).collect();
    (0..matrix.len() as u32).map(|row| *first.entry(bits(row)).or_insert(row)).collect()
}
