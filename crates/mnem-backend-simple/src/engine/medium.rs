//! The seam between the store and the file system: every file operation of this crate goes through [`FileSystem`].
//!
//! Tests use it to put recording, failing and simulated file systems below the store
//! ([`OpenOptions::open_on`](crate::OpenOptions::open_on)). Paths are absolute. No method takes or returns a file of
//! the standard library, so a file system in memory can implement the trait.

use std::{
    ffi::OsString,
    fmt::Debug,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use mnem_store_traits::driver::{FileIdentity, allocated_bytes, identity};

use crate::limits::OPENINGS_MAX;

/// The type of a directory entry. Symbolic links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, socket, pipe or device.
    Other,
}

/// Type, size and identity of the entry at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its type.
    pub kind: Kind,
    /// Length in bytes; meaningful for a regular file.
    pub file_bytes: u64,
    /// Space that it takes on the medium, in bytes.
    pub allocated_bytes: u64,
    /// Its identity, if the file system reports one.
    pub file_id: Option<FileId>,
}

/// Distinguishes a file from any other file that has, or had, its path.
///
/// The number alone does not, because the number of a removed file is soon given to a new one. Giving a file a name
/// updates its change time, so the time distinguishes the two, at the resolution of the file system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The number of the file in its file system (inode number).
    pub number: u64,
    /// Time of the last change of its bytes, names or mode, in nanoseconds since 1970.
    pub changed_nanos: i128,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder.
    pub name: OsString,
    /// Its type.
    pub kind: Kind,
}

/// The entries of a folder, in no particular order.
pub type Entries = Box<dyn Iterator<Item = io::Result<Entry>> + Send>;

/// The result of [`FileSystem::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// The bytes of a regular file.
    Bytes(Vec<u8>),
    /// A regular file of this many bytes, more than requested. It was not read.
    TooLong(u64),
    /// A folder, a symbolic link, or something else that holds no bytes of the store.
    NotAFile,
    /// Nothing.
    Absent,
}

/// The mode of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Excludes exclusive holders only.
    Shared,
    /// Excludes all other holders.
    Exclusive,
}

/// The reason why a file or folder was not synced.
#[derive(Debug)]
pub enum SyncError {
    /// It could not be opened, so no sync was tried. Nothing is lost, and a retry may help.
    NotOpened(io::Error),
    /// The sync failed. The unsynced data must be considered lost: a second sync may succeed without having written it.
    Failed(io::Error),
}

impl From<io::Error> for SyncError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// A lock, held until it is dropped or the process ends.
pub trait Lock: Debug + Send + Sync {}

/// A file that was just created and is being written.
pub trait NewFile: Debug + Send {
    /// Appends all of `data`.
    ///
    /// # Errors
    /// Those of the file system; some of the bytes may have been written.
    fn write_all(&mut self, data: &[u8]) -> io::Result<()>;

    /// Makes the written bytes durable, but not the file's name: that needs [`FileSystem::sync_folder`].
    ///
    /// # Errors
    /// Those of the file system. The bytes must then be considered lost: a second call may succeed without having
    /// written them.
    fn sync(&mut self) -> io::Result<()>;
}

pub use crate::engine::whole::WholeSync;

/// The file system operations that the store needs.
///
/// Only the sync methods make anything durable. Only this trait decides whether something is absent: the error "no such
/// entry" means absent, and any other failure is an error.
pub trait FileSystem: Debug + Send + Sync {
    /// Resolves all symbolic links of the path. Returns `None` if nothing is there.
    ///
    /// # Errors
    /// Those of the file system, except absence.
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>>;

    /// Describes the entry at `path`. Returns `None` if nothing is there. Does not follow a symbolic link at the end of
    /// the path.
    ///
    /// # Errors
    /// Those of the file system, except absence.
    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>>;

    /// As [`metadata`](Self::metadata), for each of these names in an existing folder.
    ///
    /// # Errors
    /// Those of the file system, except absence.
    ///
    /// # For implementers
    /// The default calls `metadata` for one path after another.
    fn metadata_in(&self, folder: &Path, names: &[String]) -> io::Result<Vec<Option<Metadata>>> {
        names.iter().map(|name| self.metadata(&folder.join(name))).collect()
    }

    /// Reads a whole regular file of up to `bytes_max` bytes. Does not follow a symbolic link at the end of the path.
    ///
    /// # Errors
    /// Those of the file system, except absence.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents>;

    /// Device and number (inode) of the file or folder that the path leads to, which stay the same if it is moved.
    /// `None` if the system does not report them.
    ///
    /// # Errors
    /// Those of the file system.
    ///
    /// # For implementers
    /// The default returns `None`.
    fn identity(&self, _path: &Path) -> io::Result<FileIdentity> {
        Ok(None)
    }

    /// Streams the entries of a folder. Returns `None` if nothing is there.
    ///
    /// # Errors
    /// Those of the file system, except absence.
    fn list(&self, path: &Path) -> io::Result<Option<Entries>>;

    /// Creates a folder that only its owner may enter. Returns `false` if something is already there.
    ///
    /// # Errors
    /// Those of the file system; `NotFound` if the parent is absent.
    fn create_folder(&self, path: &Path) -> io::Result<bool>;

    /// Creates an empty file that only its owner may read. Never opens an existing one.
    ///
    /// # Errors
    /// `AlreadyExists` if something is there; otherwise those of the file system.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Makes the bytes of an existing file durable.
    ///
    /// # Errors
    /// Those of the file system; a second call may then succeed without having written them.
    fn sync_file(&self, path: &Path) -> Result<(), SyncError>;

    /// Makes the entries of a folder durable.
    ///
    /// # Errors
    /// Those of the file system, including that it cannot sync folders. A second call may then succeed without having
    /// written them.
    fn sync_folder(&self, path: &Path) -> Result<(), SyncError>;

    /// Prepares a sync of the whole file system that contains the folder. `None` if that is impossible, or less safe
    /// than a sync file by file.
    ///
    /// # For implementers
    /// The default returns `None`.
    fn whole(&self, _folder: &Path) -> Option<Box<dyn WholeSync>> {
        None
    }

    /// Moves a file within the file system atomically, replacing a file of the new name.
    ///
    /// # Errors
    /// Those of the file system; nothing was moved.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name. Returns `false` if the name is taken, whose file then stays.
    ///
    /// # Errors
    /// Those of the file system; no name was given.
    fn link(&self, from: &Path, to: &Path) -> io::Result<bool>;

    /// Moves a file within the file system unless the new name is taken. Returns `false` if it is taken, whose file
    /// then stays.
    ///
    /// # Errors
    /// Those of the file system, including that it has no such call; nothing was moved.
    ///
    /// # For implementers
    /// The default reports that there is no such call.
    fn rename_new(&self, _from: &Path, _to: &Path) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether a reader finds either the old or the new file at every moment of a [`rename`](Self::rename) over a file.
    ///
    /// # For implementers
    /// The default returns `true`.
    fn replaces_in_one_step(&self, _folder: &Path) -> bool {
        true
    }

    /// Removes a file. Returns `false` if there was none.
    ///
    /// # Errors
    /// Those of the file system, except absence; the file is then still there.
    fn remove_file(&self, path: &Path) -> io::Result<bool>;

    /// Removes an empty folder. Returns `false` if there was none.
    ///
    /// # Errors
    /// Those of the file system, except absence; the folder is then still there.
    fn remove_folder(&self, path: &Path) -> io::Result<bool>;

    /// Locks a lock file without waiting, creating it if necessary. Returns `None` if another holder has the lock.
    ///
    /// Two locks taken by one process exclude each other like locks of two processes.
    ///
    /// # Errors
    /// Those of the file system, including that it has no locks.
    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>>;
}

/// The file system of the operating system.
///
/// Folders are created with mode 0700 and files with 0600. Systems other than Unix have no modes and cannot sync
/// folders; there the names of files are only as durable as the file system makes them by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdFileSystem;

#[derive(Debug)]
struct StdNewFile(File);

#[derive(Debug)]
struct StdLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

impl Lock for StdLock {}

impl NewFile for StdNewFile {
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.0.write_all(data)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl From<std::fs::FileType> for Kind {
    fn from(kind: std::fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else {
            Self::Other
        }
    }
}

fn unless_absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The standard library exposes file numbers only on Unix.
fn file_id(found: &std::fs::Metadata) -> Option<FileId> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let changed_nanos = i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec());
        Some(FileId { number: found.ino(), changed_nanos })
    }
    #[cfg(not(unix))]
    {
        let _ = found;
        None
    }
}

/// The number of names from which on the folder is opened to look them up.
#[cfg(target_os = "linux")]
const NAMES_IN_A_FOLDER_MIN: usize = 4;

/// Looks up a name in an open folder.
#[cfg(target_os = "linux")]
fn metadata_at(folder: &rustix::fd::OwnedFd, name: &str) -> io::Result<Option<Metadata>> {
    use rustix::fs::{AtFlags, FileType, statat};
    let found = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let changed_nanos = i128::from(found.st_ctime) * 1_000_000_000 + i128::from(found.st_ctime_nsec);
    Ok(Some(Metadata {
        kind: match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            _ => Kind::Other,
        },
        file_bytes: u64::try_from(found.st_size).unwrap_or(0),
        allocated_bytes: u64::try_from(found.st_blocks).unwrap_or(0) * 512,
        file_id: Some(FileId { number: found.st_ino, changed_nanos }),
    }))
}

/// Opens a regular file. If there is none, returns what was found instead.
///
/// Checks the type before opening, because opening a pipe would wait for its other end. If a file disappears between
/// the check and the open, it was removed, or is being replaced on a file system that does so in two steps; a second
/// check tells which.
fn open_to_read(
    path: &Path,
    look: impl Fn() -> io::Result<Option<Metadata>>,
    bytes_max: u64,
) -> io::Result<Result<File, Contents>> {
    for _ in 0..OPENINGS_MAX {
        match look()? {
            None => return Ok(Err(Contents::Absent)),
            Some(found) if found.kind != Kind::File => return Ok(Err(Contents::NotAFile)),
            Some(found) if found.file_bytes > bytes_max => return Ok(Err(Contents::TooLong(found.file_bytes))),
            Some(_) => {}
        }
        match File::open(path) {
            Ok(file) => return Ok(Ok(file)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the file exists but cannot be opened: another process keeps replacing it"))
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

impl FileSystem for StdFileSystem {
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        unless_absent(path.canonicalize())
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let found = unless_absent(path.symlink_metadata())?;
        Ok(found.map(|found| Metadata {
            kind: found.file_type().into(),
            file_bytes: found.len(),
            allocated_bytes: allocated_bytes(&found),
            file_id: file_id(&found),
        }))
    }

    #[cfg(target_os = "linux")]
    fn metadata_in(&self, folder: &Path, names: &[String]) -> io::Result<Vec<Option<Metadata>>> {
        use rustix::fs::{CWD, Mode, OFlags, openat};
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // For a few names, opening the folder does not pay. If it cannot be opened, for instance without a free
        // descriptor, look up path by path.
        let opened =
            if names.len() < NAMES_IN_A_FOLDER_MIN { None } else { openat(CWD, folder, flags, Mode::empty()).ok() };
        match opened {
            Some(opened) => names.iter().map(|name| metadata_at(&opened, name)).collect(),
            None => names.iter().map(|name| self.metadata(&folder.join(name))).collect(),
        }
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        std::fs::metadata(path).map(|found| identity(&found))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents> {
        let file = match open_to_read(path, || self.metadata(path), bytes_max)? {
            Ok(file) => file,
            Err(no_file) => return Ok(no_file),
        };
        // The file may be another one than a moment ago, and may grow while it is read.
        let file_bytes = file.metadata()?.len();
        if file_bytes > bytes_max {
            return Ok(Contents::TooLong(file_bytes));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(file_bytes).unwrap_or(0)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        let read = bytes.len() as u64;
        Ok(if read > bytes_max { Contents::TooLong(read) } else { Contents::Bytes(bytes) })
    }

    fn list(&self, path: &Path) -> io::Result<Option<Entries>> {
        let Some(entries) = unless_absent(std::fs::read_dir(path))? else { return Ok(None) };
        let kind_of = |entry: &std::fs::DirEntry| unless_absent(entry.file_type());
        Ok(Some(Box::new(entries.filter_map(move |entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            // If the listing does not include the types, the entry may be gone by the time its type is looked up; then
            // it was removed meanwhile.
            match kind_of(&entry) {
                Ok(kind) => kind.map(|kind| Ok(Entry { name: entry.file_name(), kind: kind.into() })),
                Err(error) => Some(Err(error)),
            }
        }))))
    }

    fn create_folder(&self, path: &Path) -> io::Result<bool> {
        #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes to set"))]
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
        Ok(Box::new(StdNewFile(file)))
    }

    fn sync_file(&self, path: &Path) -> Result<(), SyncError> {
        Ok(File::open(path).map_err(SyncError::NotOpened)?.sync_all()?)
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> Result<(), SyncError> {
        Ok(File::open(path).map_err(SyncError::NotOpened)?.sync_all()?)
    }

    #[cfg(not(unix))]
    fn sync_folder(&self, _path: &Path) -> Result<(), SyncError> {
        Ok(())
    }

    fn whole(&self, folder: &Path) -> Option<Box<dyn WholeSync>> {
        crate::engine::whole::of(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<bool> {
        match std::fs::hard_link(from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[cfg(target_os = "linux")]
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<bool> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn replaces_in_one_step(&self, folder: &Path) -> bool {
        crate::lacks::replaces_in_one_step(folder)
    }

    fn remove_file(&self, path: &Path) -> io::Result<bool> {
        Ok(unless_absent(std::fs::remove_file(path))?.is_some())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<bool> {
        Ok(unless_absent(std::fs::remove_dir(path))?.is_some())
    }

    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>> {
        let file = private(OpenOptions::new().read(true).write(true).create(true).truncate(false)).open(path)?;
        let taken = match mode {
            LockMode::Shared => file.try_lock_shared(),
            LockMode::Exclusive => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Some(Box::new(StdLock(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
