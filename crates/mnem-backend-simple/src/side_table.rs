//! Side tables: one folder per table, one file per key.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::{
    Bytes, KeyIter, Outcome, SideTable, StoreError,
    backend::{check_table_key, check_table_name, check_table_write},
    limits::TABLE_VALUE_BYTES_MAX,
};

use crate::{
    engine::{
        medium::{Contents, Entry, Kind},
        unfinished::Unfinished,
    },
    error::{damaged, failed, may_be_applied},
    handle::Handle,
    tables,
};

/// A side table of a [`SimpleStore`](crate::SimpleStore).
///
/// Tables are meant to be small: since a folder has no order, listing the keys of a table holds all of them in memory.
/// A write syncs after each key, so that after a power cut the applied keys are the first ones of the write.
#[derive(Debug)]
pub(crate) struct SimpleSideTable {
    handle: Arc<Handle>,
    folder: PathBuf,
}

impl SimpleSideTable {
    pub(crate) fn open(handle: &Arc<Handle>, name: &str) -> Result<Self, StoreError> {
        check_table_name(name)?;
        handle.gate.check_open("open a side table")?;
        Ok(Self { handle: handle.clone(), folder: handle.paths.table(name) })
    }

    fn is_there(&self) -> Result<bool, StoreError> {
        self.handle.is_folder_in(&self.handle.paths.tables(), &self.folder)
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        // Durable regardless of the options, because it may replace a row of another handle.
        let file = Unfinished::write_durably(&self.handle, value)?;
        file.publish(&self.folder.join(tables::key_name(key))).map_err(may_be_applied)?;
        self.handle.sync_folder(&self.folder, Outcome::Unknown)
    }

    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(tables::key_name(key));
        // An entry that is not a regular file is not part of the store, and not a key.
        if self.handle.metadata(&path)?.is_some_and(|found| found.kind == Kind::File) {
            self.handle.fs.remove_file(&path).map_err(failed("remove", &path, Outcome::Unknown))?;
        }
        self.handle.sync_folder(&self.folder, Outcome::Unknown)
    }
}

impl SideTable for SimpleSideTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check_table_key("get", key)?;
        self.handle.gate.check_open("read a side table")?;
        if !self.is_there()? {
            return Ok(None);
        }
        let path = self.folder.join(tables::key_name(key));
        match self.handle.read_replaceable(&path, TABLE_VALUE_BYTES_MAX as u64)? {
            Contents::Absent | Contents::NotAFile => Ok(None),
            Contents::Bytes(value) => Ok(Some(Bytes::from(value))),
            Contents::TooLong(bytes) => Err(damaged(&path, format!("the value has {bytes} bytes"))),
        }
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        let _writing = self.handle.begin_write("write a side table")?;
        let tables = self.handle.paths.tables();
        if !puts.is_empty() {
            self.handle.require_folder(&tables)?;
            self.handle.make_folder(&self.folder)?;
            // Sync even if the folder existed: another process may have just created it.
            self.handle.sync_folder(&tables, Outcome::NotApplied)?;
        } else if !self.is_there()? {
            return Ok(());
        }
        let mut applied = false;
        let mut each = |result: Result<(), StoreError>| {
            let result = if applied { result.map_err(may_be_applied) } else { result };
            applied = true;
            result
        };
        puts.iter().try_for_each(|(key, value)| each(self.put(key, value)))?;
        deletes.iter().try_for_each(|key| each(self.delete(key)))
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.handle.gate.check_open("list a side table")?;
        if !self.is_there()? {
            return Ok(Box::new(std::iter::empty()));
        }
        let keys = keys(&self.handle, &self.folder)?;
        let prefix = Bytes::copy_from_slice(prefix);
        Ok(Box::new(keys.into_iter().filter(move |key| key.starts_with(&prefix)).map(Ok)))
    }
}

/// The keys in a table's folder, ascending.
pub(crate) fn keys(handle: &Handle, folder: &Path) -> Result<BTreeSet<Bytes>, StoreError> {
    handle.names(folder, key)
}

/// The key of an entry of a table's folder, or `None` if it is not a key.
fn key(entry: &Entry) -> Option<Bytes> {
    let name = entry.name.to_str().filter(|_| entry.kind == Kind::File)?;
    tables::key_of_name(name)
}

/// The tables that have a folder, ascending by name. A table that lost its last key keeps its folder.
pub(crate) fn folders(handle: &Handle) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let tables = handle.paths.tables();
    handle.require_folder(&tables)?;
    let found = handle
        .names(&tables, |entry| entry.name.to_str().filter(|name| tables::is_table_name(name)).map(String::from))?;
    let mut folders = Vec::new();
    for name in found {
        let folder = handle.paths.table(&name);
        if handle.is_folder(&folder)? {
            folders.push((name, folder));
        }
    }
    Ok(folders)
}

/// The names of the tables that hold at least one key, ascending. Reads each folder up to its first key.
pub(crate) fn names(handle: &Handle) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for (name, folder) in folders(handle)? {
        if handle.has_entry(&folder, |entry| key(entry).is_some())? {
            names.push(name);
        }
    }
    Ok(names)
}
