//! What lies at a path. Knows the outside of every backend's stores and needs none of the backends.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use mnem_store_traits::{Cause, Outcome, StoreError};

use crate::Backend;

/// What a redb file begins with.
const REDB_MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// The file that makes a folder a simple store, and the names that may stand beside it while it is not yet published.
const SIMPLE_FORMAT: &str = "format";
const SIMPLE_NAMES: [&str; 5] = ["lock", "objects", "op_heads", "tables", "tmp"];

/// What a simple store's format file begins with, whatever its version.
const SIMPLE_FORMAT_START: &[u8] = b"mnem-backend-simple ";

/// What every simple store has from its creation on.
const SIMPLE_PARTS: [&str; 3] = ["objects", "op_heads", "tables"];

/// The longest that a simple store's file of heads is without heads: the word `sha256`, a space, a checksum, and a line end of one or two bytes.
const SIMPLE_NO_HEADS_BYTES: u64 = 73;

/// How long the pages of a redb file are.
const REDB_PAGE_BYTES: u64 = 4096;

/// In the place of a backend's name where none is known yet: "the store failed to look at …".
const NO_BACKEND: &str = "the";

/// What [`look`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// An empty folder, or one in which a simple store is being created at this moment.
    EmptyFolder,
    /// A file of no bytes: only where a store is to be made, and only redb makes one of it, on file systems that cannot
    /// publish files otherwise.
    EmptyFile,
    Store(Backend),
}

/// Which backend's store lies at `path`; `None` if nothing is there yet (an empty folder is nothing).
///
/// A folder with a `format` file, or with the content of a store that lost it, is a simple store, a file that begins with redb's magic number is a redb store. Whether it is whole, of a known
/// format, and of a backend that is compiled in is not asked.
///
/// ```
/// use mnem_storage::{ErrorKind, detect};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("memory");
/// assert_eq!(detect(&path)?, None);
/// std::fs::write(&path, "a letter")?;
/// assert_eq!(detect(&path).map_err(|error| error.kind()), Err(ErrorKind::NotAStore));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// - [`StoreError::NotAStore`]: something else is there; the reason says what.
/// - [`StoreError::Backend`]: it could not be read.
pub fn detect(path: &Path) -> Result<Option<Backend>, StoreError> {
    match look(path)? {
        Found::Store(backend) => Ok(Some(backend)),
        Found::Nothing | Found::EmptyFolder | Found::EmptyFile => Ok(None),
    }
}

pub(crate) fn look(path: &Path) -> Result<Found, StoreError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return nothing_or_broken_link(path),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(not_a_store(path, "a part of the path is a file, not a folder"));
        }
        Err(e) => return Err(unreadable(path, e)),
    };
    if metadata.is_dir() {
        return look_at_folder(path);
    }
    if metadata.is_file() {
        return look_at_file(path, metadata.len());
    }
    Err(not_a_store(path, "it is neither a file nor a folder"))
}

fn nothing_or_broken_link(path: &Path) -> Result<Found, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(not_a_store(path, "it is a symbolic link to nothing")),
        Err(_) => Ok(Found::Nothing),
    }
}

fn look_at_folder(path: &Path) -> Result<Found, StoreError> {
    if is_there(&path.join(SIMPLE_FORMAT))? {
        return Ok(Found::Store(Backend::Simple));
    }
    if has_lost_its_format(path) && has_simple_parts(path) {
        return Ok(Found::Store(Backend::Simple));
    }
    for entry in fs::read_dir(path).map_err(|e| unreadable(path, e))? {
        let name = entry.map_err(|e| unreadable(path, e))?.file_name();
        if SIMPLE_NAMES.iter().all(|known| name != *known) {
            // The format may have been published since it was looked for: then everything else may stand there too.
            if is_there(&path.join(SIMPLE_FORMAT))? {
                return Ok(Found::Store(Backend::Simple));
            }
            let reason = format!("it is a folder that holds `{}` and no `format` file", name.display());
            return Err(not_a_store(path, &reason));
        }
    }
    Ok(if has_lost_its_format(path) { Found::Store(Backend::Simple) } else { Found::EmptyFolder })
}

/// Whether the folder holds more of a simple store than a creation leaves that was cut off, and no format. A folder that cannot be looked into is taken
/// for none.
pub(crate) fn has_lost_its_format(folder: &Path) -> bool {
    let holds_entries = |part: &str| fs::read_dir(folder.join(part)).is_ok_and(|mut entries| entries.next().is_some());
    let has_heads = fs::symlink_metadata(folder.join("op_heads"))
        .is_ok_and(|found| found.is_file() && found.len() > SIMPLE_NO_HEADS_BYTES);
    // In this order: what is there may come as soon as the format is.
    (holds_entries("objects") || holds_entries("tables") || has_heads)
        && fs::symlink_metadata(folder.join(SIMPLE_FORMAT)).is_err()
}

fn is_there(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|e| unreadable(path, e))
}

fn look_at_file(path: &Path, file_bytes: u64) -> Result<Found, StoreError> {
    if file_bytes == 0 {
        return Err(empty_file(path));
    }
    let mut start = Vec::with_capacity(REDB_MAGIC.len());
    let file = fs::File::open(path).map_err(|e| unreadable(path, e))?;
    file.take(REDB_MAGIC.len() as u64).read_to_end(&mut start).map_err(|e| unreadable(path, e))?;
    if start == REDB_MAGIC {
        return Ok(Found::Store(Backend::Redb));
    }
    let may_be_damaged = path.extension().is_some_and(|extension| extension == "redb")
        || (file_bytes >= 2 * REDB_PAGE_BYTES && file_bytes.is_multiple_of(REDB_PAGE_BYTES));
    let or_damaged = if may_be_damaged { ", or its beginning is damaged" } else { "" };
    Err(not_a_store(path, &format!("it is a file that does not begin as a redb store does{or_damaged}")))
}

/// The folder of the simple store in which `path` lies, at any depth; `None` for the store's own folder, or if there is no such store.
///
/// Whatever is put there is foreign to that store, or damages it. `path` itself need not exist; symbolic links on the way are followed.
pub fn enclosing_store(path: &Path) -> Option<PathBuf> {
    let path = resolved(path)?;
    path.ancestors().skip(1).find(|folder| is_simple_store(folder)).map(Path::to_owned)
}

/// `path` without symbolic links, or, where nothing is there yet, what it would be. `None` if its folder does not exist either.
fn resolved(path: &Path) -> Option<PathBuf> {
    if let Ok(path) = fs::canonicalize(path) {
        return Some(path);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
}

/// Whether a simple store's format file is in the folder. A folder that cannot be looked into is taken for none.
fn is_simple_store(folder: &Path) -> bool {
    let Ok(file) = fs::File::open(folder.join(SIMPLE_FORMAT)) else { return false };
    let mut start = Vec::new();
    let read = file.take(SIMPLE_FORMAT_START.len() as u64).read_to_end(&mut start);
    read.is_ok() && start == SIMPLE_FORMAT_START
}

/// Whether the folder has all parts of a simple store, so that a `format` file which says nothing is a damaged one.
pub(crate) fn has_simple_parts(folder: &Path) -> bool {
    SIMPLE_PARTS.iter().all(|part| folder.join(part).exists())
}

/// The error of a simple store whose format file is there and of no use.
pub(crate) fn damaged_format(folder: &Path, reason: String) -> StoreError {
    StoreError::Damaged {
        backend: Backend::Simple.name(),
        what: folder.join(SIMPLE_FORMAT).display().to_string(),
        source: Cause::new(reason),
    }
}

pub(crate) fn is_empty_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

pub(crate) fn empty_file(path: &Path) -> StoreError {
    not_a_store(path, "it is an empty file")
}

pub(crate) fn not_a_store(path: &Path, reason: &str) -> StoreError {
    StoreError::NotAStore { path: path.to_owned(), reason: reason.to_owned() }
}

pub(crate) fn unreadable(path: &Path, error: io::Error) -> StoreError {
    StoreError::Backend {
        backend: NO_BACKEND,
        operation: format!("look at {}", path.display()),
        outcome: Outcome::NotApplied,
        source: Cause::new(error),
    }
}
