//! Counting and measuring a store, and finding what does not belong to it.

use std::path::{Path, PathBuf};

use mnem_store_traits::StoreError;

use crate::{
    blockstore,
    layout::{self, FORMAT_NAME, FORMAT_VERSION, RootName},
    medium::{Entry, Kind},
    op_heads,
    shared::Shared,
    side_table,
};

/// What a store holds and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// Name and version of the format, as in the `format` file.
    pub format: String,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of all blocks.
    pub block_bytes: u64,
    /// Op heads.
    pub heads: u64,
    /// Side tables that hold at least one key, ascending by name.
    pub tables: Vec<TableInfo>,
    /// Bytes of all files of the store: blocks, heads, side tables, markers, and unfinished files.
    pub file_bytes: u64,
    /// Bytes of unfinished files: of writers at work, or left by killed ones and freed when the store is next opened for writing alone.
    pub free_bytes: u64,
}

/// What a side table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub keys: u64,
    /// Bytes of all its values.
    pub bytes: u64,
}

pub(crate) fn info(shared: &Shared) -> Result<Info, StoreError> {
    shared.check_open("count")?;
    let layout = &shared.layout;
    let (mut blocks, mut block_bytes) = (0, 0);
    shared.require_folder(&layout.objects())?;
    for shard in (0..).map_while(|index| layout.shard(index)) {
        for cid in blockstore::shard_cids(shared, &shard)? {
            // A block that was deleted meanwhile is not counted.
            if let Some(bytes) = file_bytes(shared, &layout.block(&cid).file)? {
                blocks += 1;
                block_bytes += bytes;
            }
        }
    }
    let tables = tables(shared)?;
    let free_bytes = unfinished_bytes(shared)?;
    let mut file_bytes_sum = block_bytes + free_bytes + tables.iter().map(|table| table.bytes).sum::<u64>();
    for file in [layout.format(), layout.lock(), layout.op_heads(), layout.unsynced(), layout.tmp_lock()] {
        file_bytes_sum += file_bytes(shared, &file)?.unwrap_or(0);
    }
    Ok(Info {
        format: format!("{FORMAT_NAME} {FORMAT_VERSION}"),
        blocks,
        block_bytes,
        heads: op_heads::read(shared)?.len() as u64,
        tables,
        file_bytes: file_bytes_sum,
        free_bytes,
    })
}

fn file_bytes(shared: &Shared, path: &Path) -> Result<Option<u64>, StoreError> {
    Ok(shared.metadata(path)?.filter(|found| found.kind == Kind::File).map(|found| found.file_bytes))
}

fn tables(shared: &Shared) -> Result<Vec<TableInfo>, StoreError> {
    let mut tables = Vec::new();
    for name in side_table::names(shared)? {
        let folder = shared.layout.table(&name);
        let (mut keys, mut bytes) = (0, 0);
        for key in side_table::keys(shared, &folder)? {
            if let Some(value_bytes) = file_bytes(shared, &folder.join(layout::key_name(&key)))? {
                keys += 1;
                bytes += value_bytes;
            }
        }
        tables.push(TableInfo { name, keys, bytes });
    }
    Ok(tables)
}

fn unfinished_bytes(shared: &Shared) -> Result<u64, StoreError> {
    let tmp = shared.layout.tmp();
    let unfinished = shared.names(&tmp, |entry| {
        let name = entry.name.to_str().filter(|name| layout::is_unfinished_name(name))?;
        Some(tmp.join(name))
    })?;
    unfinished.iter().try_fold(0, |sum, path| Ok(sum + file_bytes(shared, path)?.unwrap_or(0)))
}

pub(crate) fn foreign(shared: &Shared) -> Result<Vec<PathBuf>, StoreError> {
    shared.check_open("look for foreign files")?;
    let layout = &shared.layout;
    let mut found = Vec::new();
    let mut folders = |outer: &Path, belongs: &dyn Fn(&Entry) -> bool| {
        let mut inner = Vec::new();
        shared.for_each_entry(outer, |entry| {
            let list = if belongs(&entry) { &mut inner } else { &mut found };
            list.push(outer.join(&entry.name));
            Ok(())
        })?;
        Ok::<_, StoreError>(inner)
    };
    folders(layout.root(), &|entry| {
        RootName::of(&entry.name)
            .is_some_and(|name| entry.kind == if name.is_folder() { Kind::Folder } else { Kind::File })
    })?;
    folders(&layout.tmp(), &|entry| entry.kind == Kind::File && entry.name.to_str().is_some_and(layout::is_tmp_lock))?;
    let named = |entry: &Entry, is: fn(&str) -> bool| entry.name.to_str().is_some_and(is);
    for table in folders(&layout.tables(), &|entry| entry.kind == Kind::Folder && named(entry, layout::is_table_name))?
    {
        let is_key = |name: &str| layout::key_of_name(name).is_some();
        folders(&table, &|entry| entry.kind == Kind::File && named(entry, is_key))?;
    }
    for shard in folders(&layout.objects(), &|entry| entry.kind == Kind::Folder && named(entry, layout::is_shard_name))?
    {
        let shard_name = shard.file_name().unwrap_or_default();
        folders(&shard, &|entry| {
            let is_block = |name: &str| layout::shard_of(name) == shard_name && layout::cid_of_name(name).is_some();
            entry.kind == Kind::File && entry.name.to_str().is_some_and(is_block)
        })?;
    }
    found.sort();
    Ok(found)
}
