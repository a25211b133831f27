//! Checks that each index of nearest neighbours matches its CID.

use std::sync::Arc;

use mnem_ann_persist::{self as knn, TABLE};
use mnem_store_traits::{Cid, ErrorKind, SideTable, Store, StoreError};

use super::{
    FaultKind,
    search::{Ended, Findings},
};

/// Checks every index of the store, and asks before each whether to continue. Returns an error only if all further
/// calls would fail.
pub(super) fn check(
    store: &dyn Store,
    found: &mut Findings,
    go_on: &mut dyn FnMut() -> Result<(), Ended>,
) -> Result<(), Ended> {
    // If a store cannot list its tables, this was reported already.
    if !store.side_tables().is_ok_and(|names| names.iter().any(|name| name == TABLE)) {
        return Ok(());
    }
    match check_table(store, found, go_on) {
        Err(Ended::Failed(error)) => Ok(found.error(FaultKind::SideTable, None, error)?),
        other => other,
    }
}

/// Returns an error only if it ends the listing.
fn check_table(
    store: &dyn Store,
    found: &mut Findings,
    go_on: &mut dyn FnMut() -> Result<(), Ended>,
) -> Result<(), Ended> {
    let table = store.side_table(TABLE)?;
    for cid in knn::list(&*table)? {
        go_on()?;
        match cid {
            Ok(cid) => check_index(&table, &cid, found)?,
            // The key does not name an index; the listing continues after it.
            Err(error @ StoreError::Damaged { .. }) => found.error(FaultKind::KnnIndex, None, error)?,
            Err(error) => return Err(error.into()),
        }
    }
    found.report.knn_unfinished = knn::unfinished(&*table)?;
    Ok(())
}

fn check_index(table: &Arc<dyn SideTable>, cid: &Cid, found: &mut Findings) -> Result<(), StoreError> {
    match read(table, cid) {
        // Deleted after it was listed.
        Ok(false) => {}
        Ok(true) => found.report.knn_indexes += 1,
        Err(error) if error.kind() == ErrorKind::UnsupportedFormat => found.report.knn_unchecked += 1,
        Err(error) => {
            found.report.knn_indexes += 1;
            found.error(FaultKind::KnnIndex, Some(*cid), error)?;
        }
    }
    Ok(())
}

/// Reads an index, or what another program stored in its place, and compares it with its CID. Returns `false` if it is
/// absent.
pub(crate) fn read(table: &Arc<dyn SideTable>, cid: &Cid) -> Result<bool, StoreError> {
    match knn::open(Arc::clone(table), cid) {
        Ok(Some(reader)) => reader.check().map(|()| true),
        Ok(None) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Damaged => {
            knn::load_as_written(&**table, cid)?.map(|_| true).ok_or(error)
        }
        Err(error) => Err(error),
    }
}
