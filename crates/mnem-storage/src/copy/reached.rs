//! Whether the target holds what heads reach, although the source may have been collected meanwhile.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use mnem_store_traits::{Cid, LinkSupport, Store, StoreError, link_support, links};

use super::{CopyError, OfAStore as _};

/// The blocks that a copy has written, as far as they have links that are followed: 8 bytes for each.
pub(super) struct NewBlocks {
    key: RandomState,
    fingerprints: HashSet<u64>,
}

impl NewBlocks {
    pub(super) fn new() -> Self {
        Self { key: RandomState::new(), fingerprints: HashSet::new() }
    }

    pub(super) fn add(&mut self, cid: &Cid) {
        if link_support(cid.codec()) == LinkSupport::Followed {
            self.fingerprints.insert(self.key.hash_one(cid));
        }
    }

    /// The fingerprint of a block that is among them.
    fn find(&self, cid: &Cid) -> Option<u64> {
        Some(self.key.hash_one(cid)).filter(|fingerprint| self.fingerprints.contains(fingerprint))
    }
}

/// Follows the links of new blocks from heads on, and returns the first that leads to a block which the target lacks. Blocks that it held
/// before are not followed: a copy before this one has seen to it that what they reach is there.
pub(super) fn missing(to: &dyn Store, heads: &[Cid], new: &NewBlocks) -> Result<Option<StoreError>, CopyError> {
    let (mut pending, mut followed) = (heads.to_vec(), HashSet::new());
    for head in heads {
        if !to.has(head).of_target()? {
            return Ok(Some(StoreError::MissingBlock { cid: *head, linked_from: None }));
        }
    }
    while let Some(cid) = pending.pop() {
        if !new.find(&cid).is_some_and(|fingerprint| followed.insert(fingerprint)) {
            continue;
        }
        let mut found = Ok(Vec::new());
        to.with_block(&cid, &mut |data| found = links(&cid, data)).of_target()?;
        // A block that is not valid in its codec is copied as it is.
        for link in found.unwrap_or_default() {
            if !to.has(&link).of_target()? {
                return Ok(Some(StoreError::MissingBlock { cid: link, linked_from: Some(Box::new(cid)) }));
            }
            pending.push(link);
        }
    }
    Ok(None)
}
