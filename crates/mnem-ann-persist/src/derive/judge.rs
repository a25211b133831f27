//! Which of two candidates is nearer, in truth: bounds of 32 bits first, then bounds of 64, then exact sums.

use std::{cmp::Ordering, collections::HashMap};

use super::{bounds::Bounds, exact::Sum, matrix::Matrix, rule::Rule};

/// The unit of rounding in 64 bits, and a hundredth for terms of higher order.
const UNIT: f64 = f64::EPSILON / 2.0 * 1.01;

/// A true score, up to a factor or summand that all candidates of a source have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    value: f64,
    error: f64,
}

/// Decides between candidates of one source.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    matrix: &'a Matrix<'a>,
    bounds: Bounds,
    /// The squares of the lengths, for the cosine.
    squares: Vec<f64>,
    /// Of each row the first with the same numbers.
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

    /// The bounds of a true score, by the one of 32 bits.
    pub(super) fn bounds_of(&self, source: usize, row: usize, score: f32) -> (f64, f64) {
        let length = |row| f64::from(self.matrix.rows().length(row));
        self.bounds.of(score, length(source) * length(row))
    }

    /// Rows with the same twin are equally near to any source.
    pub(super) fn twin(&self, row: usize) -> u32 {
        self.twins.get(row).copied().unwrap_or(row as u32)
    }

    pub(super) fn estimate(&self, source: usize, row: usize, score: f32) -> Estimate {
        let pairs = || {
            let (a, b) = (self.matrix.vector(source), self.matrix.vector(row));
            a.iter().zip(b).map(|(x, y)| (f64::from(*x), f64::from(*y)))
        };
        // Products of 32 bits are exact in 64.
        let products = || pairs().fold((0.0, 0.0), |(sum, size), (x, y)| (sum + x * y, size + (x * y).abs()));
        let terms = self.matrix.vector(row).len() as f64;
        let is_exact = self.matrix.rows().is_exact_in_64_bits();
        match self.matrix.rule() {
            Rule::AsPublished(_) => Estimate { value: f64::from(score), error: 0.0 },
            Rule::L2 => {
                let square: f64 = pairs().map(|(x, y)| (x - y) * (x - y)).sum();
                Estimate { value: -square, error: if is_exact { 0.0 } else { (terms + 3.0) * UNIT * square } }
            }
            Rule::Dot => {
                let (sum, size) = products();
                Estimate { value: sum, error: if is_exact { 0.0 } else { terms * UNIT * size } }
            }
            Rule::Cosine => {
                let (sum, size) = products();
                let length = self.squares[row].sqrt();
                let error = terms * size + (terms + 4.0) * sum.abs();
                Estimate { value: sum / length, error: error / length * UNIT * 1.01 }
            }
        }
    }

    /// The nearer is less; of two that are equally near, the lower row.
    pub(super) fn order(&self, source: usize, a: (u32, Estimate), b: (u32, Estimate)) -> Ordering {
        let ((a, of_a), (b, of_b)) = (a, b);
        let apart = of_a.error + of_b.error;
        let nearer = if (of_a.value - of_b.value).abs() > apart * 1.01 {
            of_b.value.partial_cmp(&of_a.value).unwrap_or(Ordering::Equal)
        } else if apart == 0.0 || self.twin(a as usize) == self.twin(b as usize) {
            Ordering::Equal
        } else {
            self.order_exactly(source, a as usize, b as usize)
        };
        nearer.then(a.cmp(&b))
    }

    fn order_exactly(&self, source: usize, a: usize, b: usize) -> Ordering {
        let [x, a, b] = [source, a, b].map(|row| self.matrix.vector(row));
        match self.matrix.rule() {
            Rule::AsPublished(_) => Ordering::Equal,
            Rule::Dot => Sum::new().add(1, x, b).add(-1, x, a).finish().0,
            // Of both squares of distances, x·x is left out.
            Rule::L2 => Sum::new().add(1, a, a).add(-2, x, a).add(-1, b, b).add(2, x, b).finish().0,
            Rule::Cosine => {
                let ((sign_a, dot_a), (sign_b, dot_b)) =
                    (Sum::new().add(1, x, a).finish(), Sum::new().add(1, x, b).finish());
                if sign_a != sign_b {
                    return sign_b.cmp(&sign_a);
                }
                let (square_a, square_b) = (Sum::new().add(1, a, a).finish().1, Sum::new().add(1, b, b).finish().1);
                let nearer = dot_b.times(&dot_b).times(&square_a).cmp(&dot_a.times(&dot_a).times(&square_b));
                if sign_a == Ordering::Less { nearer.reverse() } else { nearer }
            }
        }
    }
}

/// Of each row the first that has the same numbers, zeros of either sign being the same.
fn twins(matrix: &Matrix<'_>) -> Vec<u32> {
    let mut first: HashMap<Vec<u32>, u32> = HashMap::with_capacity(matrix.len());
    let bits = |row: u32| matrix.vector(row as usize).iter().map(|x| (x + 0.0).to_bits()).collect();
    (0..matrix.len() as u32).map(|row| *first.entry(bits(row)).or_insert(row)).collect()
}
