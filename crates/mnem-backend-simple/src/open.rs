//! Finds, creates and opens a store.
//!
//! A folder is a store from the moment its `format` file has its name. By then everything else is durable, including
//! the store's own entry in its parent folder. The remains of an interrupted creation are recognised by their names and
//! completed by the next creation.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use mnem_store_traits::driver::PlaceLacks;
use mnem_store_traits::{Durability, Outcome, StoreError};

use crate::{
    OpenOptions, SimpleStore, blockstore,
    create::{Remains, check_half_made, create, holds_others, survey},
    engine::{
        medium::{Contents, FileSystem, Kind, LockMode, SyncError},
        unfinished::Unfinished,
    },
    error::{already_there, at, damaged, not_a_store},
    handle::Handle,
    lacks,
    limits::FORMAT_BYTES_MAX,
    op_heads,
    tables::{self, FORMAT_NAME, FORMAT_VERSION, UNSYNCED_TEXT},
};

/// The content of the `format` file.
enum Format {
    /// A version of this backend, as written.
    Version(String),
    /// Something else, with a description.
    Foreign(&'static str),
    Absent,
}

pub(crate) fn open(options: &OpenOptions, fs: Arc<dyn FileSystem>, path: &Path) -> Result<SimpleStore, StoreError> {
    if options.create && options.read_only {
        let reason = "a store cannot be created read-only".to_owned();
        return Err(StoreError::InvalidArgument { operation: "open", reason });
    }
    if options.exclusive && options.read_only {
        let reason = "a read-only handle cannot be exclusive".to_owned();
        return Err(StoreError::InvalidArgument { operation: "open", reason });
    }
    if options.lenient && !options.read_only {
        let reason = "`lenient` requires `read_only`".to_owned();
        return Err(StoreError::InvalidArgument { operation: "open", reason });
    }
    let given = path;
    let path = absolute(given)?;
    let Root { path: root, is_made } = find_root(options, &*fs, &path)?;
    let handle = Handle::new(fs, path, root, options)?;
    if options.lenient {
        check_remains(&handle)?;
        return Ok(SimpleStore::new(Arc::new(handle)));
    }
    let mut created = Outcome::NotApplied;
    let mut made = false;
    if !is_store(&handle)? {
        if options.create {
            made = create(&handle).inspect_err(|_| withdraw(&handle, is_made))?;
            created = Outcome::Unknown;
        } else if let Some(error) = why_no_store(&handle)? {
            return Err(error);
        }
    }
    if options.create_new && !made {
        return Err(already_there(given));
    }
    let left_out = check_structure(&handle)?;
    if options.read_only {
        handle.may_lack(left_out);
    } else {
        begin_writing(&handle, created, &left_out)?;
    }
    tracing::debug!(store = %handle.path.display(), read_only = handle.gate.is_read_only(), "opened");
    Ok(SimpleStore::new(Arc::new(handle)))
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

/// The folder of a store, with symbolic links resolved.
struct Root {
    path: PathBuf,
    /// Whether this call created it.
    is_made: bool,
}

/// The folder at `path`, created if the options say so.
fn find_root(options: &OpenOptions, fs: &dyn FileSystem, path: &Path) -> Result<Root, StoreError> {
    let mut is_made = false;
    let root = match resolve(fs, path)? {
        Some(root) => root,
        None if !options.create => return Err(not_a_store(path, "it does not exist")),
        None => {
            check_new_place(options, fs, path)?;
            is_made = fs.create_folder(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => not_a_store(path, "its parent folder does not exist; create it first"),
                _ => at("create folder", path)(error),
            })?;
            match resolve(fs, path)? {
                Some(root) => root,
                None if fs
                    .metadata(path)
                    .map_err(at("look at", path))?
                    .is_some_and(|found| found.kind == Kind::Other) =>
                {
                    return Err(not_a_store(path, "it is a dangling symbolic link"));
                }
                None => return Err(not_a_store(path, "the folder was removed while the store was being created")),
            }
        }
    };
    if is_folder(fs, &root)? {
        Ok(Root { path: root, is_made })
    } else {
        Err(not_a_store(path, "it is a file, not a folder"))
    }
}

/// Fails, before anything is written, if a new folder cannot become a store. Properties that only a file in it can show
/// are left to [`create`].
fn check_new_place(options: &OpenOptions, fs: &dyn FileSystem, path: &Path) -> Result<(), StoreError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    // If the parent is missing, or is a file, creating the folder fails with that error.
    let Some(parent) = resolve(fs, parent)? else { return Ok(()) };
    lacks::check_names_fit(fs, &parent.join(name))?;
    match fs.sync_folder(&parent) {
        Err(SyncError::Failed(error))
            if options.durability >= Durability::Power && lacks::is_without_folder_sync(&error) =>
        {
            Err(at("sync folder", &parent)(PlaceLacks::FolderSync { source: error }))
        }
        // Any other failure will recur once there is something to sync.
        _ => Ok(()),
    }
}

/// After a refused creation, removes the folder that was created for it. A folder that is not empty stays, for the next
/// creation to complete.
fn withdraw(handle: &Handle, is_made: bool) {
    if is_made && let Err(error) = handle.fs.remove_folder(handle.paths.root()) {
        tracing::debug!(path = %handle.path.display(), %error, "cannot remove a new folder");
    }
}

fn read_format(handle: &Handle) -> Result<Format, StoreError> {
    let bytes = match handle.read(&handle.paths.format(), FORMAT_BYTES_MAX)? {
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
        // Some tools that copy a store end lines with CR LF.
        let line = line.strip_suffix('\r').unwrap_or(line);
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
pub(crate) fn is_store(handle: &Handle) -> Result<bool, StoreError> {
    match read_format(handle)? {
        Format::Absent => Ok(false),
        Format::Foreign(reason) => Err(not_a_store(&handle.path, reason)),
        Format::Version(version) if version == FORMAT_VERSION => Ok(true),
        Format::Version(version) => Err(StoreError::UnsupportedFormat {
            found: format!("{FORMAT_NAME} {version}"),
            supported: format!("{FORMAT_NAME} {FORMAT_VERSION}"),
        }),
    }
}

/// Fails unless the folder may be the remains of a store that this build can read.
fn check_remains(handle: &Handle) -> Result<(), StoreError> {
    match is_store(handle) {
        Ok(_) | Err(StoreError::NotAStore { .. } | StoreError::Damaged { .. }) => {}
        Err(error) => return Err(error),
    }
    for part in [handle.paths.format(), handle.paths.objects(), handle.paths.op_heads()] {
        if handle.metadata(&part)?.is_some() {
            return Ok(());
        }
    }
    Err(not_a_store(&handle.path, "it is a folder without parts of a store"))
}

/// The reason why this folder, which had no format, cannot be opened. `None`: it can, because another process has
/// completed it meanwhile.
fn why_no_store(handle: &Handle) -> Result<Option<StoreError>, StoreError> {
    let reason = match survey(handle)? {
        Remains::Store if is_store(handle)? => return Ok(None),
        Remains::Nothing => "it is an empty folder: open it with `create` to make it a store".to_owned(),
        Remains::HalfMade | Remains::Store => {
            if let Err(error) = check_half_made(handle) {
                return Ok(Some(error));
            }
            "it has no `format` file, so its creation was not finished: open it with `create` to finish it".to_owned()
        }
        Remains::Other(name) => holds_others(&name),
    };
    Ok(Some(not_a_store(&handle.path, reason)))
}

/// Checks the parts that every store has from its creation on. A store without its heads file is damaged, not empty. A
/// folder may have been left out by a copy that keeps no empty folders, as git does, unless the heads show that there
/// were blocks. Returns the folders that were left out.
fn check_structure(handle: &Handle) -> Result<Vec<PathBuf>, StoreError> {
    let (objects, tables) = (handle.paths.objects(), handle.paths.tables());
    let mut left_out = Vec::new();
    for folder in [&objects, &tables] {
        if !handle.is_folder(folder)? {
            left_out.push(folder.clone());
        }
    }
    check_heads_file(handle)?;
    if left_out.contains(&objects) && !op_heads::read(handle)?.is_empty() {
        return Err(damaged(&objects, "the folder of blocks is missing, but the store has heads"));
    }
    handle.is_folder(&handle.paths.tmp())?;
    Ok(left_out)
}

fn check_heads_file(handle: &Handle) -> Result<(), StoreError> {
    let op_heads = handle.paths.op_heads();
    match handle.metadata_required(&op_heads)? {
        Some(found) if found.kind == Kind::File => Ok(()),
        Some(_) => Err(damaged(&op_heads, "the heads file is not a regular file")),
        None => Err(damaged(&op_heads, "the heads file is missing")),
    }
}

/// Prepares a handle that may write. `created`: the outcome if a failure interrupts a creation. `left_out`: folders to
/// create again.
fn begin_writing(handle: &Handle, created: Outcome, left_out: &[PathBuf]) -> Result<(), StoreError> {
    lacks::check_names_fit(&*handle.fs, handle.paths.root())?;
    enter_tmp(handle)?;
    // The sync below makes them durable before anything is in them.
    left_out.iter().try_for_each(|folder| handle.make_folder(folder))?;
    // Look for it before the sync, which makes an existing one durable.
    let is_marked = handle.metadata(&handle.paths.unsynced())?.is_some();
    // The creator of the store, this handle or a process that was killed, has not made the name of the format durable.
    // That must come before anything else, because a folder without a format that holds more than a creation leaves is
    // not a store.
    handle.sync_folder_always(handle.paths.root(), created)?;
    if handle.durability < Durability::Power {
        return if is_marked { Ok(()) } else { mark_unsynced(handle) };
    }
    blockstore::link_present_shards(handle)
}

/// Marks the store, durably, as one in which a block that has its name may not be durable. Must precede the first such
/// block.
fn mark_unsynced(handle: &Handle) -> Result<(), StoreError> {
    // Replaces nothing, so that no one misses the mark of another handle.
    Unfinished::write_durably(handle, UNSYNCED_TEXT)?.publish_new(&handle.paths.unsynced())?;
    handle.sync_folder_always(handle.paths.root(), Outcome::NotApplied)
}

/// Joins the writers of `tmp`: clears it if there is no other writer, then keeps others from clearing it. An exclusive
/// handle keeps them out of `tmp`, and so from writing.
///
/// Between releasing the exclusive lock and taking the shared one, another handle may clear `tmp` again. This handle
/// has no files there yet.
pub(crate) fn enter_tmp(handle: &Handle) -> Result<(), StoreError> {
    if handle.has_tmp_lock() {
        return Ok(());
    }
    handle.make_folder(&handle.paths.tmp())?;
    let file = handle.paths.tmp_lock();
    if handle.exclusive {
        let lock = handle.lock(&file, LockMode::Exclusive)?;
        clear_tmp(handle)?;
        handle.keep_tmp_lock(lock);
        return Ok(());
    }
    if let Some(alone) = handle.try_lock(&file, LockMode::Exclusive)? {
        clear_tmp(handle)?;
        drop(alone);
    }
    let lock = handle.lock(&file, LockMode::Shared)?;
    handle.keep_tmp_lock(lock);
    Ok(())
}

/// Removes the files of killed writers. Leaves files that are not named like unfinished files, since no writer created
/// them.
fn clear_tmp(handle: &Handle) -> Result<(), StoreError> {
    let tmp = handle.paths.tmp();
    let leftovers = handle.names(&tmp, |entry| {
        let name = entry.name.to_str().filter(|name| entry.kind == Kind::File && tables::is_unfinished_name(name))?;
        Some(tmp.join(name))
    })?;
    for path in leftovers {
        tracing::debug!(path = %path.display(), "clearing an unfinished file");
        let file_bytes = handle.metadata(&path)?.map_or(0, |found| found.file_bytes);
        handle.cleared_bytes.fetch_add(file_bytes, Ordering::Relaxed);
        handle.fs.remove_file(&path).map_err(at("remove", &path))?;
    }
    Ok(())
}
