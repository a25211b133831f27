//! Counts and sizes of a file.

use std::fs;

use mnem_store_traits::{
    StoreError,
    driver::{StoreInfo, TableInfo, allocated_bytes, identity},
};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, TableHandle, TableStats};

use crate::{
    Layout,
    engine::{heads, keys::Ascending},
    error::At,
    handle::Handle,
    tables::BytesTable,
};

/// Reads everything in one snapshot.
pub(crate) fn info(handle: &Handle) -> Result<StoreInfo, StoreError> {
    let file = handle.file();
    let at = file.at("read statistics");
    let file_bytes = file.file_bytes(at.operation)?;
    handle.reader().read(at.operation, |snapshot| {
        let transaction = &snapshot.transaction;
        let objects = transaction.open_table(file.layout.objects()).map_err(|error| at.redb(error))?;
        let mut block_bytes = 0;
        let mut keys = Ascending::default();
        for row in objects.iter().map_err(|error| at.redb(error))? {
            let (key, value) = row.map_err(|error| at.redb(error))?;
            keys.next(at, file.layout.objects().name(), key.value())?;
            block_bytes += value.value().len() as u64;
        }
        let (tables, used_bytes) = side_tables(at, file.layout, transaction)?;
        let mut info = StoreInfo::default();
        info.blocks = objects.len().map_err(|error| at.redb(error))?;
        info.block_bytes = block_bytes;
        info.heads = heads::read(at, file.layout, transaction)?.len() as u64;
        info.tables = tables;
        info.file_bytes = file_bytes;
        info.allocated_bytes = allocated(handle).unwrap_or(file_bytes);
        info.free_bytes = file_bytes.saturating_sub(used_bytes);
        Ok(info)
    })
}

/// The space that the file takes on its medium, if its path still leads to it.
fn allocated(handle: &Handle) -> Option<u64> {
    let found = fs::metadata(&handle.file().path).ok()?;
    (handle.identity.is_some() && identity(&found) == handle.identity).then(|| allocated_bytes(&found))
}

/// The side tables, and the bytes that all tables of the file use.
fn side_tables(at: At<'_>, layout: Layout, transaction: &ReadTransaction) -> Result<(Vec<TableInfo>, u64), StoreError> {
    let mut tables = Vec::new();
    let mut used_bytes = 0;
    for table in transaction.list_tables().map_err(|error| at.redb(error))? {
        let name = table.name().to_owned();
        let untyped = transaction.open_untyped_table(table).map_err(|error| at.redb(error))?;
        used_bytes += used(&untyped.stats().map_err(|error| at.redb(error))?);
        let Some(side) = layout.side_table_name(&name) else { continue };
        let typed = transaction.open_table(BytesTable::new(&name)).map_err(|error| at.redb(error))?;
        let keys = typed.len().map_err(|error| at.redb(error))?;
        let stats = typed.stats().map_err(|error| at.redb(error))?;
        if keys > 0 {
            tables.push(TableInfo { name: side.to_owned(), keys, bytes: stats.stored_bytes() });
        }
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((tables, used_bytes))
}

fn used(stats: &TableStats) -> u64 {
    stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes()
}
