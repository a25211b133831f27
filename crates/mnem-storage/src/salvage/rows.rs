//! Side tables: every row that can be read, and of indexes only whole ones.

use std::{mem, sync::Arc};

use mnem_ann_persist as knn;
use mnem_store_traits::{Bytes, ErrorKind, SideTable, StoreError, limits::TABLE_VALUE_BYTES_MAX};

use super::blocks::Salvage;
use crate::{
    CopyError, FaultKind, Progress, Stage, TableCopied,
    copy::{Ended, OfAStore as _, copy_in_parts},
    limits::{COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX},
    verify::indexes,
};

/// Rows that are written together.
#[derive(Default)]
struct Rows {
    rows: Vec<(Bytes, Bytes)>,
    bytes: u64,
}

impl Rows {
    fn write(&mut self, to: &dyn SideTable) -> Result<(), CopyError> {
        self.bytes = 0;
        let rows = mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { to.write(&rows, &[]).of_target() }
    }

    fn push(&mut self, key: Bytes, value: Bytes, to: &dyn SideTable) -> Result<(), CopyError> {
        let value_bytes = value.len() as u64;
        if self.rows.len() >= COPY_BATCH_ITEMS_MAX || self.bytes + value_bytes > COPY_BATCH_BYTES_MAX {
            self.write(to)?;
        }
        self.bytes += value_bytes;
        self.rows.push((key, value));
        Ok(())
    }
}

impl Salvage<'_> {
    pub(super) fn tables(&mut self) -> Result<(), Ended> {
        self.done = Progress::of(Stage::Tables);
        let names = match self.from.side_tables() {
            Ok(names) => names,
            Err(error) => return self.fault(FaultKind::SideTable, None, error),
        };
        for name in names {
            self.table(&name)?;
        }
        Ok(())
    }

    fn table(&mut self, name: &str) -> Result<(), Ended> {
        let from = match self.from.side_table(name) {
            Ok(table) => table,
            Err(error) => return self.fault(FaultKind::SideTable, None, error),
        };
        let to = self.to.side_table(name).of_target()?;
        let mut copied = TableCopied { name: name.to_owned(), keys: 0, bytes: 0 };
        let mut rows = Rows::default();
        let read = self.rows(&*from, &*to, &mut rows, &mut copied);
        rows.write(&*to)?;
        read?;
        if name == knn::TABLE && self.remove_broken_indexes(&to)? {
            copied = count(&*to, copied.name)?;
        }
        if copied.keys > 0 {
            self.report.tables.push(copied);
        }
        Ok(())
    }

    fn rows(
        &mut self,
        from: &dyn SideTable,
        to: &dyn SideTable,
        rows: &mut Rows,
        copied: &mut TableCopied,
    ) -> Result<(), Ended> {
        let keys = match from.keys(&[]) {
            Ok(keys) => keys,
            Err(error) => return self.fault(FaultKind::SideTable, None, error),
        };
        for key in keys {
            let row = key.and_then(|key| Ok(from.get(&key)?.map(|value| (key, value))));
            match row {
                Ok(Some((key, value))) => {
                    let value_bytes = value.len() as u64;
                    if value.len() <= TABLE_VALUE_BYTES_MAX {
                        rows.push(key, value, to)?;
                    } else if let Err(error) = copy_in_parts(from, to, &key) {
                        self.of_source(&copied.name, error)?;
                        continue;
                    }
                    copied.keys += 1;
                    copied.bytes += value_bytes;
                    self.done.add(value_bytes);
                }
                // Its key was listed a moment ago, and leads nowhere.
                Ok(None) => self.found.fault(
                    FaultKind::SideTable,
                    None,
                    format!("a row of side table {} is listed and cannot be found by its key", copied.name),
                ),
                Err(error) => self.fault(FaultKind::SideTable, None, error)?,
            }
            self.tell()?;
        }
        Ok(())
    }

    /// A row that is too large, and no index either.
    fn of_source(&mut self, table: &str, error: CopyError) -> Result<(), Ended> {
        let kind = if table == knn::TABLE { FaultKind::KnnIndex } else { FaultKind::SideTable };
        match error {
            CopyError::Source(error) => self.fault(kind, None, *error),
            error => Err(error.into()),
        }
    }

    /// Removes the indexes that lack a row or have a wrong one: they are of no use, and can be built again. Returns whether there were any.
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
