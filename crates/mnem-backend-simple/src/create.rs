//! Creates a store: everything is durable before `format` gets its name.

use std::path::{Path, PathBuf};

use mnem_store_traits::{Outcome, StoreError};

use crate::{
    engine::{
        medium::{Contents, Kind, LockMode},
        unfinished::Unfinished,
    },
    error::not_a_store,
    handle::Handle,
    lacks,
    limits::HEADS_BYTES_MAX,
    op_heads,
    open::{enter_tmp, is_store},
    tables::{self, RootName},
};

/// The content of a folder without a `format` file.
pub(crate) enum Remains {
    Nothing,
    /// Only what a creation makes before the format.
    HalfMade,
    /// A format after all: another process has completed the store meanwhile.
    Store,
    /// An entry that is not part of a store.
    Other(PathBuf),
}

/// Creates a store in an empty folder, or completes an interrupted creation. Returns `false` if another creator has
/// done so meanwhile. The name of the format becomes durable with the sync of the folder in every open for writing.
pub(crate) fn create(handle: &Handle) -> Result<bool, StoreError> {
    // Check before anything is written, so that a folder of another program stays unchanged.
    if let Remains::Other(name) = survey(handle)? {
        // A process that is just completing the store may have created it.
        return if is_store(handle)? { Ok(false) } else { Err(not_a_store(&handle.path, holds_others(&name))) };
    }
    let root = handle.paths.root();
    // The store's entry in the parent must be durable before the format is, so that a process that finds the format
    // need not sync the parent.
    handle.sync_folder_always(root.parent().unwrap_or(root), Outcome::NotApplied)?;
    // The folder may be on another file system than its parent. The first sync of an empty folder shows whether folders
    // can be synced.
    lacks::check_names_fit(&*handle.fs, root)?;
    handle.sync_folder_always(root, Outcome::NotApplied)?;
    enter_new_tmp(handle)?;
    let _alone = handle.lock(&handle.paths.lock(), LockMode::Exclusive)?;
    if is_store(handle)? {
        return Ok(false);
    }
    check_half_made(handle)?;
    handle.make_folder(&handle.paths.objects())?;
    handle.make_folder(&handle.paths.tables())?;
    Unfinished::write_durably(handle, empty_heads().as_bytes())?.publish(&handle.paths.op_heads())?;
    handle.sync_folder_always(root, Outcome::NotApplied)?;
    let format = tables::format_text();
    // Without replacing: the lock excludes this program, and this excludes all others.
    let made = Unfinished::write_durably(handle, format.as_bytes())?.publish_new_alone(&handle.paths.format())?;
    if !made && !is_store(handle)? {
        return Err(not_a_store(&handle.path, "its `format` file keeps appearing and disappearing"));
    }
    tracing::debug!(store = %handle.path.display(), made, "created");
    Ok(made)
}

/// Enters `tmp`. If the file system has no locks, removes `tmp` again, since no one could write there.
fn enter_new_tmp(handle: &Handle) -> Result<(), StoreError> {
    let tmp = handle.paths.tmp();
    let is_new = handle.metadata(&tmp)?.is_none();
    enter_tmp(handle).inspect_err(|error| {
        if is_new && lacks::is_without_locks(error) {
            // If something cannot be removed, a later creation on a file system with locks completes it.
            let _ = handle.fs.remove_file(&handle.paths.tmp_lock());
            let _ = handle.fs.remove_folder(&tmp);
        }
    })
}

fn empty_heads() -> String {
    op_heads::encode(&Default::default())
}

/// Fails if the folder holds more than an interrupted creation leaves: a store that lost its format must not be taken
/// for one.
pub(crate) fn check_half_made(handle: &Handle) -> Result<(), StoreError> {
    for folder in [handle.paths.objects(), handle.paths.tables()] {
        let mut first = None;
        handle.for_each_entry(&folder, |entry| {
            first.get_or_insert(entry.name);
            Ok(())
        })?;
        if first.is_some() {
            let reason = format!(
                "its `format` file is missing, but {} is not empty; the file may have been deleted",
                folder.display()
            );
            return Err(not_a_store(&handle.path, reason));
        }
    }
    match handle.read(&handle.paths.op_heads(), HEADS_BYTES_MAX)? {
        Contents::Absent => Ok(()),
        Contents::Bytes(bytes) if bytes == empty_heads().as_bytes() => Ok(()),
        _ => Err(not_a_store(
            &handle.path,
            "its `format` file is missing, but the store has heads; the file may have been deleted",
        )),
    }
}

pub(crate) fn survey(handle: &Handle) -> Result<Remains, StoreError> {
    let mut remains = Remains::Nothing;
    handle.for_each_entry(handle.paths.root(), |entry| {
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

pub(crate) fn holds_others(name: &Path) -> String {
    format!("it is a folder that holds `{}` and no `format` file", name.display())
}
