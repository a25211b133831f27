//! The seam between the store and the file system: every file operation of this crate goes through [`FileSystem`].
//!
//! This is a seam for tests, which put recording, failing and simulated file systems under the store
//! ([`OpenOptions::open_on`](crate::OpenOptions::open_on)). Paths are absolute; no method takes or returns a file of the standard library,
//! so that a file system in memory can stand in.

use std::{
    ffi::OsString,
    fmt::Debug,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use mnem_store_traits::driver::{FileIdentity, allocated_bytes, identity};

use crate::limits::OPENINGS_MAX;

/// What lies at a path. Symbolic links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, socket, pipe or device.
    Other,
}

/// Kind and length of what lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes; meaningful for a regular file.
    pub file_bytes: u64,
    /// What it takes on the medium, in bytes.
    pub allocated_bytes: u64,
    /// Which file it is, where the file system can tell.
    pub file_id: Option<FileId>,
}

/// Tells a file from any other that has, or had, its path.
///
/// The number alone does not: that of a removed file is soon given to a new one. Whoever gives a file a name changes it, so the time tells those two apart,
/// as finely as the file system keeps times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The number of the file in its file system.
    pub number: u64,
    /// When its bytes, its names or its mode were last changed, in nanoseconds since 1970.
    pub changed_nanos: i128,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// The entries of a folder, in no particular order.
pub type Entries = Box<dyn Iterator<Item = io::Result<Entry>> + Send>;

/// What [`FileSystem::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// The bytes of a regular file.
    Bytes(Vec<u8>),
    /// A regular file of this many bytes, more than asked for. It was not read.
    TooLong(u64),
    /// A folder, symbolic link or something else that holds no bytes of the store.
    NotAFile,
    /// Nothing.
    Absent,
}

/// How a lock file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Beside other shared holders.
    Shared,
    /// Alone.
    Exclusive,
}

/// Why a file or folder was not synced.
#[derive(Debug)]
pub enum SyncError {
    /// It could not be opened, so no sync was tried: nothing is lost, and trying again may help.
    NotOpened(io::Error),
    /// The sync failed: what was to be made durable must be taken for lost. A second one may succeed without having written it.
    Failed(io::Error),
}

impl From<io::Error> for SyncError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// A lock that is held until it is dropped, or the process ends.
pub trait Lock: Debug + Send + Sync {}

/// A file that was just created and is being written.
pub trait NewFile: Debug + Send {
    /// Appends all of `data`.
    ///
    /// # Errors
    /// Whatever the file system says; some of the bytes may have been written.
    fn write_all(&mut self, data: &[u8]) -> io::Result<()>;

    /// Makes what was written durable. The file's name is not: that takes [`FileSystem::sync_folder`].
    ///
    /// # Errors
    /// Whatever the file system says. The bytes must then be taken for lost: a second call may succeed without having written them.
    fn sync(&mut self) -> io::Result<()>;
}

pub use crate::engine::whole::WholeSync;

/// What the store needs of a file system.
///
/// Only the sync methods make anything durable. Whether something is absent is decided here and nowhere else: only "there is no
/// such entry" is an absence, any other failure is an error.
pub trait FileSystem: Debug + Send + Sync {
    /// The path with all symbolic links resolved, or `None` if nothing is there.
    ///
    /// # Errors
    /// Whatever the file system says, absence excepted.
    fn resolve(&self, path: &Path) -> io::Result<Option<PathBuf>>;

    /// What lies at `path`, or `None`. Does not follow a symbolic link at its end.
    ///
    /// # Errors
    /// Whatever the file system says, absence excepted.
    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>>;

    /// As [`metadata`](Self::metadata), of each of these names in a folder that is there.
    ///
    /// # Errors
    /// Whatever the file system says, absence excepted.
    ///
    /// # For implementers
    /// The default looks at one path after another.
    fn metadata_in(&self, folder: &Path, names: &[String]) -> io::Result<Vec<Option<Metadata>>> {
        names.iter().map(|name| self.metadata(&folder.join(name))).collect()
    }

    /// The bytes of a regular file of up to `bytes_max` bytes, read whole. Does not follow a symbolic link at its end.
    ///
    /// # Errors
    /// Whatever the file system says, absence excepted.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Contents>;

    /// Device and number of the file or folder that the path leads to, by which it is known wherever it is moved; `None`: the system does not
    /// tell them.
    ///
    /// # Errors
    /// Whatever the file system says.
    ///
    /// # For implementers
    /// The default is `None`.
    fn identity(&self, _path: &Path) -> io::Result<FileIdentity> {
        Ok(None)
    }

    /// The entries of a folder, streamed, or `None` if nothing is there.
    ///
    /// # Errors
    /// Whatever the file system says, absence excepted.
    fn list(&self, path: &Path) -> io::Result<Option<Entries>>;

    /// Creates a folder that only its owner may enter. `false`: something was there already.
    ///
    /// # Errors
    /// Whatever the file system says; `NotFound` when the parent is absent.
    fn create_folder(&self, path: &Path) -> io::Result<bool>;

    /// Creates an empty file that only its owner may read. Never opens one that is there.
    ///
    /// # Errors
    /// `AlreadyExists` when something is there; otherwise whatever the file system says.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Makes the bytes of an existing file durable.
    ///
    /// # Errors
    /// Whatever the file system says; a second call may then succeed without having written them.
    fn sync_file(&self, path: &Path) -> Result<(), SyncError>;

    /// Makes the entries of a folder durable.
    ///
    /// # Errors
    /// Whatever the file system says, also that it cannot sync folders; a second call may then succeed without having written them.
    fn sync_folder(&self, path: &Path) -> Result<(), SyncError>;

    /// The file system that the folder lies on, about to be synced whole; `None`: it cannot be, or not as safely as file by file.
    ///
    /// # For implementers
    /// The default is `None`.
    fn whole(&self, _folder: &Path) -> Option<Box<dyn WholeSync>> {
        None
    }

    /// Moves a file within the file system, in one step, over whatever file has that name.
    ///
    /// # Errors
    /// Whatever the file system says; nothing was moved then.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name. `false`: something has that name already, and it stays.
    ///
    /// # Errors
    /// Whatever the file system says; no name was given then.
    fn link(&self, from: &Path, to: &Path) -> io::Result<bool>;

    /// Moves a file within the file system unless something has that name already: `false`, and it stays.
    ///
    /// # Errors
    /// Whatever the file system says, also that it cannot; nothing was moved then.
    ///
    /// # For implementers
    /// The default cannot.
    fn rename_new(&self, _from: &Path, _to: &Path) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether a reader finds the old or the new file at every moment of a [`rename`](Self::rename) over a file.
    ///
    /// # For implementers
    /// The default is yes.
    fn replaces_in_one_step(&self, _folder: &Path) -> bool {
        true
    }

    /// Removes a file. `false`: there was none.
    ///
    /// # Errors
    /// Whatever the file system says, absence excepted; the file is still there then.
    fn remove_file(&self, path: &Path) -> io::Result<bool>;

    /// Removes an empty folder. `false`: there was none.
    ///
    /// # Errors
    /// Whatever the file system says, absence excepted; the folder is still there then.
    fn remove_folder(&self, path: &Path) -> io::Result<bool>;

    /// Takes the lock of a lock file without waiting, creating the file if need be. `None`: someone else holds it.
    ///
    /// Two locks taken by one process exclude each other like those of two processes.
    ///
    /// # Errors
    /// Whatever the file system says, also that it has no locks.
    fn lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn Lock>>>;
}

/// The file system of the operating system.
///
/// Folders are created with mode 0700 and files with 0600. On systems other than Unix the modes do not exist, and folders cannot be
/// synced: there the names of files are only as durable as the file system makes them by itself.
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

/// Only Unix numbers files in a way that the standard library tells.
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

/// From how many names in a folder on it is opened to look at them.
#[cfg(target_os = "linux")]
const NAMES_IN_A_FOLDER_MIN: usize = 4;

/// What an open folder has under this name.
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

/// Opens a regular file, or says why there is none to read.
///
/// Looks at it before opening it: opening a pipe would wait for its other end. A file that was there and cannot be found a moment later was
/// removed, or replaced on a file system that does so in two steps; a second look tells which.
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
    Err(io::Error::other("the file is seen and cannot be opened: it is replaced again and again"))
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
        // For a few names it does not pay to open the folder; where it cannot be, as without a free descriptor, its files can be looked at.
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
            // Where the listing carries no kinds, the entry may be gone when it is looked at: then it was removed meanwhile.
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
