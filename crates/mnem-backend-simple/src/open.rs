//! Finding, creating and opening a store.
//!
//! A folder is a store from the moment its `format` file has its name; everything else is durable by then, the store's own entry in its parent
//! folder included. What a creation leaves that was cut off is recognised by its names and completed by the next one.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::{Durability, Outcome, StoreError};

use crate::{
    OpenOptions, SimpleStore, blockstore,
    error::{at, damaged, not_a_store},
    layout::{self, FORMAT_BYTES_MAX, FORMAT_NAME, FORMAT_VERSION, RootName, UNSYNCED_TEXT},
    medium::{Contents, FileSystem, Kind, LockMode, StdFileSystem},
    op_heads,
    shared::Shared,
    unfinished::Unfinished,
};

/// What the `format` file says.
enum Format {
    /// A version of this backend, as written.
    Version(String),
    /// Something else; says what.
    Foreign(&'static str),
    Absent,
}

/// What a folder without a `format` file holds.
enum Remains {
    Nothing,
    /// Only what the creation of a store makes before its format.
    HalfMade,
    /// A format after all: another process has completed the store meanwhile.
    Store,
    /// This, which is no part of a store.
    Other(PathBuf),
}

/// Whether the folder at `path` is a store of this backend, of whatever version, or one whose creation was not finished.
///
/// # Errors
/// [`StoreError::Backend`]: what is there could not be read.
pub fn is_simple_store(path: impl AsRef<Path>) -> Result<bool, StoreError> {
    let path = absolute(path.as_ref())?;
    let fs: Arc<dyn FileSystem> = Arc::new(StdFileSystem);
    let Some(root) = resolve(&*fs, &path)? else { return Ok(false) };
    if !is_folder(&*fs, &root)? {
        return Ok(false);
    }
    let shared = Shared::new(fs, path, root, true, Durability::Power, OpenOptions::LOCK_WAIT);
    Ok(match read_format(&shared)? {
        Format::Version(_) => true,
        Format::Foreign(_) => false,
        Format::Absent => matches!(survey(&shared)?, Remains::HalfMade | Remains::Store),
    })
}

pub(crate) fn open(options: &OpenOptions, fs: Arc<dyn FileSystem>, path: &Path) -> Result<SimpleStore, StoreError> {
    if options.create && options.read_only {
        let reason = "a store cannot be created read-only".to_owned();
        return Err(StoreError::InvalidArgument { operation: "open", reason });
    }
    let path = absolute(path)?;
    let root = find_root(options, &*fs, &path)?;
    let shared = Shared::new(fs, path, root, options.read_only, options.durability, options.lock_wait);
    if !is_store(&shared)? {
        if !options.create {
            return Err(why_no_store(&shared)?);
        }
        create(&shared)?;
    }
    check_structure(&shared)?;
    if !options.read_only {
        begin_writing(&shared)?;
    }
    tracing::debug!(store = %shared.path.display(), read_only = shared.read_only, "opened");
    Ok(SimpleStore::new(Arc::new(shared)))
}

fn absolute(path: &Path) -> Result<PathBuf, StoreError> {
    if path.as_os_str().is_empty() {
        let reason = "the path is empty".to_owned();
        return Err(StoreError::InvalidArgument { operation: "open", reason });
    }
    std::path::absolute(path).map_err(at("find", path))
}

fn resolve(fs: &dyn FileSystem, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    fs.resolve(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => not_a_store(path, "a part of the path is a file, not a folder"),
        _ => at("find", path)(error),
    })
}

fn is_folder(fs: &dyn FileSystem, root: &Path) -> Result<bool, StoreError> {
    let found = fs.metadata(root).map_err(at("look at", root))?;
    Ok(found.is_some_and(|found| found.kind == Kind::Folder))
}

/// The folder at `path`, created if that was asked for.
fn find_root(options: &OpenOptions, fs: &dyn FileSystem, path: &Path) -> Result<PathBuf, StoreError> {
    let root = match resolve(fs, path)? {
        Some(root) => root,
        None if !options.create => return Err(not_a_store(path, "nothing is there")),
        None => {
            fs.create_folder(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => not_a_store(path, "its parent folder does not exist: create that first"),
                _ => at("create folder", path)(error),
            })?;
            resolve(fs, path)?.ok_or_else(|| not_a_store(path, "it is a symbolic link to nothing"))?
        }
    };
    if is_folder(fs, &root)? { Ok(root) } else { Err(not_a_store(path, "it is a file, not a folder")) }
}

fn read_format(shared: &Shared) -> Result<Format, StoreError> {
    let bytes = match shared.read(&shared.layout.format(), FORMAT_BYTES_MAX)? {
        Contents::Bytes(bytes) => bytes,
        Contents::Absent => return Ok(Format::Absent),
        Contents::NotAFile => return Ok(Format::Foreign("its `format` is not a regular file")),
        Contents::TooLong(_) => return Ok(Format::Foreign("its `format` file is of another program")),
    };
    if bytes.is_empty() {
        return Ok(Format::Foreign("its `format` file is empty"));
    }
    let version = str::from_utf8(&bytes).ok().and_then(|text| {
        let line = text.strip_suffix('\n').unwrap_or(text);
        line.strip_prefix(FORMAT_NAME)?.strip_prefix(' ').filter(|version| is_version(version))
    });
    Ok(match version {
        Some(version) => Format::Version(version.to_owned()),
        None => Format::Foreign("its `format` file is of another program"),
    })
}

fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'+'))
}

/// Whether there is a store that this build can read.
fn is_store(shared: &Shared) -> Result<bool, StoreError> {
    match read_format(shared)? {
        Format::Absent => Ok(false),
        Format::Foreign(reason) => Err(not_a_store(&shared.path, reason)),
        Format::Version(version) if version == FORMAT_VERSION => Ok(true),
        Format::Version(version) => Err(StoreError::UnsupportedFormat {
            found: format!("{FORMAT_NAME} {version}"),
            supported: format!("{FORMAT_NAME} {FORMAT_VERSION}"),
        }),
    }
}

fn survey(shared: &Shared) -> Result<Remains, StoreError> {
    let mut remains = Remains::Nothing;
    shared.for_each_entry(shared.layout.root(), |entry| {
        let name = RootName::of(&entry.name);
        let fits =
            name.is_some_and(|name| name.is_folder() == (entry.kind == Kind::Folder)) && entry.kind != Kind::Other;
        remains = match (&remains, name) {
            (Remains::Store, _) | (_, Some(RootName::Format)) => Remains::Store,
            (Remains::Other(_), _) => return Ok(()),
            (_, Some(RootName::Unsynced)) => Remains::Other(entry.name.into()),
            _ if fits => Remains::HalfMade,
            _ => Remains::Other(entry.name.into()),
        };
        Ok(())
    })?;
    Ok(remains)
}

/// Why this folder, which has no format, cannot be opened.
fn why_no_store(shared: &Shared) -> Result<StoreError, StoreError> {
    let reason = match survey(shared)? {
        Remains::Nothing => "it is an empty folder: open it with `create` to make it a store".to_owned(),
        Remains::HalfMade | Remains::Store => {
            "it has no `format` file, so its creation was not finished: open it with `create` to finish it".to_owned()
        }
        Remains::Other(name) => holds_others(&name),
    };
    Ok(not_a_store(&shared.path, reason))
}

fn holds_others(name: &Path) -> String {
    format!("it is a folder that holds `{}` and no `format` file", name.display())
}

/// Makes an empty folder, or one in which a creation was cut off, a store. Returns also when another process has done so meanwhile.
fn create(shared: &Shared) -> Result<(), StoreError> {
    // Before anything is written: somebody else's folder stays as it is.
    if let Remains::Other(name) = survey(shared)? {
        // A process that completes the store at this moment may have put it there.
        return if is_store(shared)? { Ok(()) } else { Err(not_a_store(&shared.path, holds_others(&name))) };
    }
    let root = shared.layout.root();
    // Its entry in the parent is durable before the format is, so that whoever finds the format need not care for the parent.
    shared.sync_folder_always(root.parent().unwrap_or(root), Outcome::NotApplied)?;
    enter_tmp(shared)?;
    let _alone = shared.lock(&shared.layout.lock(), LockMode::Exclusive)?;
    if is_store(shared)? {
        return Ok(());
    }
    check_half_made(shared)?;
    shared.make_folder(&shared.layout.objects())?;
    shared.make_folder(&shared.layout.tables())?;
    Unfinished::write_durably(shared, empty_heads().as_bytes())?.publish(&shared.layout.op_heads())?;
    shared.sync_folder_always(root, Outcome::NotApplied)?;
    let format = layout::format_text();
    // Without clobbering: the lock keeps out this program, and this keeps out any other.
    if !Unfinished::write_durably(shared, format.as_bytes())?.publish_new(&shared.layout.format())?
        && !is_store(shared)?
    {
        return Err(not_a_store(&shared.path, "its `format` file comes and goes"));
    }
    shared.sync_folder_always(root, Outcome::Unknown)?;
    tracing::debug!(store = %shared.path.display(), "created");
    Ok(())
}

fn empty_heads() -> String {
    op_heads::encode(&Default::default())
}

/// Fails unless the folder holds no more than a creation leaves that was cut off. A store that lost its format is not taken for one.
fn check_half_made(shared: &Shared) -> Result<(), StoreError> {
    for folder in [shared.layout.objects(), shared.layout.tables()] {
        let mut first = None;
        shared.for_each_entry(&folder, |entry| {
            first.get_or_insert(entry.name);
            Ok(())
        })?;
        if first.is_some() {
            let reason =
                format!("its `format` file is missing, yet {} is not empty: was the file deleted?", folder.display());
            return Err(not_a_store(&shared.path, reason));
        }
    }
    match shared.read(&shared.layout.op_heads(), layout::HEADS_BYTES_MAX)? {
        Contents::Absent => Ok(()),
        Contents::Bytes(bytes) if bytes == empty_heads().as_bytes() => Ok(()),
        _ => Err(not_a_store(&shared.path, "its `format` file is missing, yet it has heads: was the file deleted?")),
    }
}

/// Every store has these parts from its creation on: without them it is not empty but damaged.
fn check_structure(shared: &Shared) -> Result<(), StoreError> {
    shared.require_folder(&shared.layout.objects())?;
    shared.require_folder(&shared.layout.tables())?;
    shared.is_folder(&shared.layout.tmp())?;
    let op_heads = shared.layout.op_heads();
    match shared.metadata(&op_heads)? {
        Some(found) if found.kind == Kind::File => Ok(()),
        Some(_) => Err(damaged(&op_heads, "the file of the heads is not a regular file")),
        None => Err(damaged(&op_heads, "the file of the heads is missing")),
    }
}

/// What a handle does that is going to write.
fn begin_writing(shared: &Shared) -> Result<(), StoreError> {
    enter_tmp(shared)?;
    let root = shared.layout.root();
    if shared.durability < Durability::Power {
        return mark_unsynced(shared);
    }
    // The process that created the store may have been killed before it made the format's name durable.
    shared.sync_folder_always(root, Outcome::NotApplied)?;
    blockstore::link_present_shards(shared)
}

/// Marks the store, durably, as one where a block that has its name may not be durable. Before the first such block is written.
fn mark_unsynced(shared: &Shared) -> Result<(), StoreError> {
    let mark = shared.layout.unsynced();
    if shared.metadata(&mark)?.is_none() {
        Unfinished::write_durably(shared, UNSYNCED_TEXT)?.publish(&mark)?;
    }
    shared.sync_folder_always(shared.layout.root(), Outcome::NotApplied)
}

/// Takes part in writing to `tmp`: clears it if nobody else does, then keeps others from clearing it.
///
/// Between giving up the lock that clears and taking the one that keeps, another handle may clear again. Nothing of this handle is
/// there by then.
fn enter_tmp(shared: &Shared) -> Result<(), StoreError> {
    if shared.has_tmp_lock() {
        return Ok(());
    }
    shared.make_folder(&shared.layout.tmp())?;
    let file = shared.layout.tmp_lock();
    if let Some(alone) = shared.try_lock(&file, LockMode::Exclusive)? {
        clear_tmp(shared)?;
        drop(alone);
    }
    let lock = shared.lock(&file, LockMode::Shared)?;
    shared.keep_tmp_lock(lock);
    Ok(())
}

/// Removes what writers left that were killed. Nothing else: what does not look like an unfinished file was not made by one.
fn clear_tmp(shared: &Shared) -> Result<(), StoreError> {
    let tmp = shared.layout.tmp();
    let leftovers = shared.names(&tmp, |entry| {
        let name = entry.name.to_str().filter(|name| entry.kind == Kind::File && layout::is_unfinished_name(name))?;
        Some(tmp.join(name))
    })?;
    for path in leftovers {
        tracing::debug!(path = %path.display(), "clearing an unfinished file");
        shared.fs.remove_file(&path).map_err(at("remove", &path))?;
    }
    Ok(())
}
