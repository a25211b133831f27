//! Copies rows from one side table to another, in batches.

use std::mem;

use mnem_ann_persist as knn;
use mnem_store_traits::{
    Bytes, Cause, Component, SideTable, StoreError, cid_from_bytes, limits::TABLE_VALUE_BYTES_MAX,
};

use super::{CopyError, OfAStore as _, hex};
use crate::limits::{COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX};

/// A batch of rows.
pub(crate) struct Rows<'a> {
    source: &'a dyn SideTable,
    target: &'a dyn SideTable,
    is_knn: bool,
    rows: Vec<(Bytes, Bytes)>,
    bytes: u64,
}

impl<'a> Rows<'a> {
    /// `name` is the name of both tables.
    pub(crate) fn new(name: &str, source: &'a dyn SideTable, target: &'a dyn SideTable) -> Self {
        Self { source, target, is_knn: name == knn::TABLE, rows: Vec::new(), bytes: 0 }
    }

    /// Takes a row of the source. If it holds an index larger than a value may be, writes the index in parts at once.
    pub(crate) fn copy(&mut self, key: Bytes, value: Bytes) -> Result<(), CopyError> {
        if self.is_knn && value.len() > TABLE_VALUE_BYTES_MAX {
            drop(value);
            return self.copy_in_parts(&key);
        }
        let value_bytes = value.len() as u64;
        if self.rows.len() >= COPY_BATCH_ITEMS_MAX || self.bytes + value_bytes > COPY_BATCH_BYTES_MAX {
            self.finish()?;
        }
        self.bytes += value_bytes;
        self.rows.push((key, value));
        Ok(())
    }

    /// Writes the rows taken and not written yet.
    pub(crate) fn finish(&mut self) -> Result<(), CopyError> {
        self.bytes = 0;
        let rows = mem::take(&mut self.rows);
        if rows.is_empty() { Ok(()) } else { self.target.write(&rows, &[]).of_target() }
    }

    /// The published program stores large indexes in one row. Divided into parts, they fit, and keep their CID.
    fn copy_in_parts(&self, key: &Bytes) -> Result<(), CopyError> {
        let cid = cid_from_bytes(key).map_err(|error| StoreError::Damaged {
            component: Component::SideTable(knn::TABLE),
            what: format!("key {}", hex(key)),
            source: Cause::new(error),
        });
        // Deleted after its row was read, so it counts as not listed.
        let Some(index) = knn::load(self.source, &cid.of_source()?).of_source()? else { return Ok(()) };
        knn::store(self.target, &index).map(drop).of_target()
    }
}
