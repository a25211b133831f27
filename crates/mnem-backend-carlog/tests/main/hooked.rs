//! The operating system's files, with a hook that is called before each call.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_backend_carlog::files::{File, Files, Lock, StdFiles};
use mnem_store_traits::driver::{Entry, FileIdentity};

/// A call that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    /// Opening a file that may not exist.
    Open,
    /// A file that was just opened or created.
    Opened,
    /// A file was closed. The result of the hook is ignored.
    Closed,
    /// Listing a folder.
    List,
    /// Reading so many bytes.
    Read(usize),
    Write,
    Sync,
    /// Asking for the length of a file.
    Length,
    /// A rename that has taken effect already.
    Renamed,
}

type Hook = dyn Fn(Call, &Path) -> io::Result<()> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Hooked(Arc<Hook>);

impl Hooked {
    pub(crate) fn new(hook: impl Fn(Call, &Path) -> io::Result<()> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Arc::new(hook)))
    }

    fn file(&self, path: &Path, file: Arc<dyn File>) -> io::Result<Arc<dyn File>> {
        let file = HookedFile { hook: self.clone(), path: path.to_owned(), file };
        (self.0)(Call::Opened, path)?;
        Ok(Arc::new(file))
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

#[derive(Debug)]
struct HookedFile {
    hook: Hooked,
    path: PathBuf,
    file: Arc<dyn File>,
}

impl Drop for HookedFile {
    fn drop(&mut self) {
        let _ = (self.hook.0)(Call::Closed, &self.path);
    }
}

impl File for HookedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.hook.0)(Call::Read(buffer.len()), &self.path)?;
        self.file.read_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (self.hook.0)(Call::Write, &self.path)?;
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn file_bytes(&self) -> io::Result<u64> {
        (self.hook.0)(Call::Length, &self.path)?;
        self.file.file_bytes()
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.hook.0)(Call::Sync, &self.path)?;
        self.file.sync_data()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        self.file.identity()
    }
}

impl Files for Hooked {
    fn look(&self, path: &Path) -> io::Result<Entry> {
        StdFiles.look(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        StdFiles.resolve(path)
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        StdFiles.identity(path)
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Option<Arc<dyn File>>> {
        (self.0)(Call::Open, path)?;
        StdFiles.open(path, write)?.map(|file| self.file(path, file)).transpose()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        (self.0)(Call::Create, path)?;
        self.file(path, StdFiles.create(path)?)
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        StdFiles.create_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        StdFiles.rename(from, to)?;
        (self.0)(Call::Renamed, to)
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        StdFiles.remove(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        (self.0)(Call::List, path)?;
        StdFiles.list(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        (self.0)(Call::Sync, path)?;
        StdFiles.sync_folder(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        StdFiles.lock(path)
    }
}

/// Whether a file is a segment.
pub(crate) fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "car")
}

/// Whether a file is an index run.
pub(crate) fn is_run(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"))
}
