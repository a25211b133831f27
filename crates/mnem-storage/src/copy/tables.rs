//! Copies the rows of side tables. An index of nearest neighbours is complete only with its last row.

use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
    sync::Arc,
};

use mnem_ann_persist as knn;
use mnem_store_traits::{Cid, ErrorKind, SideTable, Store};

use super::{CopyError, CopyReport, Ended, OfAStore as _, TableCopied, rows::Rows};
use crate::{
    Progress, Stage,
    progress::{Cancelled, OnProgress},
};

/// The tables of the source. Fails if the target does not support them.
pub(super) fn names(from: &dyn Store, to: &dyn Store) -> Result<Vec<String>, CopyError> {
    let names = from.side_tables().of_source()?;
    if let Some(name) = names.first() {
        to.side_table(name).of_target()?;
    }
    Ok(names)
}

pub(super) fn copy(
    from: &dyn Store,
    to: &dyn Store,
    tables: &[String],
    report: &mut CopyReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let mut done = Progress::of(Stage::Tables);
    for name in tables {
        let source = from.side_table(name).of_source()?;
        let target = to.side_table(name).of_target()?;
        let mut copied = TableCopied { name: name.clone(), keys: 0, bytes: 0 };
        copy_rows(name, &*source, &target, &mut |value_bytes| {
            copied.keys += 1;
            copied.bytes += value_bytes;
            done.add(value_bytes);
            progress(done)
        })?;
        report.tables.push(copied);
    }
    Ok(())
}

fn copy_rows(
    name: &str,
    source: &dyn SideTable,
    target: &Arc<dyn SideTable>,
    row: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Ended> {
    if name != knn::TABLE {
        return copy_rows_where(name, source, &**target, row, &mut |_| Ok(true));
    }
    let mut kept = Kept::default();
    // An index that is being stored has parts that were not there when the table was listed.
    let begun: HashSet<Cid> = knn::list(source).of_source()?.filter_map(Result::ok).collect();
    // The manifest makes an index complete. It is copied after the parts, so an interruption leaves no broken index.
    let (here, there) = (source, &**target);
    copy_rows_where(name, here, there, row, &mut |key| Ok(is_part(key) && !kept.holds(source, target, key)?))?;
    copy_rows_where(name, here, there, row, &mut |key| {
        let is_late = knn::index_of_key(key).is_some_and(|index| !begun.contains(&index));
        Ok(!is_part(key) && !is_late && !kept.holds(source, target, key)?)
    })
}

/// Whether a key of the edge table is that of a page or a chunk.
fn is_part(key: &[u8]) -> bool {
    knn::index_of_key(key).is_some_and(|cid| cid.to_bytes() != key)
}

/// The indexes that the target already holds completely in the other format. They stay, and are not copied a second
/// time.
#[derive(Default)]
struct Kept(BTreeMap<Cid, bool>);

impl Kept {
    fn holds(&mut self, source: &dyn SideTable, target: &Arc<dyn SideTable>, key: &[u8]) -> Result<bool, CopyError> {
        let Some(cid) = knn::index_of_key(key) else { return Ok(false) };
        if let Some(kept) = self.0.get(&cid) {
            return Ok(*kept);
        }
        let (here, there) = (knn::format_of(source, &cid).of_source()?, knn::format_of(&**target, &cid).of_target()?);
        // If the target's index is incomplete, it is copied again.
        let kept = here != there && is_whole(target, &cid)?;
        self.0.insert(cid, kept);
        Ok(kept)
    }
}

/// Whether the target holds the index and can read all of it.
fn is_whole(target: &Arc<dyn SideTable>, cid: &Cid) -> Result<bool, CopyError> {
    let checked = match knn::open(Arc::clone(target), cid) {
        Ok(Some(reader)) => reader.check().map(|()| true),
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    match checked {
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::UnsupportedFormat) => Ok(false),
        checked => checked.of_target(),
    }
}

/// Copies the rows whose keys `wanted` accepts.
fn copy_rows_where(
    name: &str,
    source: &dyn SideTable,
    target: &dyn SideTable,
    row: &mut dyn FnMut(u64) -> ControlFlow<()>,
    wanted: &mut dyn FnMut(&[u8]) -> Result<bool, CopyError>,
) -> Result<(), Ended> {
    let mut rows = Rows::new(name, source, target);
    for key in source.keys(&[]).of_source()? {
        let key = key.of_source()?;
        if !wanted(&key)? {
            continue;
        }
        let Some(value) = source.get(&key).of_source()? else { continue };
        Cancelled::check(row(value.len() as u64))?;
        if target.get(&key).of_target()?.as_ref() != Some(&value) {
            rows.copy(key, value)?;
        }
    }
    Ok(rows.finish()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use mnem_store_traits::{Bytes, Cause, KeyIter, MemoryStore, Outcome, RAW, StoreError, cid_of};

    use super::*;

    /// A table that records the order in which keys were written, and can fail to read the parts of indexes.
    #[derive(Debug)]
    struct Watched {
        table: Arc<dyn SideTable>,
        came: Mutex<Vec<Bytes>>,
        parts_fail: bool,
    }

    impl Watched {
        fn new(table: Arc<dyn SideTable>, parts_fail: bool) -> Arc<Self> {
            Arc::new(Self { table, came: Mutex::default(), parts_fail })
        }
    }

    impl SideTable for Watched {
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
            if self.parts_fail && is_part(key) {
                return Err(StoreError::Backend {
                    backend: "watched",
                    operation: "read a part".into(),
                    outcome: Outcome::NotApplied,
                    source: Cause::new(std::io::Error::other("planted")),
                });
            }
            self.table.get(key)
        }
        fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
            self.table.keys(prefix)
        }
        fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
            self.came.lock().unwrap().extend(puts.iter().map(|(key, _)| key.clone()));
            self.table.write(puts, deletes)
        }
    }

    fn index() -> knn::KnnEdgeIndex {
        let node = |n: u8| knn::NodeId([n; 16]);
        let edges = vec![knn::KnnEdge { src: node(1), dst: node(2), weight: 0.5 }];
        knn::KnnEdgeIndex::new(cid_of(RAW, b"root"), 1, knn::DistanceMetric::Cosine, edges).unwrap()
    }

    fn table() -> Arc<dyn SideTable> {
        MemoryStore::new().side_table(knn::TABLE).unwrap()
    }

    #[test]
    fn an_index_becomes_real_by_the_last_of_its_rows() {
        let (source, target) = (table(), Watched::new(table(), false));
        let cid = knn::store(&*source, &index()).unwrap();
        copy_rows(knn::TABLE, &*source, &(Arc::clone(&target) as _), &mut |_| ControlFlow::Continue(())).unwrap();
        let came = target.came.lock().unwrap();
        assert!(came.len() > 1, "parts and a manifest");
        assert_eq!(came.last().unwrap(), &cid.to_bytes());
        assert_eq!(knn::load(&*target.table, &cid).unwrap(), Some(index()));
    }

    #[test]
    fn a_target_that_cannot_be_read_is_not_taken_for_one_that_lacks_the_index() {
        let (source, there) = (table(), table());
        knn::store_row(&*source, &index()).unwrap();
        knn::store(&*there, &index()).unwrap();
        let target = Watched::new(Arc::clone(&there), true);
        let error = copy_rows(knn::TABLE, &*source, &(Arc::clone(&target) as _), &mut |_| ControlFlow::Continue(()))
            .unwrap_err();
        let Ended::Failed(CopyError::Target(error)) = error else { panic!("another error: {error:?}") };
        assert_eq!(error.kind(), ErrorKind::Backend);
        assert!(target.came.lock().unwrap().is_empty());
        // An index that lacks a part is copied again.
        let part = there.keys(&[]).unwrap().map(Result::unwrap).find(|key| is_part(key)).unwrap();
        there.write(&[], &[part]).unwrap();
        copy_rows(knn::TABLE, &*source, &there, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(knn::load(&*there, &knn::list(&*there).unwrap().next().unwrap().unwrap()).unwrap(), Some(index()));
    }
}
