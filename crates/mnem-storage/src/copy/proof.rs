//! What the target holds in the end.

use mnem_store_traits::{Cid, Store, StoreError};

use super::{CopyError, CopyReport, Ended, OfAStore as _, Promise, digest::SetDigest, error::differs, heads::Heads};
use crate::{
    Progress, Stage,
    progress::{Cancelled, OnProgress},
};

/// The target holds what was copied, as each of these blocks was found in it. Whether both stores hold the same is decided by listing both.
pub(super) fn prove(
    from: &dyn Store,
    to: &dyn Store,
    heads: &Heads,
    report: &mut CopyReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let mut done = Progress { total_blocks: report.blocks.checked_mul(2), ..Progress::of(Stage::Proof) };
    Cancelled::check(progress(done))?;
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
    if to.heads().of_target()? != heads.of_target() {
        return Err(differs("the heads are not those that were set".to_owned()).into());
    }
    let same = source == target && heads.merged.is_empty() && !heads.have_moved(from)?;
    report.promise = if same { Promise::Equal } else { Promise::HoldsAll };
    Ok(())
}
