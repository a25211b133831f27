//! The folder of a store: the file system calls that creating and opening a store need.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
};

use mnem_store_traits::driver::PlaceLacks;
use mnem_store_traits::{Outcome, StoreError};
use tempfile::{NamedTempFile, PersistError};

use crate::{
    OpenOptions,
    error::At,
    limits::{HOLD_TRIES, LINKS_MAX, LOCK_PAUSE, TEMPORARY_PREFIX},
};

use self::abandoned::RANDOM_CHARS;
pub(crate) use self::{abandoned::remove_abandoned, named::NamedFile};

/// `EBADF` on every Unix: the answer of some file systems that cannot sync folders.
const EBADF: i32 = 9;

/// The calls that some file systems lack. Tests substitute a file system that lacks them.
pub(crate) trait Place: Send + Sync {
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// As [`sync_folder`](Self::sync_folder), for an open folder.
    fn sync_opened(&self, folder: &File) -> io::Result<()>;
    /// Gives a file its name in one step, unless another file has that name.
    fn persist_noclobber(&self, file: NamedTempFile, path: &Path) -> Result<(), PersistError>;
}

/// The operating system.
pub(crate) struct System;

impl Place for System {
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if cfg!(unix) { self.sync_opened(&File::open(folder)?) } else { Ok(()) }
    }

    fn sync_opened(&self, folder: &File) -> io::Result<()> {
        folder.sync_all()
    }

    fn persist_noclobber(&self, file: NamedTempFile, path: &Path) -> Result<(), PersistError> {
        match file.persist_noclobber(path) {
            Ok(_) => Ok(()),
            // A sandbox may deny only the newer call. A hard link does the same in two steps.
            Err(PersistError { error, file }) if lacks_publishing(&error) => match fs::hard_link(file.path(), path) {
                Ok(()) => Ok(()),
                Err(error) => Err(PersistError { error, file }),
            },
            Err(error) => Err(error),
        }
    }
}

/// Whether the error means that the file system cannot rename without replacing, rather than that the call failed.
pub(crate) fn lacks_publishing(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, InvalidInput, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported | TooManyLinks | CrossesDevices)
}

/// Whether the error means that the file system cannot sync folders, rather than that the sync failed.
fn lacks_folder_sync(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory)
        || (cfg!(unix) && error.raw_os_error() == Some(EBADF))
}

/// Whether a name in the folder survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Durable,
    /// The file system cannot promise it, and the caller accepts that.
    Volatile,
}

/// Before a store is created: determines whether its name will be durable.
pub(crate) fn probe_folder(place: &dyn Place, at: At<'_>, options: &OpenOptions) -> Result<Names, StoreError> {
    let folder = folder_of(at.path);
    let synced = place.sync_folder(&folder);
    // The creator must sync the name, so it must be able to read the folder.
    settle(at, options, &folder, synced, |error| {
        lacks_folder_sync(error) || error.kind() == io::ErrorKind::PermissionDenied
    })
}

/// Before a store is written: makes the name of its file durable. Another process may have just created it.
pub(crate) fn sync_name(place: &dyn Place, at: At<'_>, options: &OpenOptions) -> Result<Names, StoreError> {
    let folder = folder_of(&resolve_links(at.path));
    remove_abandoned(&folder);
    match place.sync_folder(&folder) {
        // A process that may write the file but not read its folder did not create it, because creating without that
        // option fails here.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !options.without_folder_sync => {
            Ok(Names::Durable)
        }
        synced => settle(at, options, &folder, synced, |error| {
            lacks_folder_sync(error) || error.kind() == io::ErrorKind::PermissionDenied
        }),
    }
}

fn settle(
    at: At<'_>,
    options: &OpenOptions,
    folder: &Path,
    synced: io::Result<()>,
    lacks: impl Fn(&io::Error) -> bool,
) -> Result<Names, StoreError> {
    match synced {
        Ok(()) => Ok(Names::Durable),
        Err(error) if lacks(&error) && options.without_folder_sync => {
            tracing::warn!(path = %at.path.display(), %error, "the folder cannot be synced: a power cut may lose the store's name");
            Ok(Names::Volatile)
        }
        Err(error) if lacks(&error) => Err(without_sync(folder, error)),
        Err(error) => Err(folder_error(folder, error)),
    }
}

/// The error for a folder that could not be opened or synced.
fn folder_error(folder: &Path, error: io::Error) -> StoreError {
    if lacks_folder_sync(&error) {
        return without_sync(folder, error);
    }
    At { path: folder, operation: "sync the folder" }.failed(Outcome::NotApplied, error)
}

fn without_sync(folder: &Path, source: io::Error) -> StoreError {
    At { path: folder, operation: "sync the folder" }.failed(Outcome::NotApplied, PlaceLacks::FolderSync { source })
}

pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The file that a symbolic link at the path leads to. The result stays relative, because an absolute path may exceed
/// the maximum length.
fn resolve_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(target);
    }
    path
}

/// A file that has no name of its own yet. Dropping this removes the file, unless it was published.
pub(crate) struct Unfinished {
    pub(crate) file: NamedTempFile,
    /// Keeps the folder open: the file is reached through it if its path would be too long.
    pub(crate) _folder: Option<File>,
}

impl Unfinished {
    /// Locks the file, which tells other creators that it is in use. Without file locks they remove nothing.
    pub(crate) fn hold(&self) {
        // Another creator may open the file before it is locked here, and releases it at once.
        for _ in 0..HOLD_TRIES {
            match self.file.as_file().try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE.0),
                _ => return,
            }
        }
    }
}

/// Creates a file in a folder under an unused name. The name may be longer than the store's, and so may its path.
///
/// The file has the mode from the start, less the umask.
pub(crate) fn unfinished_in(folder: &Path, mode: u32) -> io::Result<Unfinished> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX).rand_bytes(RANDOM_CHARS);
    #[cfg(unix)]
    builder.permissions(permissions(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let unfinished = match builder.tempfile_in(folder) {
        Err(error) if cfg!(target_os = "linux") && error.kind() == io::ErrorKind::InvalidFilename => {
            let open = File::open(folder)?;
            let file = builder.tempfile_in(short_path(&open)).map_err(|_| error)?;
            Unfinished { file, _folder: Some(open) }
        }
        file => Unfinished { file: file?, _folder: None },
    };
    unfinished.hold();
    Ok(unfinished)
}

#[cfg(unix)]
fn permissions(mode: u32) -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(mode)
}

/// A path of a few bytes to an open folder.
#[cfg(target_os = "linux")]
fn short_path(folder: &File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

#[cfg(not(target_os = "linux"))]
fn short_path(_: &File) -> PathBuf {
    PathBuf::from(".")
}

mod abandoned;
mod named;

#[cfg(all(test, unix))]
mod tests;
