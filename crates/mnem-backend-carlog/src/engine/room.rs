//! A file system that closes segments when the process has too many files open.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::driver::{Entry, FileIdentity};

use super::{
    files::{File, Files, Lock},
    open_segments::OpenSegments,
};

/// Every call that needs a descriptor gets one as long as a segment can be closed for it. The system finds out that it
/// has none before it creates a file or syncs a folder, so such a call may be made again.
#[derive(Debug)]
pub(crate) struct Room {
    files: Arc<dyn Files>,
    segments: Arc<OpenSegments>,
}

impl Room {
    pub(crate) fn new(files: Arc<dyn Files>, segments: Arc<OpenSegments>) -> Self {
        Self { files, segments }
    }
}

impl Files for Room {
    fn look(&self, path: &Path) -> io::Result<Entry> {
        self.segments.with_room(|| self.files.look(path))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.resolve(path)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        self.files.identity(path)
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Option<Arc<dyn File>>> {
        self.segments.with_room(|| self.files.open(path, write))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.segments.with_room(|| self.files.create(path))
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
        self.segments.with_room(|| self.files.list(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.segments.with_room(|| self.files.sync_folder(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.segments.with_room(|| self.files.lock(path))
    }
}
