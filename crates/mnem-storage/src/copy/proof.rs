//! Proves what the target holds at the end.

use mnem_store_traits::{Cid, Store, StoreError};

use super::{CopyError, CopyReport, Ended, OfAStore as _, Promise, digest::SetDigest, error::differs, heads::Heads};
use crate::{
    Progress, Stage,
    progress::{Cancelled, OnProgress},
};

/// Finds out whether both stores hold the same, after the heads of the target were set, and records it in the report.
/// For each copied block, it was already checked that the target holds it.
///
/// `same` says whether the listings that the copy followed were the same. If this is unknown, lists both stores again.
pub(super) fn prove(
    from: &dyn Store,
    to: &dyn Store,
    heads: &Heads,
    same: Option<bool>,
    report: &mut CopyReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    Cancelled::check(progress(Progress::of(Stage::Proof)))?;
    let same = match same {
        Some(same) => same,
        None => list_the_same(from, to, report.blocks, progress)?,
    };
    if to.heads().of_target()? != heads.of_target() {
        return Err(differs("the heads are not those that were set".to_owned()).into());
    }
    let same = same && heads.merged.is_empty() && !heads.have_moved(from)?;
    report.promise = if same { Promise::Equal } else { Promise::HoldsAll };
    Ok(())
}

fn list_the_same(from: &dyn Store, to: &dyn Store, blocks: u64, progress: OnProgress<'_>) -> Result<bool, Ended> {
    let mut done = Progress { total_blocks: blocks.checked_mul(2), ..Progress::of(Stage::Proof) };
    let keys = SetDigest::new();
    let mut list = |store: &dyn Store, of: fn(StoreError) -> CopyError| -> Result<SetDigest, Ended> {
        let mut digest = keys.empty();
        for cid in store.cids().map_err(of)? {
            let cid: Cid = cid.map_err(of)?;
            digest.add(&cid);
            done.blocks += 1;
            Cancelled::check(progress(done))?;
        }
        Ok(digest)
    };
    let target = list(to, |error| CopyError::Target(error.into()))?;
    let source = list(from, |error| CopyError::Source(error.into()))?;
    Ok(source == target)
}
