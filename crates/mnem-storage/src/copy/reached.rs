//! Checks that the target holds what heads reach, although the source may have been collected meanwhile.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use mnem_store_traits::{Cid, LinkSupport, Store, StoreError, link_support, links};

use super::{Ended, OfAStore as _};
use crate::{
    Progress, Stage,
    progress::{Cancelled, OnProgress},
};

/// Follows the links from the heads, and returns the first link to a block that the target lacks.
///
/// Also follows blocks that the target held before: the copy that wrote them may have been interrupted before it wrote
/// the blocks that they link to. Takes 8 to 16 bytes of memory for each block with links.
pub(super) fn missing(to: &dyn Store, heads: &[Cid], progress: OnProgress<'_>) -> Result<Option<StoreError>, Ended> {
    let absent =
        |cid, linked_from: Option<Cid>| StoreError::MissingBlock { cid, linked_from: linked_from.map(Box::new) };
    if let Some(head) = first_absent(to, heads).of_target()? {
        return Ok(Some(absent(head, None)));
    }
    let (key, mut followed) = (RandomState::new(), HashSet::new());
    let (mut pending, mut done) = (heads.to_vec(), Progress::of(Stage::Proof));
    while let Some(cid) = pending.pop() {
        if link_support(cid.codec()) != LinkSupport::Followed || !followed.insert(key.hash_one(cid)) {
            continue;
        }
        let mut found = Ok(Vec::new());
        to.with_block(&cid, &mut |data| found = links(&cid, data)).of_target()?;
        // A block that is not valid in its codec is copied unchanged.
        let links = found.unwrap_or_default();
        if let Some(link) = first_absent(to, &links).of_target()? {
            return Ok(Some(absent(link, Some(cid))));
        }
        pending.extend(links);
        done.blocks += 1;
        Cancelled::check(progress(done))?;
    }
    Ok(None)
}

/// The first of these blocks that the store does not hold, with one request.
fn first_absent(store: &dyn Store, cids: &[Cid]) -> Result<Option<Cid>, StoreError> {
    if cids.is_empty() {
        return Ok(None);
    }
    let present = store.has_many(cids)?;
    Ok(cids.iter().zip(present).find(|(_, is_present)| !is_present).map(|(cid, _)| *cid))
}
