//! Making a store: everything is durable before `format` has its name.

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

/// What a folder without a `format` file holds.
pub(crate) enum Remains {
    Nothing,
    /// Only what the creation of a store makes before its format.
    HalfMade,
    /// A format after all: another process has completed the store meanwhile.
    Store,
    /// This, which is no part of a store.
    Other(PathBuf),
}

/// Makes an empty folder, or one in which a creation was cut off, a store. `false`: another creator has done so meanwhile.
/// The name of the format is left to the sync of the folder that comes with every opening for writing.
pub(crate) fn create(handle: &Handle) -> Result<bool, StoreError> {
    // Before anything is written: somebody else's folder stays as it is.
    if let Remains::Other(name) = survey(handle)? {
        // A process that completes the store at this moment may have put it there.
        return if is_store(handle)? { Ok(false) } else { Err(not_a_store(&handle.path, holds_others(&name))) };
    }
    let root = handle.paths.root();
    // Its entry in the parent is durable before the format is, so that whoever finds the format need not care for the parent.
    handle.sync_folder_always(root.parent().unwrap_or(root), Outcome::NotApplied)?;
    // It may be on another file system than its parent: the first sync of a folder in which nothing is yet shows whether folders can be synced.
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
    // Without clobbering: the lock keeps out this program, and this keeps out any other.
    let made = Unfinished::write_durably(handle, format.as_bytes())?.publish_new_alone(&handle.paths.format())?;
    if !made && !is_store(handle)? {
        return Err(not_a_store(&handle.path, "its `format` file comes and goes"));
    }
    tracing::debug!(store = %handle.path.display(), made, "created");
    Ok(made)
}

/// Enters `tmp`, and leaves nothing of it where there are no locks: nothing could be written there, by anybody.
fn enter_new_tmp(handle: &Handle) -> Result<(), StoreError> {
    let tmp = handle.paths.tmp();
    let is_new = handle.metadata(&tmp)?.is_none();
    enter_tmp(handle).inspect_err(|error| {
        if is_new && lacks::is_without_locks(error) {
            // What cannot be removed is completed by a creation that finds locks.
            let _ = handle.fs.remove_file(&handle.paths.tmp_lock());
            let _ = handle.fs.remove_folder(&tmp);
        }
    })
}

fn empty_heads() -> String {
    op_heads::encode(&Default::default())
}

/// Fails unless the folder holds no more than a creation leaves that was cut off. A store that lost its format is not taken for one.
pub(crate) fn check_half_made(handle: &Handle) -> Result<(), StoreError> {
    for folder in [handle.paths.objects(), handle.paths.tables()] {
        let mut first = None;
        handle.for_each_entry(&folder, |entry| {
            first.get_or_insert(entry.name);
            Ok(())
        })?;
        if first.is_some() {
            let reason =
                format!("its `format` file is missing, yet {} is not empty: was the file deleted?", folder.display());
            return Err(not_a_store(&handle.path, reason));
        }
    }
    match handle.read(&handle.paths.op_heads(), HEADS_BYTES_MAX)? {
        Contents::Absent => Ok(()),
        Contents::Bytes(bytes) if bytes == empty_heads().as_bytes() => Ok(()),
        _ => Err(not_a_store(&handle.path, "its `format` file is missing, yet it has heads: was the file deleted?")),
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
