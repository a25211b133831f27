//! What makes a neighbour nearer than another.

use super::Order;
use crate::DistanceMetric;

/// The criterion for ordering candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The true cosine.
    Cosine,
    /// The true distance.
    L2,
    /// The true dot product.
    Dot,
    /// The weight as the published crate computes it.
    AsPublished(DistanceMetric),
}

impl Rule {
    /// Vectors of true length one are ordered by the cosine under every metric.
    pub(super) fn new(order: Order, metric: DistanceMetric, normalize: bool) -> Self {
        match (order, metric) {
            (Order::AsPublished, metric) => Self::AsPublished(metric),
            (Order::TrueDistance, DistanceMetric::Cosine) => Self::Cosine,
            (Order::TrueDistance, _) if normalize => Self::Cosine,
            (Order::TrueDistance, DistanceMetric::L2) => Self::L2,
            (Order::TrueDistance, DistanceMetric::Dot) => Self::Dot,
        }
    }
}
