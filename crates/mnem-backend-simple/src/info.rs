//! Counts and measures a store, and lists the files that do not belong to it.

use std::{
    ops::AddAssign,
    path::{Path, PathBuf},
};

use mnem_store_traits::{
    StoreError,
    driver::{StoreInfo, TableInfo},
};

use crate::{
    blockstore,
    engine::medium::{Entry, Kind},
    handle::Handle,
    op_heads, side_table,
    tables::{self, RootName},
};

/// The length of files, and the space that they take on the medium.
#[derive(Clone, Copy, Default)]
struct Size {
    file_bytes: u64,
    allocated_bytes: u64,
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.file_bytes += other.file_bytes;
        self.allocated_bytes += other.allocated_bytes;
    }
}

/// Counts files of all kinds: blocks, heads, rows, markers and unfinished files. Only unfinished files count as free
/// space. Folders have no length but take space on the medium.
pub(crate) fn info(handle: &Handle) -> Result<StoreInfo, StoreError> {
    handle.gate.check_open("count")?;
    let paths = &handle.paths;
    let mut info = StoreInfo::default();
    let mut all = Size::default();
    handle.require_folder(&paths.objects())?;
    for folder in [paths.root().to_owned(), paths.objects(), paths.tables(), paths.tmp()] {
        all += size_of_folder(handle, &folder)?;
    }
    for shard in (0..).map_while(|index| paths.shard(index)) {
        all += size_of_folder(handle, &shard)?;
        for cid in blockstore::shard_cids(handle, &shard)? {
            // A block that was deleted meanwhile is not counted.
            if let Some(size) = size(handle, &paths.block(&cid).file)? {
                info.blocks += 1;
                info.block_bytes += size.file_bytes;
                all += size;
            }
        }
    }
    info.tables = tables(handle, &mut all)?;
    let unfinished = unfinished(handle)?;
    info.free_bytes = unfinished.file_bytes;
    all += unfinished;
    for file in [paths.format(), paths.lock(), paths.op_heads(), paths.unsynced(), paths.tmp_lock()] {
        all += size(handle, &file)?.unwrap_or_default();
    }
    info.heads = op_heads::read(handle)?.len() as u64;
    (info.file_bytes, info.allocated_bytes) = (all.file_bytes, all.allocated_bytes);
    Ok(info)
}

fn size(handle: &Handle, path: &Path) -> Result<Option<Size>, StoreError> {
    let found = handle.metadata(path)?.filter(|found| found.kind == Kind::File);
    Ok(found.map(|found| Size { file_bytes: found.file_bytes, allocated_bytes: found.allocated_bytes }))
}

fn size_of_folder(handle: &Handle, path: &Path) -> Result<Size, StoreError> {
    let found = handle.metadata(path)?.filter(|found| found.kind == Kind::Folder);
    Ok(found.map_or_else(Size::default, |found| Size { file_bytes: 0, allocated_bytes: found.allocated_bytes }))
}

/// The side tables. Adds the files of their rows to `all`.
fn tables(handle: &Handle, all: &mut Size) -> Result<Vec<TableInfo>, StoreError> {
    let mut tables = Vec::new();
    for (name, folder) in side_table::folders(handle)? {
        let (mut keys, mut bytes) = (0, 0);
        *all += size_of_folder(handle, &folder)?;
        for key in side_table::keys(handle, &folder)? {
            if let Some(value) = size(handle, &folder.join(tables::key_name(&key)))? {
                keys += 1;
                bytes += key.len() as u64 + value.file_bytes;
                *all += value;
            }
        }
        if keys > 0 {
            tables.push(TableInfo { name, keys, bytes });
        }
    }
    Ok(tables)
}

fn unfinished(handle: &Handle) -> Result<Size, StoreError> {
    let tmp = handle.paths.tmp();
    let unfinished = handle.names(&tmp, |entry| {
        let name = entry.name.to_str().filter(|name| tables::is_unfinished_name(name))?;
        Some(tmp.join(name))
    })?;
    let mut sum = Size::default();
    for path in unfinished {
        sum += size(handle, &path)?.unwrap_or_default();
    }
    Ok(sum)
}

pub(crate) fn foreign(handle: &Handle) -> Result<Vec<PathBuf>, StoreError> {
    handle.gate.check_open("look for foreign files")?;
    let paths = &handle.paths;
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
    folders(paths.root(), &|entry| {
        RootName::of(&entry.name)
            .is_some_and(|name| entry.kind == if name.is_folder() { Kind::Folder } else { Kind::File })
    })?;
    folders(&paths.tmp(), &|entry| entry.kind == Kind::File && entry.name.to_str().is_some_and(tables::is_tmp_lock))?;
    let named = |entry: &Entry, is: fn(&str) -> bool| entry.name.to_str().is_some_and(is);
    for table in folders(&paths.tables(), &|entry| entry.kind == Kind::Folder && named(entry, tables::is_table_name))? {
        let is_key = |name: &str| tables::key_of_name(name).is_some();
        folders(&table, &|entry| entry.kind == Kind::File && named(entry, is_key))?;
    }
    for shard in folders(&paths.objects(), &|entry| entry.kind == Kind::Folder && named(entry, tables::is_shard_name))?
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
