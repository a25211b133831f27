//! Side tables: one redb table each, which exists only while it has keys.

use std::{ops::Bound, sync::Arc};

use mnem_store_traits::{
    Bytes, KeyIter, SideTable, StoreError,
    backend::{check_table_key, check_table_write, pages},
};
use redb::{ReadOnlyTable, ReadableTable, TableDefinition, TableError};

use crate::{
    Check,
    engine::{
        change::Change,
        keys::Ascending,
        lenient::{Listing, read_keys},
        snapshot::Snapshot,
    },
    error::At,
    handle::Handle,
    limits::PAGE_NAMES,
    tables::BytesTable,
};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A side table of a store. It keeps the store open.
#[derive(Debug)]
pub(crate) struct RedbSideTable {
    handle: Arc<Handle>,
    /// The name of the table in the file.
    table: String,
}

impl RedbSideTable {
    /// `name` must be the checked name of a side table.
    pub(crate) fn new(handle: Arc<Handle>, name: &str) -> Self {
        let table = handle.file().layout.side_table(name);
        Self { handle, table }
    }

    fn definition(&self) -> BytesTable<'_> {
        TableDefinition::new(&self.table)
    }

    /// The table in this snapshot, or `None` if it has no keys.
    fn open(&self, at: At<'_>, snapshot: &Snapshot) -> Result<Option<Rows>, StoreError> {
        match snapshot.transaction.open_table(self.definition()) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(at.redb(error)),
        }
    }

    fn page(&self, prefix: &[u8], after: Option<&Bytes>) -> Result<Vec<Bytes>, StoreError> {
        let at = self.handle.file().at("list a side table");
        let start = after.map_or(Bound::Included(prefix), |key| Bound::Excluded(key.as_ref()));
        self.handle.reader().read(at.operation, |snapshot| {
            let Some(table) = self.open(at, snapshot)? else { return Ok(Vec::new()) };
            let mut keys = Vec::new();
            let mut order = Ascending::after(after.map(Bytes::as_ref));
            for row in table.range::<&[u8]>((start, Bound::Unbounded)).map_err(|error| at.redb(error))? {
                let (key, _) = row.map_err(|error| at.redb(error))?;
                if keys.len() == PAGE_NAMES || !key.value().starts_with(prefix) {
                    break;
                }
                order.next(at, &self.table, key.value())?;
                keys.push(Bytes::copy_from_slice(key.value()));
            }
            Ok(keys)
        })
    }

    /// A listing of a damaged file that skips what it cannot read.
    fn keys_lenient(&self) -> KeyIter<'_> {
        let at = self.handle.file().at("list a side table");
        Box::new(Listing::new(Box::new(move |start, rows, found| {
            self.handle.reader().read(at.operation, |snapshot| {
                let Some(table) = self.open(at, snapshot)? else { return Ok(()) };
                let range = table.range::<&[u8]>((start, Bound::Unbounded)).map_err(|error| at.redb(error))?;
                read_keys(at, &self.table, start, range, rows, found)
            })
        })))
    }
}

impl SideTable for RedbSideTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check_table_key("get", key)?;
        let at = self.handle.file().at("read a side table");
        self.handle.reader().read(at.operation, |snapshot| {
            let Some(table) = self.open(at, snapshot)? else { return Ok(None) };
            let found = ReadableTable::get(&table, key).map_err(|error| at.redb(error))?;
            Ok(found.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        let (table, puts, deletes) = (self.table.clone(), puts.to_vec(), deletes.to_vec());
        self.handle.writer.write("write a side table", Change::SideTable { table, puts, deletes })
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.handle.file().gate.check_open("list a side table")?;
        if prefix.is_empty() && self.handle.file().options.check == Check::AsItIs {
            return Ok(self.keys_lenient());
        }
        let prefix = Bytes::copy_from_slice(prefix);
        Ok(pages(move |after: Option<Bytes>| self.page(&prefix, after.as_ref())))
    }
}
