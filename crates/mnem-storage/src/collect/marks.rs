//! Records which of the listed blocks are reached, in 9 bytes and one bit per block.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use mnem_store_traits::{Cid, LinkSupport, link_support};

/// The average number of fingerprints in one part of [`Marks::parts`]: 64 bytes of fingerprints for 8 bytes of its
/// start.
const LISTED_OF_A_PART: usize = 8;

/// The bits of a digest in a fingerprint. If an attacker chooses them, 38 unknown bits are left.
const DIGEST_BITS: u32 = 24;

/// Turns CIDs into fingerprints under a random key. Nobody knows the key before the run, so nobody can make two blocks
/// collide.
pub(super) struct Fingerprints {
    key: RandomState,
    /// The bits of both that are used. Only tests clear some of them, to provoke collisions.
    mask: u64,
}

/// The blocks that a store lists, and which of them are reached.
///
/// After the listing, it is known which fingerprints several listed blocks share. When such a block is reached, its
/// whole CID is recorded, so that it is followed even if another block with its fingerprint was followed before. They
/// share a mark, which keeps both.
pub(super) struct Marks {
    fingerprints: Fingerprints,
    /// In ascending order, without duplicates.
    listed: Vec<u64>,
    /// The start of each of equally large parts of all fingerprints in `listed`, and the end. A lookup touches one or
    /// two cache lines.
    parts: Vec<usize>,
    /// One bit for each fingerprint in `listed`.
    reached: Vec<u64>,
    /// The fingerprints of several listed blocks.
    shared: HashSet<u64>,
    /// The followed and reached blocks with these fingerprints, and all reached blocks that are not listed.
    exact: HashSet<Cid>,
}

/// What was known about a block that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It was not reached before.
    Now,
    /// It was reached before, so nothing is left to do.
    Before,
    /// It was not reached before, and the store does not list it.
    Unlisted,
}

impl Fingerprints {
    /// Fingerprints under a new key.
    pub(super) fn new() -> Self {
        Self { key: RandomState::new(), mask: u64::MAX }
    }

    /// Uses only these bits of the hash.
    #[cfg(test)]
    pub(super) fn colliding(mask: u64) -> Self {
        Self { mask, ..Self::new() }
    }

    /// The first bits come from the digest. If a store lists blocks in the order of their digests, their fingerprints
    /// are nearly in order too, so consecutive lookups touch the same memory.
    ///
    /// The two lowest bits say how the links of the block are treated. So a block that is followed never shares a
    /// fingerprint with one that is marked without being read, nor does a block of an unknown codec share one with a
    /// block that has no links.
    fn of(&self, cid: &Cid) -> u64 {
        let links = match link_support(cid.codec()) {
            LinkSupport::Followed => 1,
            LinkSupport::None => 0,
            _ => 2,
        };
        let first = cid.hash().digest().first_chunk().copied().map_or(0, u32::from_be_bytes) >> (32 - DIGEST_BITS);
        let hash = self.key.hash_one(cid) & (u64::MAX >> (2 + DIGEST_BITS));
        ((((u64::from(first) << (62 - DIGEST_BITS)) | hash) & self.mask) << 2) | links
    }
}

/// Whether the links of the block are followed.
pub(super) fn is_followed(cid: &Cid) -> bool {
    link_support(cid.codec()) == LinkSupport::Followed
}

/// The number of the part in which this fingerprint lies, of `parts` equally large parts.
fn part_of(fingerprint: u64, parts: usize) -> usize {
    let part = (u128::from(fingerprint) * parts as u128) >> 64;
    // Less than `parts`.
    part as usize
}

impl Marks {
    pub(super) fn new(fingerprints: Fingerprints) -> Self {
        let (listed, parts, reached) = (Vec::new(), Vec::new(), Vec::new());
        Self { fingerprints, listed, parts, reached, shared: HashSet::new(), exact: HashSet::new() }
    }

    /// Adds a block of the listing.
    pub(super) fn list(&mut self, cid: &Cid) {
        self.listed.push(self.fingerprints.of(cid));
    }

    /// Ends the listing.
    pub(super) fn listed(&mut self) {
        self.listed.sort_unstable();
        let twice = self.listed.windows(2).filter(|pair| pair.first() == pair.last());
        self.shared = twice.filter_map(|pair| pair.first()).copied().collect();
        self.listed.dedup();
        self.reached = vec![0; self.listed.len().div_ceil(64)];
        let parts = self.listed.len() / LISTED_OF_A_PART + 1;
        self.parts = vec![0; parts + 1];
        for fingerprint in &self.listed {
            if let Some(count) = self.parts.get_mut(part_of(*fingerprint, parts) + 1) {
                *count += 1;
            }
        }
        let mut end = 0;
        for part in &mut self.parts {
            end += *part;
            *part = end;
        }
    }

    /// The index of a fingerprint in `listed`.
    fn find(&self, fingerprint: u64) -> Option<usize> {
        let part = part_of(fingerprint, self.parts.len().checked_sub(1)?);
        let [begin, end] = [*self.parts.get(part)?, *self.parts.get(part + 1)?];
        let at = self.listed.get(begin..end)?.binary_search(&fingerprint).ok()?;
        Some(begin + at)
    }

    /// Marks a block.
    pub(super) fn reach(&mut self, cid: &Cid) -> Reached {
        let fingerprint = self.fingerprints.of(cid);
        let new = |inserted: bool, new| if inserted { new } else { Reached::Before };
        let Some(at) = self.find(fingerprint) else {
            return new(self.exact.insert(*cid), Reached::Unlisted);
        };
        let before = self.is_reached(at);
        if let Some(bits) = self.reached.get_mut(at / 64) {
            *bits |= 1 << (at % 64);
        }
        match self.shared.contains(&fingerprint) && is_followed(cid) {
            true => new(self.exact.insert(*cid), Reached::Now),
            false => new(!before, Reached::Now),
        }
    }

    /// Whether the block was listed and is not reached.
    pub(super) fn is_dead(&self, cid: &Cid) -> bool {
        self.find(self.fingerprints.of(cid)).is_some_and(|at| !self.is_reached(at))
    }

    /// Whether any block was listed and is not reached.
    pub(super) fn has_dead(&self) -> bool {
        (0..self.listed.len()).any(|at| !self.is_reached(at))
    }

    /// Whether the block is reached, listed or not.
    pub(super) fn is_live(&self, cid: &Cid) -> bool {
        match self.find(self.fingerprints.of(cid)) {
            Some(at) => self.is_reached(at),
            None => self.exact.contains(cid),
        }
    }

    fn is_reached(&self, at: usize) -> bool {
        self.reached.get(at / 64).is_some_and(|bits| bits & (1 << (at % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{DAG_CBOR, RAW, cid_of};

    use super::*;

    fn marks(mask: u64, cids: &[Cid]) -> Marks {
        let mut marks = Marks::new(Fingerprints::colliding(mask));
        cids.iter().for_each(|cid| marks.list(cid));
        marks.listed();
        marks
    }

    fn cids(codec: u64, count: u32) -> Vec<Cid> {
        (0..count).map(|n| cid_of(codec, &n.to_be_bytes())).collect()
    }

    #[test]
    fn what_is_not_reached_is_dead() {
        let cids = [cids(DAG_CBOR, 500), cids(RAW, 500)].concat();
        let (live, dead) = cids.split_at(700);
        let mut marks = marks(u64::MAX, &cids);
        for cid in live {
            assert_eq!([marks.reach(cid), marks.reach(cid)], [Reached::Now, Reached::Before]);
        }
        assert!(live.iter().all(|cid| !marks.is_dead(cid) && marks.is_live(cid)));
        assert!(dead.iter().all(|cid| marks.is_dead(cid) && !marks.is_live(cid)));
    }

    #[test]
    fn blocks_in_the_order_of_their_digests_have_fingerprints_in_order_but_for_some_bits() {
        let mut cids = cids(DAG_CBOR, 1000);
        cids.sort_unstable();
        let fingerprints = Fingerprints::new();
        assert!(cids.is_sorted_by_key(|cid| fingerprints.of(cid) >> (64 - DIGEST_BITS)));
        let first = fingerprints.of(&cids[0]) >> (64 - DIGEST_BITS);
        assert!(cids.iter().any(|cid| fingerprints.of(cid) >> (64 - DIGEST_BITS) != first));
    }

    #[test]
    fn an_opaque_block_is_never_taken_for_one_without_links() {
        let (leaf, opaque) = (cids(RAW, 1)[0], cids(0x0300_0001, 1)[0]);
        let mut marks = marks(0, &[leaf, opaque]);
        assert_eq!([marks.reach(&leaf), marks.reach(&opaque)], [Reached::Now, Reached::Now]);
    }

    #[test]
    fn a_block_that_came_later_is_not_dead() {
        let [came, reached] = [b"came", b"more"].map(|data| cid_of(RAW, data));
        let mut marks = marks(u64::MAX, &[]);
        assert_eq!([marks.reach(&reached), marks.reach(&reached)], [Reached::Unlisted, Reached::Before]);
        assert_eq!((marks.is_dead(&came), marks.is_live(&came), marks.is_live(&reached)), (false, false, true));
    }

    #[test]
    fn blocks_that_share_a_fingerprint_are_followed_each_by_itself_and_kept_together() {
        let followed = cids(DAG_CBOR, 3);
        let leaves = cids(RAW, 3);
        let mut marks = marks(0, &[followed.clone(), leaves.clone()].concat());
        assert_eq!(marks.reach(&leaves[0]), Reached::Now);
        assert!(leaves.iter().all(|cid| !marks.is_dead(cid)) && followed.iter().all(|cid| marks.is_dead(cid)));
        for cid in &followed[..2] {
            assert_eq!([marks.reach(cid), marks.reach(cid)], [Reached::Now, Reached::Before]);
        }
        assert!(followed.iter().all(|cid| !marks.is_dead(cid)), "the third is kept by its mark");
    }
}
