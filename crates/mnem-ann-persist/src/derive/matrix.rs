//! The vectors in one piece: checked, sorted by id, padded with zeros.

use super::{
    DeriveError,
    kernel::{LANES, dot},
};
use crate::{DistanceMetric, NodeId};

/// How far the square of a vector's length may be from one, for the cosine.
const UNIT_TOLERANCE: f32 = 0.02;

/// Rows of equal length, ascending by id.
#[derive(Debug)]
pub(super) struct Matrix {
    ids: Vec<NodeId>,
    numbers: Vec<[f32; LANES]>,
    /// Groups of numbers in a row.
    width: usize,
}

impl Matrix {
    pub(super) fn new<V: AsRef<[f32]>>(
        ids: &[NodeId],
        vectors: &[V],
        metric: DistanceMetric,
    ) -> Result<Self, DeriveError> {
        if ids.len() != vectors.len() {
            return Err(DeriveError::Lengths { ids: ids.len(), vectors: vectors.len() });
        }
        if !u32::try_from(ids.len()).is_ok_and(|count| count < u32::MAX) {
            return Err(DeriveError::TooMany { vectors: ids.len() });
        }
        let expected = vectors.first().map_or(0, |vector| vector.as_ref().len());
        let width = expected.div_ceil(LANES);
        let mut order: Vec<(NodeId, usize)> = ids.iter().copied().zip(0..).collect();
        order.sort_unstable();
        if let Some((id, position)) = order.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1]) {
            return Err(DeriveError::DuplicateId { position, id });
        }
        for (position, (&id, vector)) in ids.iter().zip(vectors).enumerate() {
            check(position, id, vector.as_ref(), expected, metric)?;
        }
        let mut numbers = Vec::with_capacity(width * ids.len());
        for (_, position) in &order {
            numbers.extend(lanes(vectors[*position].as_ref()));
        }
        Ok(Self { ids: order.into_iter().map(|(id, _)| id).collect(), numbers, width })
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, row: usize) -> NodeId {
        self.ids[row]
    }

    pub(super) fn row(&self, row: usize) -> &[[f32; LANES]] {
        &self.numbers[row * self.width..(row + 1) * self.width]
    }
}

fn check(
    position: usize,
    id: NodeId,
    vector: &[f32],
    expected: usize,
    metric: DistanceMetric,
) -> Result<(), DeriveError> {
    if vector.len() != expected {
        return Err(DeriveError::Ragged { position, id, found: vector.len(), expected });
    }
    if !vector.iter().all(|number| number.is_finite()) {
        return Err(DeriveError::NotFinite { position, id });
    }
    if metric == DistanceMetric::Cosine {
        let row: Vec<_> = lanes(vector).collect();
        if (dot(&row, &row) - 1.0).abs() > UNIT_TOLERANCE {
            return Err(DeriveError::NotUnit { position, id });
        }
    }
    Ok(())
}

/// The numbers in groups, the last one filled with zeros.
fn lanes(vector: &[f32]) -> impl Iterator<Item = [f32; LANES]> + '_ {
    vector.chunks(LANES).map(|group| std::array::from_fn(|lane| group.get(lane).copied().unwrap_or(0.0)))
}

/// The vector divided by its length, for the cosine. `None` if it has none to divide by: it is zero, not finite, or so small or large that
/// the square of its length is.
pub fn normalized(vector: &[f32]) -> Option<Vec<f32>> {
    let row: Vec<_> = lanes(vector).collect();
    let length = dot(&row, &row).sqrt();
    let unit: Vec<f32> = vector.iter().map(|number| number / length).collect();
    (length.is_normal() && unit.iter().all(|number| number.is_finite())).then_some(unit)
}
