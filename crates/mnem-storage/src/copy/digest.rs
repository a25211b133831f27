//! Compares two sets of CIDs without holding either in memory.

use std::hash::{BuildHasher as _, RandomState};

use mnem_store_traits::Cid;

/// The number of CIDs in a set, and the sum of their hashes under two random keys. Two different sets have the same
/// digest under the same keys only with a probability of 2⁻¹²⁸.
///
/// The digest of a difference is that of the CIDs added, less that of the CIDs removed. It is empty if both are the same
/// set, in whatever order they came.
#[derive(Clone)]
pub(super) struct SetDigest {
    keys: [RandomState; 2],
    /// Wraps around below 0.
    count: u64,
    sums: [u64; 2],
}

impl SetDigest {
    /// The digest of the empty set, under new keys.
    pub(super) fn new() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], count: 0, sums: [0; 2] }
    }

    /// The digest of the empty set, under the same keys.
    pub(super) fn empty(&self) -> Self {
        Self { keys: self.keys.clone(), count: 0, sums: [0; 2] }
    }

    /// Adds a CID that is not in the set.
    pub(super) fn add(&mut self, cid: &Cid) {
        self.count = self.count.wrapping_add(1);
        for (sum, key) in self.sums.iter_mut().zip(&self.keys) {
            *sum = sum.wrapping_add(key.hash_one(cid));
        }
    }

    /// Removes a CID, which may be added later.
    pub(super) fn remove(&mut self, cid: &Cid) {
        self.count = self.count.wrapping_sub(1);
        for (sum, key) in self.sums.iter_mut().zip(&self.keys) {
            *sum = sum.wrapping_sub(key.hash_one(cid));
        }
    }

    /// Whether as many CIDs were added as removed, and the same ones.
    pub(super) fn is_empty(&self) -> bool {
        (self.count, self.sums) == (0, [0; 2])
    }
}

/// Only meaningful under the same keys.
impl PartialEq for SetDigest {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.sums) == (other.count, other.sums)
    }
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{RAW, cid_of};

    use super::*;

    #[test]
    fn equal_sets_have_equal_digests_and_others_have_not() {
        let cids: Vec<Cid> = (0..100_u8).map(|n| cid_of(RAW, &[n])).collect();
        let of = |keys: &SetDigest, cids: &mut dyn Iterator<Item = &Cid>| {
            let mut digest = keys.empty();
            cids.for_each(|cid| digest.add(cid));
            digest
        };
        let keys = SetDigest::new();
        let all = of(&keys, &mut cids.iter());
        assert!(all == of(&keys, &mut cids.iter().rev()));
        assert!(all != of(&keys, &mut cids[1..].iter()));
        assert!(of(&keys, &mut cids[1..].iter()) != of(&keys, &mut cids[..99].iter()));
    }

    #[test]
    fn a_difference_is_empty_if_the_same_was_added_and_removed() {
        let cids: Vec<Cid> = (0..100_u8).map(|n| cid_of(RAW, &[n])).collect();
        let mut difference = SetDigest::new();
        cids.iter().rev().for_each(|cid| difference.remove(cid));
        for cid in &cids {
            assert!(!difference.is_empty());
            difference.add(cid);
        }
        assert!(difference.is_empty());
        difference.add(&cids[0]);
        difference.remove(&cids[1]);
        assert!(!difference.is_empty());
    }
}
