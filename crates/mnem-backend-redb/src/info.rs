//! What a file holds, in numbers.

use mnem_store_traits::StoreError;
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, TableHandle, TableStats};

use crate::{Layout, error::At, handle::Handle, keys::Ascending, tables::BytesTable};

/// What a store's file holds. See [`RedbStore::info`](crate::RedbStore::info).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The format, as text: name and version.
    pub format: String,
    /// How the tables are named.
    pub layout: Layout,
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of all blocks together, without their keys.
    pub block_bytes: u64,
    /// Number of heads.
    pub heads: u64,
    /// The side tables that have keys, ascending by name.
    pub tables: Vec<TableInfo>,
    /// Length of the file, in bytes.
    pub file_bytes: u64,
    /// Bytes of the file that no table uses: for later writes, or for `compact` to give back. redb's own tables, a few pages, count as free.
    pub free_bytes: u64,
}

/// A side table of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Number of keys.
    pub keys: u64,
    /// Bytes of its keys and values.
    pub bytes: u64,
}

/// Reads everything in one snapshot.
pub(crate) fn info(handle: &Handle) -> Result<Info, StoreError> {
    let at = handle.at("read statistics");
    let file_bytes = handle.file_bytes(at.operation)?;
    handle.read(at.operation, |snapshot| {
        let transaction = &snapshot.transaction;
        let objects = transaction.open_table(handle.layout.objects()).map_err(|error| at.redb(error))?;
        let mut block_bytes = 0;
        let mut keys = Ascending::default();
        for row in objects.iter().map_err(|error| at.redb(error))? {
            let (key, value) = row.map_err(|error| at.redb(error))?;
            keys.next(at, handle.layout.objects().name(), key.value())?;
            block_bytes += value.value().len() as u64;
        }
        let (tables, used_bytes) = side_tables(at, handle.layout, transaction)?;
        Ok(Info {
            format: handle.layout.format(),
            layout: handle.layout,
            blocks: objects.len().map_err(|error| at.redb(error))?,
            block_bytes,
            heads: handle.read_heads(at, transaction)?.len() as u64,
            tables,
            file_bytes,
            free_bytes: file_bytes.saturating_sub(used_bytes),
        })
    })
}

/// The side tables, and what all tables of the file use, in bytes.
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
