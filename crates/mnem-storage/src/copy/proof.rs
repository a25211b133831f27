//! That both stores hold the same.

use mnem_store_traits::Store;

use super::{CopyReport, Ended, OfAStore as _, error::differs};
use crate::{
    Progress, Stage,
    progress::{Cancelled, OnProgress},
};

/// Compares the listings, each name looked up in the other store, so that no more than a page of names is held.
pub(super) fn prove(
    from: &dyn Store,
    to: &dyn Store,
    report: &CopyReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let mut done = Progress { total_blocks: report.blocks.checked_mul(2), ..Progress::of(Stage::Proof) };
    Cancelled::check(progress(done))?;
    let mut count = || {
        done.blocks += 1;
        Cancelled::check(progress(done))
    };
    let (mut source, mut target) = (0, 0);
    for cid in from.cids().of_source()? {
        let cid = cid.of_source()?;
        if !to.has(&cid).of_target()? {
            return Err(differs(format!("the target lacks block {cid}")).into());
        }
        source += 1;
        count()?;
    }
    for cid in to.cids().of_target()? {
        let cid = cid.of_target()?;
        if !from.has(&cid).of_source()? {
            return Err(differs(format!("the source lacks block {cid}")).into());
        }
        target += 1;
        count()?;
    }
    if source != target || source != report.blocks {
        let blocks = report.blocks;
        return Err(
            differs(format!("{blocks} blocks were copied, the source has {source}, the target {target}")).into()
        );
    }
    if from.heads().of_source()? != report.heads || to.heads().of_target()? != report.heads {
        return Err(differs("the heads are not the same".to_owned()).into());
    }
    Ok(())
}
