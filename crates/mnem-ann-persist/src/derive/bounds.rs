//! Error bounds of a score computed in 32 bits.
//!
//! A *score* is greater for nearer nodes. The bounds are the usual ones of floating-point sums: a sum of n products has
//! an error of at most n + 1 units of rounding times Σ|a·b|, which is at most |a|·|b|; underflow adds an absolute
//! error.

use super::{kernel::LANES, rows::Rows, rule::Rule};
use crate::limits::LANE_GROUPS_MAX;

/// The unit of rounding in 32 bits.
const UNIT: f64 = (f32::EPSILON / 2.0) as f64;

/// The error bounds of a score.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    rule: Rule,
    relative: f64,
    absolute: f64,
}

impl Bounds {
    /// The bounds for these rows.
    pub(super) fn new(rule: Rule, rows: &Rows) -> Self {
        let width = rows.width();
        let numbers = (width * LANES) as f64;
        // A lane has `width` terms, and three additions join the lanes.
        let roundings = width as f64 + 3.0;
        let (roundings, absolute) = match rule {
            Rule::AsPublished(_) => (0.0, 0.0),
            _ if width > LANE_GROUPS_MAX => (f64::INFINITY, f64::INFINITY),
            Rule::Dot | Rule::L2 if rows.is_exact() => (0.0, 0.0),
            // Additionally, each row is divided by a length, which is the root of such a sum.
            Rule::Cosine => (2.0 * roundings + 16.0, numbers * 2e-42),
            // Additionally, the bound itself is computed in 32 bits. Precision that a number lost when it was scaled
            // down is multiplied by numbers below 2^41.
            Rule::Dot => (roundings + 8.0, numbers * if rows.is_scaled_down() { 2e-32 } else { 2e-44 }),
            // Additionally, the difference and its square. Precision lost by scaling down is below one unit, or below
            // the absolute error.
            Rule::L2 => (roundings + 8.0, numbers * 2e-44),
        };
        let units = roundings * UNIT;
        Self { rule, relative: 1.01 * units / (1.0 - units), absolute }
    }

    /// The amount to add to a dot product, per unit of the product of both lengths, so that a score is never below the
    /// true one.
    pub(super) fn above(&self) -> f32 {
        self.relative as f32
    }

    /// The bounds of the true score. For the dot product, `lengths` is the product of the lengths of both rows.
    pub(super) fn of(&self, score: f32, lengths: f64) -> (f64, f64) {
        let score = f64::from(score);
        if self.is_blind() {
            return (f64::NEG_INFINITY, f64::INFINITY);
        }
        match self.rule {
            Rule::AsPublished(_) => (score, score),
            Rule::Cosine => (score - self.relative - self.absolute, score + self.relative + self.absolute),
            Rule::Dot => (score - 2.02 * self.relative * lengths - self.absolute, score + self.absolute),
            Rule::L2 => (score * (1.0 + self.relative) - self.absolute, score * (1.0 - self.relative) + self.absolute),
        }
    }

    /// A score below which every true score is below `least`.
    pub(super) fn bar(&self, least: f64) -> f32 {
        if self.is_blind() {
            return f32::NEG_INFINITY;
        }
        let bar = match self.rule {
            Rule::AsPublished(_) => least,
            Rule::Cosine => least - self.relative - self.absolute,
            Rule::Dot => least - self.absolute,
            Rule::L2 => (least - self.absolute) / (1.0 - self.relative),
        };
        (bar as f32).next_down()
    }

    fn is_blind(&self) -> bool {
        self.absolute == f64::INFINITY
    }
}
