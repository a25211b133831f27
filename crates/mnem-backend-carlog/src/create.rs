//! Creating a store. The file `format` is written last: without it, the folder is not a store yet.

use std::{
    io,
    path::{Path, PathBuf},
};

use mnem_store_traits::{StoreError, driver::Entry};

use crate::{
    OpenOptions,
    engine::{files::Files, keys::Keys, manifest::Manifest},
    error::{at, damaged, not_a_store},
    tables::{Layout, is_own},
};

/// The number of the first segment.
const FIRST: u32 = 1;

/// The folder at `path`, with symbolic links resolved. Created if the options allow it.
pub(crate) fn find_root(options: &OpenOptions, files: &dyn Files, path: &Path) -> Result<PathBuf, StoreError> {
    match files.look(path).map_err(at("look at", path))? {
        Entry::EmptyFolder | Entry::Folder => {}
        Entry::Absent if options.create => {
            files.create_folder(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => not_a_store(path, "its parent folder does not exist; create it first"),
                _ => at("create folder", path)(error),
            })?;
        }
        Entry::Absent => return Err(not_a_store(path, "it does not exist")),
        Entry::File(_) => return Err(not_a_store(path, "it is a file, not a folder")),
        Entry::Other(what) => return Err(not_a_store(path, what)),
        _ => return Err(not_a_store(path, "it is not a folder")),
    }
    let root = files.resolve(path).map_err(at("find", path))?;
    let format = root.join("format");
    let has_format = || files.open(&format, false).map(|file| file.is_some()).map_err(at("open", &format));
    if !has_format()? {
        if !options.create {
            return Err(not_a_store(path, "it has no `format` file"));
        }
        let remains = check_remains(files, &root, path);
        // Another process may have finished the store since, and committed to it.
        if remains.is_err() && !has_format()? {
            remains?;
        }
    }
    Ok(root)
}

/// Fails if the folder holds anything but the remains of an interrupted creation.
fn check_remains(files: &dyn Files, root: &Path, path: &Path) -> Result<(), StoreError> {
    for entry in files.list(root).map_err(at("list", root))? {
        let name = entry.file_name().unwrap_or_default();
        if !name.to_str().is_some_and(is_own) {
            return Err(not_a_store(path, format!("the folder holds `{}` and no `format` file", name.display())));
        }
        if entry.extension().is_some_and(|extension| extension == "car") {
            let file = files.open(&entry, false).map_err(at("open", &entry))?;
            if file.map(|file| file.file_bytes()).transpose().map_err(at("look at", &entry))?.unwrap_or(0) > 0 {
                return Err(damaged(&root.join("format"), "the file is missing, but the log holds commits"));
            }
        }
    }
    Ok(())
}

/// Creates the files of a new store. The caller holds the lock, and syncs the folder afterwards: until then, a power
/// cut may remove the name of `format`.
pub(crate) fn create(files: &dyn Files, layout: &Layout) -> Result<Keys, StoreError> {
    // The process that created the folder may not have synced the parent. Once `format` exists, the parent is synced.
    let parent = layout.root().parent().unwrap_or(layout.root());
    files.sync_folder(parent).map_err(at("sync folder", parent))?;
    let keys = Keys::new().map_err(at("make keys for", layout.root()))?;
    let segment = layout.segment(FIRST);
    // An existing segment is empty: `find_root` checked this, and no process writes to a segment without `format`.
    // Replace it, because an earlier sync of its name may have failed.
    files.remove(&segment).map_err(at("remove", &segment))?;
    files.create(&segment).map_err(at("create", &segment))?;
    let manifest = Manifest { store: keys.store, generation: 1, segments: vec![FIRST], covered: None };
    write_file(files, &layout.new_manifest(), &layout.manifest(), &manifest.encode())?;
    files.sync_folder(layout.root()).map_err(at("sync folder", layout.root()))?;
    write_file(files, &layout.new_format(), &layout.format(), &keys.encode())?;
    Ok(keys)
}

/// Writes a file under a temporary name and then renames it.
fn write_file(files: &dyn Files, new: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    files.remove(new).map_err(at("remove", new))?;
    let file = files.create(new).map_err(at("create", new))?;
    file.write_all_at(bytes, 0).map_err(at("write", new))?;
    file.sync_data().map_err(at("sync", new))?;
    files.rename(new, path).map_err(at("rename", new))
}
