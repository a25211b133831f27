//! Drivers: what a program needs of a backend beyond the contract, so that it can open any backend's stores.
//!
//! A [`Driver`] recognises its stores, creates them and opens them; what it opens is a [`ManagedStore`], which can also count and compact
//! itself. One `static` per backend implements [`Driver`]; programs take a slice of `&'static dyn Driver`, and name no backend.

mod appended;
mod containment;
mod entry;
mod info;
mod lacks;
mod location;
mod options;
mod raw;

use std::{fmt, path::Path, sync::Arc};

pub use appended::AppendedBytes;
pub use containment::{contain, is_contained};
pub use entry::Entry;
pub use info::{FileIdentity, Reclaimed, StoreInfo, Stray, TableInfo, allocated_bytes, identity};
pub use lacks::PlaceLacks;
pub use location::Location;
pub use options::{OpenOptions, Requested, Sharing, flag};
pub use raw::{RawFind, RawScan};

use crate::{Store, StoreError};

/// What a driver finds at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// No store, and nothing in the way of one.
    Absent,
    /// A creation that was cut off, which [`OpenOptions::create`] completes.
    Unfinished,
    /// A store of this driver, of a version that it may or may not know. Whether it is whole is not looked at.
    Store,
    /// What is left of a store of this driver, and what is wrong with it. [`OpenOptions::lenient`] may open it.
    Damaged(String),
    /// Something else, and what.
    Foreign(String),
}

/// A kind of stores: recognises, creates and opens them.
pub trait Driver: fmt::Debug + Send + Sync {
    /// Its name, as `redb`: in options, errors and JSON. Matches `[a-z][a-z0-9_-]*`.
    ///
    /// # Contract
    /// - Law: `driver_has_a_name_and_formats`.
    fn name(&self) -> &'static str;

    /// What a store of it is, as "one redb file": after its name in a list for users.
    fn about(&self) -> &'static str;

    /// The formats that it opens, as [`ManagedStore::format`] names them. The first one is that of new stores.
    ///
    /// # Contract
    /// - At least one, none twice. Law: `driver_has_a_name_and_formats`.
    fn formats(&self) -> &'static [&'static str];

    /// The names of the options that [`OpenOptions::set`] takes for it.
    ///
    /// # For implementers
    /// The default is none.
    fn option_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// How long it waits for a lock unless [`OpenOptions::lock_wait`] is set.
    fn lock_wait(&self) -> std::time::Duration;

    /// Whether the place asks for a *new* store of this driver: by extension, scheme, or a separator at its end.
    fn suits(&self, at: &Location) -> bool;

    /// A place for one store, given a new folder that is there for it alone: for trials, as the conformance suite makes them.
    ///
    /// # For implementers
    /// The default is a path in the folder: right where stores are files or folders.
    fn trial_place(&self, folder: &Path) -> Location {
        folder.join("store").into()
    }

    /// What lies at the place.
    ///
    /// # Contract
    /// - Writes nothing and waits for no lock. Laws: `probe_of_an_empty_place_is_absent`, `probe_leaves_foreign_things_alone`.
    /// - What this driver has made is a [`Probe::Store`]. Law: `new_store_is_recognised`.
    ///
    /// # Errors
    /// [`StoreError::Backend`]: the place could not be looked at.
    fn probe(&self, at: &Location) -> Result<Probe, StoreError>;

    /// Opens the store at the place, or makes one there.
    ///
    /// # Contract
    /// - What is refused is left as it was. Laws: `probe_leaves_foreign_things_alone`, `missing_store_is_not_made_unless_asked`.
    /// - A URL whose scheme is not the driver's is refused, and never read as a path. Law: `url_of_nobody_is_foreign`.
    /// - An option or a format that the driver does not know is refused. Law: `unknown_options_are_refused`.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there, and it may not be created; or something else is there.
    /// - [`StoreError::Damaged`]: what is left of a store.
    /// - [`StoreError::Locked`], [`StoreError::NeedsRecovery`], [`StoreError::UnsupportedFormat`].
    /// - [`StoreError::InvalidArgument`]: options that exclude each other, or that the driver does not have.
    /// - [`StoreError::Unsupported`]: the place cannot give what was requested.
    /// - [`StoreError::Backend`]: the medium failed, or forbids it.
    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError>;

    /// Scans the raw files at the place for blocks and heads, for a store whose structure leads to only a part of them or
    /// that cannot be opened at all. Writes nothing, and keeps writers out as [`OpenOptions::lenient`] does. `None` if the
    /// driver has no such scan, or if no store of its kind can be at the place.
    ///
    /// # Contract
    /// - Where there is a scan, it finds what a whole store holds, and gives no wrong bytes of a damaged one. Law: `raw_scan_finds_what_is_there`.
    ///
    /// # Errors
    /// [`StoreError::Locked`]; [`StoreError::Backend`]: the files cannot be looked at.
    ///
    /// # For implementers
    /// The default is `None`.
    fn scan_raw(&self, _at: &Location, _options: &OpenOptions) -> Result<Option<Box<dyn RawScan>>, StoreError> {
        Ok(None)
    }
}

/// An open store, with what its driver can do beyond the contract.
pub trait ManagedStore: Store {
    /// The driver that opened it.
    fn driver(&self) -> &'static dyn Driver;

    /// The format on disk, one of [`Driver::formats`].
    fn format(&self) -> &'static str;

    /// Counts and measures it. May read all of it.
    ///
    /// # Contract
    /// - Counts what is there. Law: `info_counts_what_is_there`.
    ///
    /// # Errors
    /// As [`Blockstore::get`](crate::Blockstore::get).
    fn info(&self) -> Result<StoreInfo, StoreError>;

    /// Gives back what the files no longer need. The store stays open.
    ///
    /// # Contract
    /// - Changes no content. Law: `compact_changes_no_content`.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::Backend`], [`StoreError::Damaged`]: the content is as it was.
    ///
    /// # For implementers
    /// The default says that there is nothing to do, and measures with [`info`](Self::info).
    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        let file_bytes = self.info()?.file_bytes;
        Ok(Reclaimed::nothing(file_bytes, "this backend leaves nothing to give back"))
    }

    /// Entries among the store's files that are not its own.
    ///
    /// # Contract
    /// - None in a new store. Law: `new_store_is_recognised`.
    ///
    /// # Errors
    /// As [`Blockstore::get`](crate::Blockstore::get).
    ///
    /// # For implementers
    /// The default is none: right where a store is a single file.
    fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        Ok(Vec::new())
    }

    /// Device and number of the file or folder that is open, to see later whether its path still leads there. `None`
    /// where there is no such thing.
    ///
    /// # For implementers
    /// The default is `None`.
    fn identity(&self) -> FileIdentity {
        None
    }

    /// The store alone.
    fn into_store(self: Box<Self>) -> Arc<dyn Store>;
}
