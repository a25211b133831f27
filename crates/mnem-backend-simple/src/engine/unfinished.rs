//! New files: written under a temporary name, and renamed once they are complete.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
};

use mnem_store_traits::{Durability, StoreError};

use crate::{error::at, handle::Handle, lacks, op_heads::HeadsLock, tables};

/// A complete file in `tmp` that has no final name yet. Dropping it before it is published removes it.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    handle: &'a Handle,
    path: Option<PathBuf>,
}

impl<'a> Unfinished<'a> {
    /// Writes a file. It is durable unless the store was opened with weaker durability.
    pub(crate) fn write(handle: &'a Handle, data: &[u8]) -> Result<Self, StoreError> {
        Self::write_with(handle, data, handle.durability >= Durability::Power)
    }

    /// Writes a file that is durable regardless of the options.
    pub(crate) fn write_durably(handle: &'a Handle, data: &[u8]) -> Result<Self, StoreError> {
        Self::write_with(handle, data, true)
    }

    /// Writes a file without syncing it. The caller must sync it before publishing it.
    pub(crate) fn write_unsynced(handle: &'a Handle, data: &[u8]) -> Result<Self, StoreError> {
        Self::write_with(handle, data, false)
    }

    fn write_with(handle: &'a Handle, data: &[u8], durable: bool) -> Result<Self, StoreError> {
        let path = handle.paths.tmp().join(tables::unfinished_name(random()));
        // A name collision has a chance of 1 in 2^128 and is an error like any other; the call can be retried.
        let mut file = handle.fs.create_file(&path).map_err(at("create", &path))?;
        let unfinished = Self { handle, path: Some(path.clone()) };
        file.write_all(data).map_err(at("write", &path))?;
        if durable {
            handle.poison_on_error(file.sync().map_err(at("sync", &path)))?;
        }
        Ok(unfinished)
    }

    /// Renames the file to its final name, replacing any file there.
    pub(crate) fn publish(mut self, target: &Path) -> Result<(), StoreError> {
        self.rename(target)
    }

    /// Gives the file its final name unless the name is taken. Returns `false` if it is.
    ///
    /// Must not be called while holding the lock of the store.
    pub(crate) fn publish_new(&mut self, target: &Path) -> Result<bool, StoreError> {
        match self.name_anew(target)? {
            Some(named) => Ok(named),
            None => {
                let _alone = HeadsLock::take(self.handle)?;
                self.rename_if_absent(target)
            }
        }
    }

    /// As [`publish_new`](Self::publish_new), for a caller that holds the lock of the store.
    pub(crate) fn publish_new_alone(&mut self, target: &Path) -> Result<bool, StoreError> {
        match self.name_anew(target)? {
            Some(named) => Ok(named),
            None => self.rename_if_absent(target),
        }
    }

    /// Gives the file its name with a call that replaces nothing. `None`: the file system has no such call.
    fn name_anew(&mut self, target: &Path) -> Result<Option<bool>, StoreError> {
        let (fs, Some(path)) = (&self.handle.fs, &self.path) else { return Ok(Some(false)) };
        match fs.link(path, target) {
            Err(error) if lacks::has_no_such_call(&error) => {}
            linked => return linked.map(Some).map_err(at("link a new file to", target)),
        }
        match fs.rename_new(path, target) {
            Err(error) if lacks::has_no_such_call(&error) => Ok(None),
            Err(error) => Err(at("rename a new file to", target)(error)),
            Ok(false) => Ok(Some(false)),
            Ok(true) => {
                self.path = None;
                Ok(Some(true))
            }
        }
    }

    /// Renames the file unless its name is taken. The caller must hold the lock of the store, which alone keeps others
    /// from taking the name in between.
    fn rename_if_absent(&mut self, target: &Path) -> Result<bool, StoreError> {
        if self.handle.metadata(target)?.is_some() {
            return Ok(false);
        }
        self.rename(target)?;
        Ok(true)
    }

    fn rename(&mut self, target: &Path) -> Result<(), StoreError> {
        if let Some(path) = &self.path {
            self.handle.fs.rename(path, target).map_err(at("rename a new file to", target))?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else { return };
        // If it stays, the next handle that opens the store alone removes it.
        if let Err(error) = self.handle.fs.remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "cannot remove an unfinished file");
        }
    }
}

fn random() -> u128 {
    // The standard library keys its hash maps with random numbers of the system; a keyed hash of nothing is such a
    // number.
    let word = || u128::from(RandomState::new().build_hasher().finish());
    word() << 64 | word()
}
