//! A file system that lacks calls, as real ones do.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use mnem_backend_simple::medium::{
    Contents, Entries, FileSystem, Lock, LockMode, Metadata, NewFile, SyncError, WholeSync,
};

/// A call that may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    Link,
    RenameNew,
    FolderSync,
    Locks,
}

type InBetween = Arc<dyn Fn(&Path) + Send + Sync>;

/// Calls that return an error number of the system.
#[derive(Clone)]
pub(crate) struct Lacking {
    inner: Arc<dyn FileSystem>,
    errors: Vec<(Lacks, i32)>,
    /// Called between the two steps of a rename over a file, while the name is gone.
    in_between: Option<InBetween>,
    /// Files that a rename has replaced.
    pub(crate) replaced: Arc<Mutex<Vec<PathBuf>>>,
}

impl fmt::Debug for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lacking").field("errors", &self.errors).finish_non_exhaustive()
    }
}

impl Lacking {
    pub(crate) fn new(inner: Arc<dyn FileSystem>, errors: &[(Lacks, i32)]) -> Self {
        Self { inner, errors: errors.to_vec(), in_between: None, replaced: Arc::default() }
    }

    /// Renames in two steps: remove the old file, then give the new one its name.
    pub(crate) fn in_two_steps(mut self, in_between: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        self.in_between = Some(Arc::new(in_between));
        self
    }

    fn has(&self, call: Lacks) -> io::Result<()> {
        match self.errors.iter().find(|(lacks, _)| *lacks == call) {
            Some((_, errno)) => Err(io::Error::from_raw_os_error(*errno)),
            None => Ok(()),
        }
    }
}

impl FileSystem for Lacking {
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        self.inner.resolve(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        self.inner.metadata(path)
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents> {
        self.inner.read(path, bytes_max)
    }

    fn list(&self, path: &Path) -> io::Result<Option<Entries>> {
        self.inner.list(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        self.inner.create_folder(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        self.inner.create_file(path)
    }

    fn sync_file(&self, path: &Path) -> Result<(), SyncError> {
        self.inner.sync_file(path)
    }

    fn sync_folder(&self, path: &Path) -> Result<(), SyncError> {
        self.has(Lacks::FolderSync)?;
        self.inner.sync_folder(path)
    }

    fn whole(&self, _folder: &Path) -> Option<Box<dyn WholeSync>> {
        None
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.inner.metadata(to)?.is_some() {
            self.replaced.lock().unwrap().push(to.to_owned());
            if let Some(in_between) = &self.in_between {
                self.inner.remove_file(to)?;
                in_between(to);
            }
        }
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.has(Lacks::Link)?;
        self.inner.link(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        self.has(Lacks::RenameNew)?;
        self.inner.rename_new(from, to)
    }

    fn replaces_in_one_step(&self, _folder: &Path) -> bool {
        self.in_between.is_none()
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        self.inner.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<bool> {
        self.inner.remove_folder(path)
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>> {
        if let Err(error) = self.has(Lacks::Locks) {
            // As on a system that lacks only locks: the file is created, but not locked.
            drop(self.inner.lock(path, mode));
            return Err(error);
        }
        self.inner.lock(path, mode)
    }
}
