//! Replacing the manifest: the one step in which other files become the store.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use mnem_store_traits::{Outcome, StoreError};

use super::{
    files::Files,
    manifest::{Covered, Manifest},
};
use crate::{
    error::{at, failed},
    tables::Layout,
};

/// Why the manifest was not replaced.
#[derive(Debug)]
pub(crate) enum NotReplaced {
    /// The old one is there.
    Undone(StoreError),
    /// A sync of the folder failed. The system reports that once, so no later sync of the folder proves anything. Or
    /// the rename failed, and the new manifest does not have its old name any more.
    Unsynced(StoreError),
}

/// Replaces the manifest, durably. All files that it names are synced.
pub(crate) fn write_manifest(files: &dyn Files, layout: &Layout, manifest: &Manifest) -> Result<(), NotReplaced> {
    prepare(files, layout, manifest)?;
    install(files, layout)
}

/// Writes the new manifest, and makes the names of all that it names durable: it names no file that a power cut can take away.
pub(crate) fn prepare(files: &dyn Files, layout: &Layout, manifest: &Manifest) -> Result<(), NotReplaced> {
    write_file(files, &layout.new_manifest(), &manifest.encode()).map_err(NotReplaced::Undone)?;
    sync_root(files, layout, Outcome::NotApplied)
}

/// Gives a prepared manifest its name. After a failed sync, either manifest may be there after a power cut.
pub(crate) fn install(files: &dyn Files, layout: &Layout) -> Result<(), NotReplaced> {
    let new = layout.new_manifest();
    if let Err(error) = files.rename(&new, &layout.manifest()) {
        // A rename may fail after it took effect, for example if a server's answer was lost.
        return Err(match files.open(&new, false) {
            Ok(Some(_)) => NotReplaced::Undone(at("rename", &new)(error)),
            _ => NotReplaced::Unsynced(failed("rename", &new, Outcome::Unknown)(error)),
        });
    }
    sync_root(files, layout, Outcome::Unknown)
}

fn sync_root(files: &dyn Files, layout: &Layout, outcome: Outcome) -> Result<(), NotReplaced> {
    let root = layout.root();
    files.sync_folder(root).map_err(|error| {
        let is_undone = outcome == Outcome::NotApplied && is_unopened(&error);
        let error = failed("sync folder", root, outcome)(error);
        if is_undone { NotReplaced::Undone(error) } else { NotReplaced::Unsynced(error) }
    })
}

/// Whether a folder was not even opened, because too many files are open: `ENFILE` or `EMFILE`. Unlike a failed sync,
/// this loses nothing, and trying again can help.
pub(crate) fn is_unopened(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// The index files that a manifest with this index names.
pub(crate) fn named(layout: &Layout, covered: &Covered) -> BTreeSet<PathBuf> {
    let runs = covered.runs.iter().map(|run| layout.run(*run));
    runs.chain(covered.rows.map(|rows| layout.rows(rows))).collect()
}

/// Removes files that nothing needs. One that stays is removed by the next writer.
pub(crate) fn remove(files: &dyn Files, paths: &[PathBuf]) {
    for path in paths {
        is_removed(files, path);
    }
}

/// Removes the segments of a log that was replaced, in this order. After one that stays, all stay: without its first
/// segment, nothing takes the rest for a log.
pub(crate) fn remove_log(files: &dyn Files, segments: &[PathBuf]) {
    segments.iter().all(|path| is_removed(files, path));
}

fn is_removed(files: &dyn Files, path: &Path) -> bool {
    let removed = files.remove(path);
    if let Err(error) = &removed {
        tracing::debug!(file = %path.display(), %error, "cannot remove an unused file");
    }
    removed.is_ok()
}

/// Writes and syncs a file that no name leads to yet.
pub(crate) fn write_file(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    files.remove(path).map_err(at("remove", path))?;
    let file = files.create(path).map_err(at("create", path))?;
    file.write_all_at(bytes, 0).map_err(at("write", path))?;
    file.sync_data().map_err(at("sync", path))
}
