//! Counting and measuring a store, and finding what does not belong to it.

use std::path::{Path, PathBuf};

use mnem_store_traits::StoreError;

use crate::{
    blockstore,
    handle::Handle,
    medium::{Entry, Kind},
    op_heads, side_table,
    tables::{self, FORMAT_NAME, FORMAT_VERSION, RootName},
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
    /// Number of keys.
    pub keys: u64,
    /// Bytes of its keys and values.
    pub bytes: u64,
}

pub(crate) fn info(handle: &Handle) -> Result<Info, StoreError> {
    handle.check_open("count")?;
    let layout = &handle.layout;
    let (mut blocks, mut block_bytes) = (0, 0);
    handle.require_folder(&layout.objects())?;
    for shard in (0..).map_while(|index| layout.shard(index)) {
        for cid in blockstore::shard_cids(handle, &shard)? {
            // A block that was deleted meanwhile is not counted.
            if let Some(bytes) = file_bytes(handle, &layout.block(&cid).file)? {
                blocks += 1;
                block_bytes += bytes;
            }
        }
    }
    let (tables, row_file_bytes) = tables(handle)?;
    let free_bytes = unfinished_bytes(handle)?;
    let mut file_bytes_sum = block_bytes + free_bytes + row_file_bytes;
    for file in [layout.format(), layout.lock(), layout.op_heads(), layout.unsynced(), layout.tmp_lock()] {
        file_bytes_sum += file_bytes(handle, &file)?.unwrap_or(0);
    }
    Ok(Info {
        format: format!("{FORMAT_NAME} {FORMAT_VERSION}"),
        blocks,
        block_bytes,
        heads: op_heads::read(handle)?.len() as u64,
        tables,
        file_bytes: file_bytes_sum,
        free_bytes,
    })
}

fn file_bytes(handle: &Handle, path: &Path) -> Result<Option<u64>, StoreError> {
    Ok(handle.metadata(path)?.filter(|found| found.kind == Kind::File).map(|found| found.file_bytes))
}

/// The side tables, and what the files of their rows hold.
fn tables(handle: &Handle) -> Result<(Vec<TableInfo>, u64), StoreError> {
    let mut tables = Vec::new();
    let mut row_file_bytes = 0;
    for (name, folder) in side_table::folders(handle)? {
        let (mut keys, mut bytes) = (0, 0);
        for key in side_table::keys(handle, &folder)? {
            if let Some(value_bytes) = file_bytes(handle, &folder.join(tables::key_name(&key)))? {
                keys += 1;
                bytes += key.len() as u64 + value_bytes;
                row_file_bytes += value_bytes;
            }
        }
        if keys > 0 {
            tables.push(TableInfo { name, keys, bytes });
        }
    }
    Ok((tables, row_file_bytes))
}

fn unfinished_bytes(handle: &Handle) -> Result<u64, StoreError> {
    let tmp = handle.layout.tmp();
    let unfinished = handle.names(&tmp, |entry| {
        let name = entry.name.to_str().filter(|name| tables::is_unfinished_name(name))?;
        Some(tmp.join(name))
    })?;
    unfinished.iter().try_fold(0, |sum, path| Ok(sum + file_bytes(handle, path)?.unwrap_or(0)))
}

pub(crate) fn foreign(handle: &Handle) -> Result<Vec<PathBuf>, StoreError> {
    handle.check_open("look for foreign files")?;
    let layout = &handle.layout;
    let mut found = Vec::new();
    let mut folders = |outer: &Path, belongs: &dyn Fn(&Entry) -> bool| {
        let mut inner = Vec::new();
        handle.for_each_entry(outer, |entry| {
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
    folders(&layout.tmp(), &|entry| entry.kind == Kind::File && entry.name.to_str().is_some_and(tables::is_tmp_lock))?;
    let named = |entry: &Entry, is: fn(&str) -> bool| entry.name.to_str().is_some_and(is);
    for table in folders(&layout.tables(), &|entry| entry.kind == Kind::Folder && named(entry, tables::is_table_name))?
    {
        let is_key = |name: &str| tables::key_of_name(name).is_some();
        folders(&table, &|entry| entry.kind == Kind::File && named(entry, is_key))?;
    }
    for shard in folders(&layout.objects(), &|entry| entry.kind == Kind::Folder && named(entry, tables::is_shard_name))?
    {
        let shard_name = shard.file_name().unwrap_or_default();
        folders(&shard, &|entry| {
            let is_block = |name: &str| tables::shard_of(name) == shard_name && tables::cid_of_name(name).is_some();
            entry.kind == Kind::File && entry.name.to_str().is_some_and(is_block)
        })?;
    }
    found.sort();
    Ok(found)
}
