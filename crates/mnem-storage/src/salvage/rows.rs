//! Copies side tables: every readable row, and only complete indexes.

use std::sync::Arc;

use mnem_ann_persist as knn;
use mnem_store_traits::{Bytes, ErrorKind, SideTable, Store, StoreError, limits::TABLE_VALUE_BYTES_MAX};

use super::blocks::Salvage;
use crate::{
    CopyError, FaultKind, Progress, Stage, TableCopied,
    copy::{Ended, OfAStore as _, Rows, hex},
    scan::Sink as _,
    verify::indexes,
};

impl Salvage<'_> {
    pub(super) fn tables(&mut self, from: &dyn Store) -> Result<(), Ended> {
        self.done = Progress::of(Stage::Tables);
        let names = match from.side_tables() {
            Ok(names) => names,
            Err(error) => return self.fault(FaultKind::SideTable, None, error),
        };
        for name in names {
            self.table(from, &name)?;
        }
        Ok(())
    }

    fn table(&mut self, from: &dyn Store, name: &str) -> Result<(), Ended> {
        let from = match from.side_table(name) {
            Ok(table) => table,
            Err(error) => return self.fault(FaultKind::SideTable, None, error),
        };
        let to = self.to.side_table(name).of_target()?;
        let mut copied = TableCopied { name: name.to_owned(), keys: 0, bytes: 0 };
        let mut rows = Rows::new(name, &*from, &*to);
        let read = self.rows(&*from, &mut rows, &mut copied);
        rows.finish()?;
        read?;
        if name == knn::TABLE && self.remove_broken_indexes(&to)? {
            copied = count(&*to, copied.name)?;
        }
        if copied.keys > 0 {
            self.report.tables.push(copied);
        }
        Ok(())
    }

    fn rows(&mut self, from: &dyn SideTable, rows: &mut Rows<'_>, copied: &mut TableCopied) -> Result<(), Ended> {
        let keys = match from.keys(&[]) {
            Ok(keys) => keys,
            Err(error) => return self.fault(FaultKind::SideTable, None, error),
        };
        for key in keys {
            let row = key.and_then(|key| Ok(from.get(&key)?.map(|value| (key, value))));
            match row {
                Ok(Some((key, value))) => {
                    let value_bytes = value.len() as u64;
                    if self.row(key, value, rows, &copied.name)? {
                        copied.keys += 1;
                        copied.bytes += value_bytes;
                        self.done.add(value_bytes);
                    }
                }
                // Its key was listed, but leads nowhere.
                Ok(None) => self.found.fault(
                    FaultKind::SideTable,
                    None,
                    format!("a row of side table {} is listed but cannot be found by its key", copied.name),
                ),
                Err(error) => self.fault(FaultKind::SideTable, None, error)?,
            }
            self.tell()?;
        }
        Ok(())
    }

    /// Copies a row of `table`. Returns whether it was copied: a row that is too large for the target is not, unless it
    /// is an index.
    fn row(&mut self, key: Bytes, value: Bytes, rows: &mut Rows<'_>, table: &str) -> Result<bool, Ended> {
        if table != knn::TABLE && value.len() > TABLE_VALUE_BYTES_MAX {
            let (key, value_bytes) = (hex(&key), value.len());
            let what = format!("key {key} of side table {table} has {value_bytes} bytes, more than the target accepts");
            self.found.fault(FaultKind::SideTable, None, what);
            return Ok(false);
        }
        match rows.copy(key, value) {
            Ok(()) => Ok(true),
            Err(CopyError::Source(error)) => self.fault(FaultKind::KnnIndex, None, error.into_inner()).map(|()| false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes indexes with a missing or wrong row: they are useless and can be built again. Returns whether there were
    /// any.
    fn remove_broken_indexes(&mut self, to: &Arc<dyn SideTable>) -> Result<bool, Ended> {
        self.done = Progress::of(Stage::Indexes);
        let mut broken = Vec::new();
        for cid in knn::list(&**to).of_target()? {
            let cid = match cid {
                Ok(cid) => cid,
                Err(error @ StoreError::Damaged { .. }) => {
                    self.found.error(FaultKind::KnnIndex, None, error).of_target()?;
                    continue;
                }
                Err(error) => return Err(CopyError::Target(error.into()).into()),
            };
            match indexes::read(to, &cid) {
                Err(error) if error.kind() == ErrorKind::UnsupportedFormat => {}
                Err(error) => {
                    self.found.error(FaultKind::KnnIndex, Some(cid), error).of_target()?;
                    broken.push(cid);
                }
                Ok(_) => {}
            }
            self.done.add(0);
            self.tell()?;
        }
        for cid in &broken {
            knn::delete(&**to, cid).of_target()?;
        }
        self.done = Progress::of(Stage::Tables);
        Ok(!broken.is_empty())
    }
}

/// Counts the rows of a table in the target.
fn count(table: &dyn SideTable, name: String) -> Result<TableCopied, CopyError> {
    let mut counted = TableCopied { name, keys: 0, bytes: 0 };
    for key in table.keys(&[]).of_target()? {
        if let Some(value) = table.get(&key.of_target()?).of_target()? {
            counted.keys += 1;
            counted.bytes += value.len() as u64;
        }
    }
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::MemoryStore;

    use super::*;
    use crate::{unwatched, verify::Findings};

    #[test]
    fn a_row_that_the_target_does_not_take_costs_that_row_and_names_its_table() {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        for (name, kind) in [("notes", FaultKind::SideTable), (knn::TABLE, FaultKind::KnnIndex)] {
            let mut watch = unwatched;
            let mut salvage = Salvage::new(&to, Findings::new(1), &mut watch);
            let (source, target) = (from.side_table(name).unwrap(), to.side_table(name).unwrap());
            let mut rows = Rows::new(name, &*source, &*target);
            let large = Bytes::from(vec![0; TABLE_VALUE_BYTES_MAX + 1]);
            assert!(!salvage.row(Bytes::from_static(b"k"), large, &mut rows, name).unwrap());
            rows.finish().unwrap();
            let [fault] = &salvage.found.report.faults[..] else { panic!("{:?}", salvage.found.report) };
            assert_eq!(fault.kind, kind);
            assert!(fault.what.contains("key 6b"), "{}", fault.what);
            assert!(fault.what.contains(&format!("side table {name}")), "{}", fault.what);
        }
    }
}
