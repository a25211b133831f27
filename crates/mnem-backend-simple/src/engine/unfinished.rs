//! New files: written under a temporary name, and renamed once they are whole.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
};

use mnem_store_traits::{Durability, StoreError};

use crate::{error::at, handle::Handle, lacks, op_heads::HeadsLock, tables};

/// A whole file in `tmp` that has not got its name yet. Removed when dropped before it is published.
#[derive(Debug)]
pub(crate) struct Unfinished<'a> {
    handle: &'a Handle,
    path: Option<PathBuf>,
}

impl<'a> Unfinished<'a> {
    /// Writes a file, durable unless the store was opened with less durability.
    pub(crate) fn write(handle: &'a Handle, data: &[u8]) -> Result<Self, StoreError> {
        Self::write_with(handle, data, handle.durability >= Durability::Power)
    }

    /// Writes a file, durable whatever the options say.
    pub(crate) fn write_durably(handle: &'a Handle, data: &[u8]) -> Result<Self, StoreError> {
        Self::write_with(handle, data, true)
    }

    /// Writes a file, to be made durable by whoever publishes it.
    pub(crate) fn write_unsynced(handle: &'a Handle, data: &[u8]) -> Result<Self, StoreError> {
        Self::write_with(handle, data, false)
    }

    fn write_with(handle: &'a Handle, data: &[u8], durable: bool) -> Result<Self, StoreError> {
        let path = handle.paths.tmp().join(tables::unfinished_name(random()));
        // A name that is taken, one chance in 2^128, is an error like any other: repeating the call is safe.
        let mut file = handle.fs.create_file(&path).map_err(at("create", &path))?;
        let unfinished = Self { handle, path: Some(path.clone()) };
        file.write_all(data).map_err(at("write", &path))?;
        if durable {
            handle.poison_on_error(file.sync().map_err(at("sync", &path)))?;
        }
        Ok(unfinished)
    }

    /// Gives it its name, over whatever file has it.
    pub(crate) fn publish(mut self, target: &Path) -> Result<(), StoreError> {
        self.rename(target)
    }

    /// Gives it its name unless something has it: `false`.
    ///
    /// Not to be called by who holds the lock of the store.
    pub(crate) fn publish_new(&mut self, target: &Path) -> Result<bool, StoreError> {
        match self.name_anew(target)? {
            Some(named) => Ok(named),
            None => {
                let _alone = HeadsLock::take(self.handle)?;
                self.rename_if_absent(target)
            }
        }
    }

    /// As [`publish_new`](Self::publish_new), for who holds the lock of the store.
    pub(crate) fn publish_new_alone(&mut self, target: &Path) -> Result<bool, StoreError> {
        match self.name_anew(target)? {
            Some(named) => Ok(named),
            None => self.rename_if_absent(target),
        }
    }

    /// Gives it its name by a call that replaces nothing. `None`: there is no such call here.
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

    /// Gives it its name unless something has it, where only the lock of the store, which is held, keeps others from doing so in between.
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
        // What stays behind is cleared by the next handle that opens the store alone.
        if let Err(error) = self.handle.fs.remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "an unfinished file stays behind");
        }
    }
}

fn random() -> u128 {
    // The standard library keys its hash maps from the system's random numbers; a keyed hash of nothing is one of them.
    let word = || u128::from(RandomState::new().build_hasher().finish());
    word() << 64 | word()
}
