//! The folder that a store lies in: what making and opening a store ask of its file system.

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

/// `EBADF`, on every Unix: from file systems that sync no folders.
const EBADF: i32 = 9;

/// The calls that not every file system has. Tests put a file system here that lacks them.
pub(crate) trait Place: Send + Sync {
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// The same of a folder that is open.
    fn sync_opened(&self, folder: &File) -> io::Result<()>;
    /// Gives a file its name unless another file has it, in one step.
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
            // A sandbox may deny the newer call alone; a hard link does the same in two steps.
            Err(PersistError { error, file }) if lacks_publishing(&error) => match fs::hard_link(file.path(), path) {
                Ok(()) => Ok(()),
                Err(error) => Err(PersistError { error, file }),
            },
            Err(error) => Err(error),
        }
    }
}

/// Whether a file system says that it cannot name a file without replacing another, rather than that it failed.
pub(crate) fn lacks_publishing(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, InvalidInput, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported | TooManyLinks | CrossesDevices)
}

/// Whether a file system says that it syncs no folders, rather than that it failed.
fn lacks_folder_sync(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory)
        || (cfg!(unix) && error.raw_os_error() == Some(EBADF))
}

/// Whether a name in the folder survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Durable,
    /// The file system cannot promise it, and the caller wants the store all the same.
    Volatile,
}

/// Before a store is made: whether its name will be durable.
pub(crate) fn probe_folder(place: &dyn Place, at: At<'_>, options: &OpenOptions) -> Result<Names, StoreError> {
    let folder = folder_of(at.path);
    let synced = place.sync_folder(&folder);
    // The maker of a name is the one who has to sync it, so a folder that may not be read will not do.
    settle(at, options, &folder, synced, |error| {
        lacks_folder_sync(error) || error.kind() == io::ErrorKind::PermissionDenied
    })
}

/// Before a store is written to: makes the name of its file durable, which may be a moment old and another process's.
pub(crate) fn sync_name(place: &dyn Place, at: At<'_>, options: &OpenOptions) -> Result<Names, StoreError> {
    let folder = folder_of(&resolve_links(at.path));
    remove_abandoned(&folder);
    match place.sync_folder(&folder) {
        // Who may write to the file and not read its folder did not make it: without that option nothing is made there.
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
            tracing::warn!(path = %at.path.display(), %error, "the folder cannot be synced: a power cut may take the store's name away");
            Ok(Names::Volatile)
        }
        Err(error) if lacks(&error) => Err(without_sync(folder, error)),
        Err(error) => Err(folder_error(folder, error)),
    }
}

/// A folder could not be opened or synced.
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

/// The file itself, where the path is a symbolic link to it. Not by its absolute path, which may be longer than paths
/// can be.
fn resolve_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&path) else { break };
        path = folder_of(&path).join(target);
    }
    path
}

/// A file without a name of its own yet, which goes away with this unless it gets one.
pub(crate) struct Unfinished {
    pub(crate) file: NamedTempFile,
    /// Keeps the folder open, by which the file is found where its path would be too long.
    pub(crate) _folder: Option<File>,
}

impl Unfinished {
    /// Says that the file has a maker, to those that look for files without. Where there are no locks they remove none.
    pub(crate) fn hold(&self) {
        // Another maker may look at the file in the moment before it has its lock, and lets go at once.
        for _ in 0..HOLD_TRIES {
            match self.file.as_file().try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE.0),
                _ => return,
            }
        }
    }
}

/// Makes a file in a folder under a name that nobody has. The name may be longer than the store's, and so may its path.
///
/// It has the mode from the start, less the umask.
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

/// A path of a few bytes to a folder that is open.
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
