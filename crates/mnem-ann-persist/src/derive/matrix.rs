//! The input vectors: checked, and sorted by id.

use super::{Derive, DeriveError, rows::Rows, rule::Rule, unit::is_unit, weight::weight};
use crate::{DistanceMetric, NodeId};

/// Vectors of equal length, ascending by id.
#[derive(Debug)]
pub(super) struct Matrix<'a> {
    ids: Vec<NodeId>,
    vectors: Vec<&'a [f32]>,
    rows: Rows,
    rule: Rule,
    metric: DistanceMetric,
    normalize: bool,
}

impl<'a> Matrix<'a> {
    pub(super) fn new<V: AsRef<[f32]>>(
        ids: &[NodeId],
        vectors: &'a [V],
        metric: DistanceMetric,
        how: &Derive,
    ) -> Result<Self, DeriveError> {
        if ids.len() != vectors.len() {
            return Err(DeriveError::Lengths { ids: ids.len(), vectors: vectors.len() });
        }
        if !u32::try_from(ids.len()).is_ok_and(|count| count < u32::MAX) {
            return Err(DeriveError::TooMany { vectors: ids.len() });
        }
        let expected = vectors.first().map_or(0, |vector| vector.as_ref().len());
        let mut order: Vec<(NodeId, usize)> = ids.iter().copied().zip(0..).collect();
        order.sort_unstable();
        if let Some((id, position)) = order.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1]) {
            return Err(DeriveError::DuplicateId { position, id });
        }
        let wants_unit = metric == DistanceMetric::Cosine && !how.normalize;
        for (position, (&id, vector)) in ids.iter().zip(vectors).enumerate() {
            check(position, id, vector.as_ref(), expected, wants_unit)?;
        }
        let rule = Rule::new(how.order, metric, how.normalize);
        let sorted: Vec<&[f32]> = order.iter().map(|(_, position)| vectors[*position].as_ref()).collect();
        let is_divided = how.normalize || rule == Rule::Cosine;
        let rows = Rows::new(&sorted, rule, is_divided).map_err(|row| {
            let (id, position) = order[row];
            DeriveError::NoLength { position, id }
        })?;
        let ids = order.into_iter().map(|(id, _)| id).collect();
        Ok(Self { ids, vectors: sorted, rows, rule, metric, normalize: how.normalize })
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn id(&self, row: usize) -> NodeId {
        self.ids[row]
    }

    /// A vector as given.
    pub(super) fn vector(&self, row: usize) -> &'a [f32] {
        self.vectors[row]
    }

    /// The rows for the first comparison, in 32 bits.
    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(super) fn rule(&self) -> Rule {
        self.rule
    }

    /// The weight of an edge between two rows that are neighbours with this score.
    pub(super) fn weight(&self, a: usize, b: usize, score: f32) -> f32 {
        match self.rule {
            Rule::AsPublished(_) => score,
            _ if self.normalize => weight(self.metric, self.divided(a), self.divided(b)),
            _ => weight(self.metric, self.vectors[a], self.vectors[b]),
        }
    }

    /// The vector divided by its length.
    fn divided(&self, row: usize) -> &[f32] {
        &self.rows.row(row).as_flattened()[..self.vectors[row].len()]
    }
}

fn check(position: usize, id: NodeId, vector: &[f32], expected: usize, wants_unit: bool) -> Result<(), DeriveError> {
    if vector.len() != expected {
        return Err(DeriveError::Ragged { position, id, found: vector.len(), expected });
    }
    if !vector.iter().all(|number| number.is_finite()) {
        return Err(DeriveError::NotFinite { position, id });
    }
    if wants_unit && !is_unit(vector) {
        return Err(DeriveError::NotUnit { position, id });
    }
    Ok(())
}
