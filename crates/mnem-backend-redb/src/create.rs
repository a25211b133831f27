//! Creates a store: complete and synced before its name appears.

use std::{io, path::Path};

use mnem_store_traits::{Outcome, StoreError};
use redb::{Database, TableHandle as _, WriteTransaction};

use crate::{
    OpenOptions,
    engine::{
        medium::{Medium, Seam},
        publish::publish,
    },
    error::{At, contain},
    open::file_medium,
    place::{Names, Place, folder_of, probe_folder, remove_abandoned, unfinished_in},
    tables::{META, META_FORMAT, META_HEADS_CHECKSUM, heads_checksum},
};

/// Creates an empty store under a temporary name beside the path, syncs it, and renames it unless the name is taken.
/// Returns `false` if another creator was first, whose store is then at the path, or if the unfinished file was
/// removed.
pub(crate) fn create_file(place: &dyn Place, path: &Path, options: &OpenOptions) -> Result<bool, StoreError> {
    let at = At { path, operation: "create" };
    let failed = |error: io::Error| at.failed(Outcome::NotApplied, error);
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(at.not_a_store(format!("folder {} does not exist; create it first", folder.display())));
    }
    if path.file_name().is_none() {
        return Err(at.not_a_store("the path does not end in a file name"));
    }
    remove_abandoned(&folder);
    // Find out first whether a store may be created here. On a refusal the file is removed again.
    let unfinished = unfinished_in(&folder, options.mode).map_err(failed)?;
    let names = probe_folder(place, at, options)?;
    // Clone the handle instead of opening again: redb then finds the file locked by its own handle, and unlocks it on
    // close.
    let medium = file_medium(at, unfinished.file.as_file().try_clone().map_err(failed)?, options)?;
    initialise(at, medium, options)?;
    unfinished.hold();
    unfinished.file.as_file().sync_all().map_err(failed)?;
    let made = publish(place, at, options, unfinished)?;
    if made && names == Names::Durable {
        place.sync_folder(&folder).map_err(|error| at.failed(Outcome::Unknown, error))?;
    }
    Ok(made)
}

/// Initialises an empty medium as an empty store and closes it cleanly.
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
    tracing::debug!(objects = options.layout.objects().name(), "created an empty store");
    Ok(())
}
