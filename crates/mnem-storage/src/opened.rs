//! An open store of a known backend: the only module that names the backend crates.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_ann_persist::Format;
use mnem_store_traits::{Store, StoreError};

use crate::{Backend, OpenOptions, Place, StoreInfo};

/// The backends' own `Info` types have the same fields, and no common name.
#[cfg(any(feature = "redb", feature = "simple"))]
macro_rules! info {
    ($backend:expr, $info:expr) => {
        StoreInfo {
            backend: $backend,
            format: $info.format,
            blocks: $info.blocks,
            block_bytes: $info.block_bytes,
            heads: $info.heads,
            // Counted by whoever asked.
            knn_indexes: 0,
            tables: $info
                .tables
                .into_iter()
                .map(|table| crate::TableInfo { name: table.name, keys: table.keys, bytes: table.bytes })
                .collect(),
            file_bytes: $info.file_bytes,
            free_bytes: $info.free_bytes,
        }
    };
}
/// The formats that a backend opens.
pub(crate) fn formats(backend: Backend) -> &'static [&'static str] {
    match backend {
        #[cfg(feature = "redb")]
        Backend::Redb => &mnem_backend_redb::FORMATS,
        #[cfg(feature = "simple")]
        Backend::Simple => &mnem_backend_simple::FORMATS,
        #[cfg(not(all(feature = "redb", feature = "simple")))]
        _ => &[],
    }
}

#[derive(Debug)]
pub(crate) enum Opened {
    #[cfg(feature = "redb")]
    Redb(mnem_backend_redb::RedbStore),
    #[cfg(feature = "simple")]
    Simple(mnem_backend_simple::SimpleStore),
}

impl Opened {
    pub(crate) fn open(backend: Backend, path: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        match backend {
            #[cfg(feature = "redb")]
            Backend::Redb => open_redb(path, options).map(Self::Redb),
            #[cfg(feature = "simple")]
            Backend::Simple => open_simple(path, options).map(Self::Simple),
            #[cfg(not(all(feature = "redb", feature = "simple")))]
            other => {
                // A build without any backend has no other use for the options.
                let _ = options;
                Err(other.not_compiled_in(format!("opening a {other} store at {}", path.display())))
            }
        }
    }

    pub(crate) fn into_store(self) -> Arc<dyn Store> {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb(store) => Arc::new(store),
            #[cfg(feature = "simple")]
            Self::Simple(store) => Arc::new(store),
        }
    }

    pub(crate) fn backend(&self) -> Backend {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb(_) => Backend::Redb,
            #[cfg(feature = "simple")]
            Self::Simple(_) => Backend::Simple,
            #[cfg(not(any(feature = "redb", feature = "simple")))]
            _ => match *self {},
        }
    }

    /// Where it was opened; `path` is how that was spelled.
    pub(crate) fn place(&self, path: &Path) -> Place {
        Place::new(self.backend(), path, self.identity())
    }

    /// Device and number of its file or folder, where the system tells them.
    fn identity(&self) -> Option<(u64, u64)> {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb(store) => store.identity(),
            #[cfg(feature = "simple")]
            Self::Simple(store) => store.identity(),
            #[cfg(not(any(feature = "redb", feature = "simple")))]
            _ => match *self {},
        }
    }

    /// Gives back what the files no longer need, and closes the store, which must still be at its place.
    #[cfg_attr(
        not(any(feature = "redb", feature = "simple")),
        expect(unused_variables, reason = "a build without a backend has no store to compact")
    )]
    pub(crate) fn compact(self, path: &Path) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb(mut store) => {
                let place = Place::new(Backend::Redb, path, store.identity());
                store.compact()?;
                place.check().and(store.close())
            }
            // What there was to clear was cleared when it was opened.
            #[cfg(feature = "simple")]
            Self::Simple(store) => Place::new(Backend::Simple, path, store.identity()).check().and(store.close()),
        }
    }

    /// The format in which k-NN edges are to be stored.
    pub(crate) fn knn_format(&self) -> Format {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb(store) => mnem_backend_redb::knn_edges_store::knn_edges_format(store.layout()),
            #[cfg(feature = "simple")]
            Self::Simple(_) => Format::Packed,
            #[cfg(not(any(feature = "redb", feature = "simple")))]
            _ => Format::Packed,
        }
    }

    /// Entries among the store's files that are not its own.
    pub(crate) fn foreign(&self) -> Result<Vec<PathBuf>, StoreError> {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb(_) => Ok(Vec::new()),
            #[cfg(feature = "simple")]
            Self::Simple(store) => store.foreign(),
            #[cfg(not(any(feature = "redb", feature = "simple")))]
            _ => Ok(Vec::new()),
        }
    }

    pub(crate) fn info(&self) -> Result<StoreInfo, StoreError> {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb(store) => store.info().map(|info| info!(Backend::Redb, info)),
            #[cfg(feature = "simple")]
            Self::Simple(store) => store.info().map(|info| info!(Backend::Simple, info)),
            #[cfg(not(any(feature = "redb", feature = "simple")))]
            _ => match *self {},
        }
    }
}

#[cfg(feature = "redb")]
fn open_redb(path: &Path, options: &OpenOptions) -> Result<mnem_backend_redb::RedbStore, StoreError> {
    use mnem_backend_redb::{Check, Concurrency, Layout};

    let mut redb = mnem_backend_redb::OpenOptions::new()
        .create(options.create || options.create_new)
        .read_only(options.read_only || options.as_it_is)
        .without_locks(options.without_locks)
        .without_folder_sync(options.without_folder_sync)
        .check(match (options.as_it_is, options.check) {
            (true, _) => Check::AsItIs,
            (false, true) => Check::Always,
            (false, false) => Check::Auto,
        })
        .concurrency(match options.concurrency {
            crate::Concurrency::ExclusiveWriter => Concurrency::ExclusiveWriter,
            crate::Concurrency::SingleWriter => Concurrency::SingleWriter,
            crate::Concurrency::MultiWriter => Concurrency::MultiWriter,
        });
    if let Some(wait) = options.lock_wait {
        redb = redb.lock_wait(wait);
    }
    if let Some(bytes) = options.cache_bytes {
        redb = redb.cache_bytes(bytes);
    }
    if !options.published_layout {
        return redb.open(path);
    }
    let store = redb.layout(Layout::Mnem01).open(path)?;
    match store.layout() {
        Layout::Mnem01 => Ok(store),
        _ => Err(StoreError::InvalidArgument {
            operation: "open",
            reason: format!("the store at {} is not in the published layout, and keeps the one it has", path.display()),
        }),
    }
}

#[cfg(feature = "simple")]
fn open_simple(path: &Path, options: &OpenOptions) -> Result<mnem_backend_simple::SimpleStore, StoreError> {
    let mut simple = mnem_backend_simple::OpenOptions::new()
        .create(options.create || options.create_new)
        .read_only(options.read_only || options.as_it_is)
        .as_it_is(options.as_it_is);
    if options.without_folder_sync {
        simple = simple.durability(mnem_store_traits::Durability::Process);
    }
    if let Some(wait) = options.lock_wait {
        simple = simple.lock_wait(wait);
    }
    simple.open(path)
}
