//! What the target may hold already.

use mnem_ann_persist as knn;
use mnem_store_traits::{Cid, SideTable, Store, StoreError};

use super::{CopyError, Ended, OfAStore as _, hex};
use crate::{
    Progress, Stage,
    progress::{Cancelled, OnProgress},
};

/// It holds nothing that the source does not, and can hold side tables where there are some.
pub(super) fn check(
    from: &dyn Store,
    to: &dyn Store,
    heads: &[Cid],
    tables: &[String],
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    for head in to.heads().of_target()? {
        if heads.binary_search(&head).is_err() {
            return Err(not_a_part(format!("head {head}")).into());
        }
    }
    let mut done = Progress::of(Stage::Target);
    for cid in to.cids().of_target()? {
        let cid = cid.of_target()?;
        if !from.has(&cid).of_source()? {
            return Err(not_a_part(format!("block {cid}")).into());
        }
        done.add(0);
        Cancelled::check(progress(done))?;
    }
    for name in to.side_tables().of_target()? {
        let (source, target) = (from.side_table(&name), to.side_table(&name).of_target()?);
        let source = if tables.contains(&name) { Some(source.of_source()?) } else { None };
        let mut last_known = None;
        for key in target.keys(&[]).of_target()? {
            let key = key.of_target()?;
            // What an earlier copy made parts of has no part in the source.
            let index = if name == knn::TABLE { knn::index_of_key(&key) } else { None };
            let known = match &source {
                Some(_) if index.is_some() && index == last_known => true,
                Some(source) => has_key(&**source, &key, index)?,
                None => false,
            };
            last_known = index;
            if !known {
                return Err(not_a_part(format!("key {} of side table {name}", hex(&key))).into());
            }
        }
    }
    match tables.first() {
        Some(name) => Ok(to.side_table(name).map(drop).of_target()?),
        None => Ok(()),
    }
}

fn has_key(source: &dyn SideTable, key: &[u8], index: Option<Cid>) -> Result<bool, CopyError> {
    let index = index.map(|cid| cid.to_bytes());
    for key in [Some(key), index.as_deref()].into_iter().flatten() {
        if source.get(key).of_source()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn not_a_part(what: String) -> CopyError {
    let reason = format!("the target holds {what}, which the source does not; copy into a new store");
    CopyError::Target(StoreError::InvalidArgument { operation: "copy", reason }.into())
}
