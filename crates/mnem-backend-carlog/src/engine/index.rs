//! Where each block stands.

use std::collections::BTreeSet;

use super::place::Place;

/// Places by the fingerprints of CIDs. Two CIDs may have one fingerprint: the CID at the place decides.
#[derive(Debug, Default)]
pub(crate) struct Index(BTreeSet<(u64, Place)>);

impl Index {
    pub(crate) fn insert(&mut self, fingerprint: u64, place: Place) {
        self.0.insert((fingerprint, place));
    }

    pub(crate) fn remove(&mut self, fingerprint: u64, place: Place) {
        self.0.remove(&(fingerprint, place));
    }

    pub(crate) fn contains(&self, fingerprint: u64, place: Place) -> bool {
        self.0.contains(&(fingerprint, place))
    }

    /// All places of a fingerprint, the latest first.
    pub(crate) fn places(&self, fingerprint: u64) -> impl Iterator<Item = Place> {
        self.0.range((fingerprint, Place::MIN)..=(fingerprint, Place::MAX)).rev().map(|(_, place)| *place)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
