//! Indexes of nearest neighbours whose root is dead.

use std::sync::Arc;

use mnem_ann_persist as knn;
use mnem_store_traits::{Cid, ErrorKind, SideTable, Store, StoreError};

use super::{CollectReport, DeadIndex, Ended, marks::Marks, sweep};
use crate::{
    Progress, Stage,
    limits::DEAD_INDEXES_LISTED_MAX,
    progress::{Cancelled, OnProgress},
};

/// Lists them in the report, and removes them if the options say so.
pub(super) fn check(
    store: &dyn Store,
    marks: &Marks,
    remove: bool,
    report: &mut CollectReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    if !store.side_tables()?.iter().any(|name| name == knn::TABLE) {
        return Ok(());
    }
    let table = store.side_table(knn::TABLE)?;
    let mut done = Progress::of(Stage::Indexes);
    for cid in knn::list(&*table)? {
        Cancelled::check(progress(done))?;
        done.blocks += 1;
        let (cid, root) = match cid.and_then(|cid| Ok((cid, root_of(&table, &cid)?))) {
            Ok((cid, Some(root))) => (cid, root),
            Ok((_, None)) => continue,
            // Its root is unknown, so it stays.
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::UnsupportedFormat) => {
                report.indexes_unreadable += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // A root that was put after the listing is kept, and so is its index.
        if marks.is_live(&root) || (!marks.is_dead(&root) && store.has(&root)?) {
            continue;
        }
        report.dead_index_count += 1;
        if report.dead_indexes.len() < DEAD_INDEXES_LISTED_MAX {
            report.dead_indexes.push(DeadIndex { cid, root_cid: root });
        }
        if remove {
            sweep::check_heads(store, report)?;
            knn::delete(&*table, &cid)?;
            report.indexes_removed += 1;
        }
    }
    Ok(())
}

/// The root of an index, or `None` if the index was deleted.
fn root_of(table: &Arc<dyn SideTable>, cid: &Cid) -> Result<Option<Cid>, StoreError> {
    match knn::open(Arc::clone(table), cid) {
        Ok(reader) => Ok(reader.map(|reader| *reader.root_cid())),
        Err(error) if error.kind() == ErrorKind::Damaged => {
            let written = knn::load_as_written(&**table, cid)?;
            written.map(|written| Some(written.header.root_cid)).ok_or(error)
        }
        Err(error) => Err(error),
    }
}
