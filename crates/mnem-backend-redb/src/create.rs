//! Making a store: whole and on the disk before anybody can find it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::{Outcome, StoreError};
use redb::{Database, TableHandle as _, WriteTransaction};

use crate::{
    OpenOptions,
    error::{At, contain},
    medium::{Medium, Seam},
    open::file_medium,
    tables::{META, META_FORMAT, META_HEADS_CHECKSUM, heads_checksum},
};

/// How the names of unfinished stores begin. Not with the name of the store, which may be as long as names can be.
const TEMPORARY_PREFIX: &str = ".mnem-redb-new-";

/// Makes an empty store at `path` under a temporary name beside it, synced, and gives it its name if nothing has that by then. `Ok` also if
/// somebody else was first.
pub(crate) fn create_file(path: &Path, options: &OpenOptions) -> Result<(), StoreError> {
    let at = At { path, operation: "create" };
    let failed = |error: io::Error| at.failed(Outcome::NotApplied, error);
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(at.not_a_store(format!("there is no folder {}; make it first", folder.display())));
    }
    if path.file_name().is_none() {
        return Err(at.not_a_store("the path does not end in a file's name"));
    }
    // Mode 0600 from the start: who may read a store is for its owner to widen.
    let file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(&folder).map_err(failed)?;
    let medium = Arc::new(file_medium(at, file.reopen().map_err(failed)?)?);
    initialise(at, medium, options)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder_of(path).map_err(|error| at.failed(Outcome::Unknown, error)),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes the name of a new file durable: of the file itself, where the path is a symbolic link.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(&path.canonicalize()?))?.sync_all() } else { Ok(()) }
}

/// Makes an empty store of an empty medium, and closes it cleanly.
pub(crate) fn initialise(at: At<'_>, medium: Medium, options: &OpenOptions) -> Result<(), StoreError> {
    let seam = Seam::direct(medium, true);
    let opened = contain(|| Database::builder().create_with_backend(seam));
    let database = opened.map_err(|panic| at.panicked(panic))?.map_err(|error| at.redb(error))?;
    let made = contain(|| {
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        make_tables(&transaction, options)?;
        transaction.commit()?;
        Ok(database.close()?)
    });
    made.map_err(|panic| at.panicked(panic))?.map_err(|error: redb::Error| at.redb(error))
}

fn make_tables(transaction: &WriteTransaction, options: &OpenOptions) -> Result<(), redb::Error> {
    transaction.open_table(options.layout.objects())?;
    transaction.open_table(options.layout.op_heads())?;
    if options.layout.has_meta() {
        let mut meta = transaction.open_table(META)?;
        meta.insert(META_FORMAT, options.layout.format().as_bytes())?;
        meta.insert(META_HEADS_CHECKSUM, heads_checksum(std::iter::empty()).as_slice())?;
    }
    tracing::debug!(objects = options.layout.objects().name(), "made an empty store");
    Ok(())
}
