//! The file system as this backend uses it. Tests replace it.

use std::{
    fmt::Debug,
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::driver::{Entry, FileIdentity, identity};

/// One open file.
pub trait File: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`. Returns fewer only at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// The system's; any part of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Truncates the file, or extends it with zeros.
    ///
    /// # Errors
    /// The system's.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// The system's.
    fn file_bytes(&self) -> io::Result<u64>;

    /// Makes the content and the length durable.
    ///
    /// # Errors
    /// The system's. After a failed sync, unwritten data may be lost, and later syncs do not report it.
    fn sync_data(&self) -> io::Result<()>;

    /// A value that identifies this file among all others. `None` if the system has none.
    ///
    /// # Errors
    /// The system's.
    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(None)
    }
}

/// A lock, held until it is dropped.
pub trait Lock: Debug + Send + Sync {}

/// A file system.
pub trait Files: Debug + Send + Sync {
    /// The kind of entry at a path.
    ///
    /// # Errors
    /// The system's.
    fn look(&self, path: &Path) -> io::Result<Entry>;

    /// The path with symbolic links resolved.
    ///
    /// # Errors
    /// The system's.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// A value that identifies this file or folder among all others.
    ///
    /// # Errors
    /// The system's.
    fn identity(&self, path: &Path) -> io::Result<FileIdentity>;

    /// Opens an existing file, with `write` for writing too. Returns `None` if nothing is there.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path, write: bool) -> io::Result<Option<Arc<dyn File>>>;

    /// Creates an empty file that only its owner can access.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and the system's.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Creates a folder that only its owner can access. Returns `false` if it exists already.
    ///
    /// # Errors
    /// The system's.
    fn create_folder(&self, path: &Path) -> io::Result<bool>;

    /// Renames a file, replacing any file of the new name.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Returns `false` if it does not exist.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<bool>;

    /// The names in a folder, in any order.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Locks a file, which is created if it does not exist. Returns `None` if another handle, in any process, holds the
    /// lock.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::Unsupported`] if the file system has no locks.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
}

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdFiles;

#[derive(Debug)]
struct StdFile(fs::File);

#[derive(Debug)]
struct StdLock(#[expect(dead_code, reason = "closing the file releases the lock")] fs::File);

impl Lock for StdLock {}

fn unless_absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn options() -> fs::OpenOptions {
    let mut options = fs::File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl File for StdFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match read_some_at(&self.0, rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match write_some_at(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(identity(&self.0.metadata()?))
    }
}

#[cfg(unix)]
fn read_some_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(unix)]
fn write_some_at(file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_some_at(file: &fs::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(windows)]
fn write_some_at(file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, offset)
}

impl Files for StdFiles {
    fn look(&self, path: &Path) -> io::Result<Entry> {
        Entry::look(path)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        Ok(identity(&fs::metadata(path)?))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Option<Arc<dyn File>>> {
        // Opening a pipe would wait for its other end.
        if unless_absent(fs::symlink_metadata(path))?.is_some_and(|found| !found.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        let opened = unless_absent(options().write(write).open(path))?;
        Ok(opened.map(|file| Arc::new(StdFile(file)) as Arc<dyn File>))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(StdFile(options().write(true).create_new(true).open(path)?)))
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            created => created.map(|()| true),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        Ok(unless_absent(fs::remove_file(path))?.is_some())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // Only Unix can open and sync a folder.
        if cfg!(unix) { fs::File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = options().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(StdLock(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
