//! Drivers: what a program needs beyond the contract to open the stores of any backend.
//!
//! A [`Driver`] detects, creates and opens stores. An open store is a [`ManagedStore`], which can also count and
//! compact itself. Each backend has one `static` that implements [`Driver`]. Programs take a slice of
//! `&'static dyn Driver` and name no backend.

mod appended;
mod containment;
mod entry;
mod info;
mod lacks;
mod location;
mod log;
mod options;
mod raw;
mod service;
mod url;

use std::{fmt, path::Path, sync::Arc};

pub use appended::AppendedBytes;
pub use containment::{contain, is_contained};
pub use entry::Entry;
pub use info::{Detail, FileIdentity, Reclaimed, StoreInfo, Stray, TableInfo, allocated_bytes, identity};
pub use lacks::PlaceLacks;
pub use location::Location;
pub use log::{LogEntry, LogIter, LogKind};
pub use options::{OpenOptions, Requested, Sharing, flag};
pub use raw::{RawFind, RawScan};
pub use service::ServiceFault;

use crate::{Bytes, Cid, Store, StoreError};

/// What a driver finds at a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// No store, and no obstacle to creating one.
    Absent,
    /// An interrupted creation. [`OpenOptions::create`] completes it.
    Unfinished,
    /// A store of this driver, in a version that it may or may not know. It is not checked for damage.
    Store,
    /// The remains of a store of this driver, with the damage. [`OpenOptions::lenient`] may open it.
    Damaged(String),
    /// Something else, with a description.
    Foreign(String),
}

/// Detects, creates and opens the stores of one backend.
pub trait Driver: fmt::Debug + Send + Sync {
    /// Its name, such as `redb`, for options, errors and JSON. Matches `[a-z][a-z0-9_-]*`.
    ///
    /// # Contract
    /// - Law: `driver_has_a_name_and_formats`.
    fn name(&self) -> &'static str;

    /// A description of its stores, such as "one redb file", for a list of backends.
    fn about(&self) -> &'static str;

    /// The formats that it opens, as [`ManagedStore::format`] names them. New stores get the first one.
    ///
    /// # Contract
    /// - At least one, and none twice. Law: `driver_has_a_name_and_formats`.
    fn formats(&self) -> &'static [&'static str];

    /// The names of the options that [`OpenOptions::set`] accepts for it.
    ///
    /// # For implementers
    /// The default is none.
    fn option_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// The schemes of the URLs that it opens, in lower case, such as `s3`.
    ///
    /// # For implementers
    /// The default is none. [`suits`](Self::suits) is true for each of them.
    fn schemes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its open stores [adopt](ManagedStore::adopt) archives.
    ///
    /// # For implementers
    /// The default is no.
    fn adopts(&self) -> bool {
        false
    }

    /// The lock timeout unless [`OpenOptions::lock_wait`] is set.
    fn lock_wait(&self) -> std::time::Duration;

    /// Whether the location selects this driver for a *new* store: by its extension, its scheme, or a trailing
    /// separator.
    fn suits(&self, at: &Location) -> bool;

    /// A location for one store in a new folder of its own. The conformance suite uses it.
    ///
    /// # For implementers
    /// The default is a path in the folder, which is right if stores are files or folders.
    fn trial_place(&self, folder: &Path) -> Location {
        folder.join("store").into()
    }

    /// Detects what is at the location.
    ///
    /// # Contract
    /// - Writes nothing and waits for no lock. Laws: `probe_of_an_empty_place_is_absent`,
    ///   `probe_leaves_foreign_things_alone`.
    /// - A store that this driver made is a [`Probe::Store`]. Law: `new_store_is_recognised`.
    ///
    /// # Errors
    /// [`StoreError::Backend`]: the location could not be inspected.
    fn probe(&self, at: &Location) -> Result<Probe, StoreError>;

    /// Opens the store at the location, or creates one there.
    ///
    /// # Contract
    /// - A location that is refused stays as it was. Laws: `probe_leaves_foreign_things_alone`,
    ///   `missing_store_is_not_made_unless_asked`.
    /// - A URL with another scheme than the driver's is refused, and never read as a path. Law:
    ///   `url_of_nobody_is_foreign`.
    /// - An option or a format that the driver does not know is refused. Law: `unknown_options_are_refused`.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and it may not be created, or something else is there.
    /// - [`StoreError::Damaged`]: the remains of a store are there.
    /// - [`StoreError::Locked`], [`StoreError::NeedsRecovery`], [`StoreError::UnsupportedFormat`].
    /// - [`StoreError::InvalidArgument`]: options that exclude each other, or that the driver does not have.
    /// - [`StoreError::Unsupported`]: the location lacks something that was requested.
    /// - [`StoreError::Backend`]: the medium failed or denied access.
    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError>;

    /// Scans the raw files at the location for blocks and heads. It is meant for a store whose structure leads to only
    /// a part of them, or that cannot be opened at all. Writes nothing, and keeps writers out as
    /// [`OpenOptions::lenient`] does. `None` if the driver has no such scan, or if the location cannot hold one of its
    /// stores.
    ///
    /// # Contract
    /// - A scan finds the content of an intact store, and returns no wrong bytes from a damaged one. Law:
    ///   `raw_scan_finds_what_is_there`.
    ///
    /// # Errors
    /// [`StoreError::Locked`]; [`StoreError::Backend`]: the files cannot be read.
    ///
    /// # For implementers
    /// The default is `None`.
    fn scan_raw(&self, _at: &Location, _options: &OpenOptions) -> Result<Option<Box<dyn RawScan>>, StoreError> {
        Ok(None)
    }
}

/// An open store, with what its driver offers beyond the contract.
pub trait ManagedStore: Store {
    /// The driver that opened it.
    fn driver(&self) -> &'static dyn Driver;

    /// The format on disk, one of [`Driver::formats`].
    fn format(&self) -> &'static str;

    /// Counts and measures the store. May read all of it.
    ///
    /// # Contract
    /// - The counts match the content. Law: `info_counts_what_is_there`.
    ///
    /// # Errors
    /// As [`Blockstore::get`](crate::Blockstore::get).
    fn info(&self) -> Result<StoreInfo, StoreError>;

    /// Returns unused space of the files to the file system. The store stays open.
    ///
    /// # Contract
    /// - Changes no content. Law: `compact_changes_no_content`.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::Backend`], [`StoreError::Damaged`]: the content is unchanged.
    ///
    /// # For implementers
    /// The default reports that there is nothing to do, and measures with [`info`](Self::info).
    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        let file_bytes = self.info()?.file_bytes;
        Ok(Reclaimed::nothing(file_bytes, "this backend has no free space to return"))
    }

    /// Appends the blocks of an archive, in this order, as one durable commit. Leaves out those that the store has, and
    /// repetitions. Returns how many it added.
    ///
    /// As with [`put_trusted`](crate::Blockstore::put_trusted), the caller has checked the bytes against the CIDs. A
    /// call without blocks tests whether the store can do this now.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the driver [adopts](Driver::adopts) archives. Otherwise as
    /// [`put_many`](crate::Blockstore::put_many): none of the blocks was added, or all, if the
    /// [outcome](StoreError::outcome) is `Unknown`.
    ///
    /// # For implementers
    /// The default is `Unsupported`, for stores that do not keep the order of blocks.
    fn adopt(&self, _blocks: &[(Cid, Bytes)]) -> Result<u64, StoreError> {
        let name = self.driver().name();
        let reason = format!("a {name} store does not keep the order of an archive");
        Err(StoreError::Unsupported { operation: "adopting an archive".to_owned(), reason })
    }

    /// The entries of the store's log as they are now, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] unless the backend lists them. Otherwise as
    /// [`Blockstore::get`](crate::Blockstore::get). An item is an error if the log could not be read further; the
    /// listing ends there.
    ///
    /// # For implementers
    /// The default is `Unsupported`, for stores that keep no log or do not list it.
    fn log(&self) -> Result<LogIter<'_>, StoreError> {
        let reason = format!("the backend {} does not list the commits of a store", self.driver().name());
        Err(StoreError::Unsupported { operation: "listing the log".to_owned(), reason })
    }

    /// Entries among the store's files that do not belong to it.
    ///
    /// # Contract
    /// - A new store has none. Law: `new_store_is_recognised`.
    ///
    /// # Errors
    /// As [`Blockstore::get`](crate::Blockstore::get).
    ///
    /// # For implementers
    /// The default is none, which is right if a store is a single file.
    fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        Ok(Vec::new())
    }

    /// Device and inode number of the open file or folder, to check later whether its path still leads there. `None` if
    /// there is no such thing.
    ///
    /// # For implementers
    /// The default is `None`.
    fn identity(&self) -> FileIdentity {
        None
    }

    /// The store, without the rest.
    fn into_store(self: Box<Self>) -> Arc<dyn Store>;
}
