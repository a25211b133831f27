//! A file system in which a failed sync of a folder is final.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use mnem_store_traits::driver::{Entry, FileIdentity};

use super::{
    files::{File, Files, Lock},
    switch::is_unopened,
};
use crate::handle::hold;

/// The system reports a failed sync of a folder once, to whichever thread asks first, and may lose the names that were
/// not synced. So after it has failed, no sync of this handle succeeds, in no thread.
#[derive(Debug)]
pub(crate) struct Latched {
    files: Arc<dyn Files>,
    has_failed: Mutex<bool>,
}

impl Latched {
    pub(crate) fn new(files: Arc<dyn Files>) -> Self {
        Self { files, has_failed: Mutex::new(false) }
    }
}

impl Files for Latched {
    fn look(&self, path: &Path) -> io::Result<Entry> {
        self.files.look(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.resolve(path)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.files.identity(path)
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Option<Arc<dyn File>>> {
        self.files.open(path, write)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.files.create(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        self.files.create_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.files.remove(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.files.list(path)
    }

    /// Holds the lock during the sync, so that no other thread asks between a failure and its record.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut has_failed = hold(&self.has_failed);
        if *has_failed {
            return Err(io::Error::other("an earlier sync of the folder failed"));
        }
        let synced = self.files.sync_folder(path);
        *has_failed = synced.as_ref().is_err_and(|error| !is_unopened(error));
        synced
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.files.lock(path)
    }
}
