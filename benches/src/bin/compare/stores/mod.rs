//! The compared stores. Each is opened so that everything it acknowledges survives a power cut.

mod kv;
mod log;

#[cfg(feature = "peers")]
mod eiger;
#[cfg(feature = "peers")]
mod fjall;
#[cfg(feature = "peers")]
mod lmdb;
#[cfg(feature = "peers")]
mod published;
#[cfg(feature = "peers")]
mod sqlite;

use std::{path::Path, sync::Arc, time::Duration};

use mnem_backend_redb::{Check, CommitDurability};
use mnem_store_traits::driver::Sharing;
use mnem_store_traits::{Store, StoreError};

/// A store that was opened, or why not.
pub(crate) type Opened = Result<Arc<dyn Store>, StoreError>;

/// A column of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// A description, for the document.
    pub(crate) about: &'static str,
    /// Opens or creates the store.
    pub(crate) open: fn(&Path) -> Opened,
    /// Opens an existing store for reading, beside a writer in another process.
    pub(crate) open_reader: Option<fn(&Path) -> Opened>,
    /// Reclaims the space of a closed store.
    pub(crate) compact: Option<fn(&Path) -> anyhow::Result<()>>,
    /// Creates a store and adopts an archive. Returns how long the adoption took.
    pub(crate) adopt: Option<fn(&Path, &Path) -> anyhow::Result<Duration>>,
    /// Largest number of blocks with which filling it does not take minutes.
    pub(crate) blocks_max: usize,
    /// Whether it is used only where a workload names it.
    pub(crate) variant: bool,
}

pub(crate) const LIMIT: &str = "log";
pub(crate) const REDB: &str = "redb";
pub(crate) const ONE_PHASE: &str = "redb, one phase";
pub(crate) const SINGLE_WRITER: &str = "redb, single writer";
pub(crate) const MULTI_WRITER: &str = "redb, multi writer";
pub(crate) const CHECKED: &str = "redb, checked";
pub(crate) const SMALL_CACHE: &str = "redb, 16 MiB cache";
pub(crate) const IMPORT_CACHE: &str = "redb, 64 MiB cache";
pub(crate) const PUBLISHED_BATCH: &str = "published, batch_put";
pub(crate) const PUBLISHED: &str = "published";
pub(crate) const CARLOG: &str = "carlog";
pub(crate) const SIMPLE: &str = "simple";
pub(crate) const EIGER: &str = "blockstore";

const BASE: Subject = Subject {
    name: "",
    about: "",
    open: |_| Err(StoreError::Unsupported { operation: "open".into(), reason: "there is no backend".into() }),
    open_reader: None,
    compact: None,
    adopt: None,
    blocks_max: usize::MAX,
    variant: false,
};

/// All stores, the physical limit first.
pub(crate) fn all() -> Vec<Subject> {
    let mut all = vec![Subject {
        name: LIMIT,
        about: "the reference: an append-only file, an index in memory, one `fdatasync` for all waiting callers",
        open: |path| {
            let log = log::Log::open(path).map_err(kv::failed("log", "open"))?;
            Ok(Arc::new(kv::KvStore::new(log)))
        },
        ..BASE
    }];
    all.extend(published());
    all.extend(in_tree());
    all.extend(others());
    all
}

pub(crate) fn named(name: &str) -> Option<Subject> {
    all().into_iter().find(|subject| subject.name == name)
}

fn redb(path: &Path, options: mnem_backend_redb::OpenOptions) -> Opened {
    Ok(Arc::new(options.create(true).open(path)?))
}

fn compact_redb(path: &Path) -> anyhow::Result<()> {
    let mut store = mnem_backend_redb::OpenOptions::new().open(path)?;
    store.compact()?;
    Ok(store.close()?)
}

fn compact_carlog(path: &Path) -> anyhow::Result<()> {
    let store = mnem_backend_carlog::OpenOptions::new().open(path)?;
    store.compact()?;
    Ok(store.close()?)
}

fn adopt_carlog(path: &Path, archive: &Path) -> anyhow::Result<Duration> {
    let store = mnem_backend_carlog::OpenOptions::new().create(true).open(path)?;
    let time = mnem_benches::adopt_archive(&store, archive)?;
    store.close()?;
    Ok(time)
}

fn in_tree() -> [Subject; 9] {
    [
        Subject {
            name: CARLOG,
            about: "mnem-backend-carlog of this workspace: a log of CAR files with an index on disk",
            open: |path| Ok(Arc::new(mnem_backend_carlog::OpenOptions::new().create(true).open(path)?)),
            open_reader: Some(|path| Ok(Arc::new(mnem_backend_carlog::OpenOptions::new().read_only(true).open(path)?))),
            compact: Some(compact_carlog),
            adopt: Some(adopt_carlog),
            ..BASE
        },
        Subject {
            name: REDB,
            about: "mnem-backend-redb of this workspace as it opens by default: two-phase commits",
            open: |path| redb(path, mnem_backend_redb::OpenOptions::new()),
            compact: Some(compact_redb),
            ..BASE
        },
        Subject {
            name: ONE_PHASE,
            about: "the same with `CommitDurability::OnePhase`",
            open: |path| redb(path, mnem_backend_redb::OpenOptions::new().durability(CommitDurability::OnePhase)),
            variant: true,
            ..BASE
        },
        Subject {
            name: SINGLE_WRITER,
            about: "the same with `Sharing::SingleWriter`: other processes may read",
            open: |path| redb(path, mnem_backend_redb::OpenOptions::new().sharing(Sharing::SingleWriter)),
            open_reader: Some(|path| {
                let options = mnem_backend_redb::OpenOptions::new().sharing(Sharing::SingleWriter);
                Ok(Arc::new(options.read_only(true).open(path)?))
            }),
            variant: true,
            ..BASE
        },
        Subject {
            name: MULTI_WRITER,
            about: "the same with `Sharing::MultiWriter`: other processes may write",
            open: |path| redb(path, mnem_backend_redb::OpenOptions::new().sharing(Sharing::MultiWriter)),
            variant: true,
            ..BASE
        },
        Subject {
            name: CHECKED,
            about: "the same with `Check::Always`: the whole file is verified when it is opened",
            open: |path| redb(path, mnem_backend_redb::OpenOptions::new().check(Check::Always)),
            variant: true,
            ..BASE
        },
        Subject {
            name: SMALL_CACHE,
            about: "the same with `cache_bytes` of 16 MiB",
            open: |path| redb(path, mnem_backend_redb::OpenOptions::new().cache_bytes(16 << 20)),
            variant: true,
            ..BASE
        },
        Subject {
            name: IMPORT_CACHE,
            about: "the same with `cache_bytes` of 64 MiB, as the import of an archive opens it",
            open: |path| redb(path, mnem_backend_redb::OpenOptions::new().cache_bytes(64 << 20)),
            variant: true,
            ..BASE
        },
        Subject {
            name: SIMPLE,
            about: "mnem-backend-simple of this workspace: one file for each block",
            open: |path| Ok(Arc::new(mnem_backend_simple::OpenOptions::new().create(true).open(path)?)),
            open_reader: Some(|path| Ok(Arc::new(mnem_backend_simple::OpenOptions::new().read_only(true).open(path)?))),
            blocks_max: 250_000,
            ..BASE
        },
    ]
}

#[cfg(not(feature = "peers"))]
fn published() -> [Subject; 0] {
    []
}

#[cfg(not(feature = "peers"))]
fn others() -> [Subject; 0] {
    []
}

#[cfg(feature = "peers")]
fn published() -> [Subject; 2] {
    [
        Subject {
            name: PUBLISHED,
            about: "mnem-backend-redb 0.1.7 from crates.io; a commit is put by put, then the head, as its client does",
            open: |path| Ok(Arc::new(published::Published::open(path, false)?)),
            ..BASE
        },
        Subject {
            name: PUBLISHED_BATCH,
            about: "the same; a commit is one `batch_put`, then the head",
            open: |path| Ok(Arc::new(published::Published::open(path, true)?)),
            variant: true,
            ..BASE
        },
    ]
}

#[cfg(feature = "peers")]
fn others() -> [Subject; 4] {
    [
        Subject {
            name: "fjall",
            about: "fjall 3.1, log-structured merge trees; `SyncData` at every write",
            open: |path| Ok(Arc::new(kv::KvStore::new(fjall::Fjall::open(path)?))),
            ..BASE
        },
        Subject {
            name: "LMDB",
            about: "LMDB through lmdb-rkv 0.14 (whose `open` is safe; heed's is not), synced at every commit",
            open: |path| Ok(Arc::new(kv::KvStore::new(lmdb::Lmdb::open(path)?))),
            ..BASE
        },
        Subject {
            name: "SQLite",
            about: "SQLite through rusqlite 0.43; write-ahead log, `synchronous = FULL`",
            open: |path| Ok(Arc::new(kv::KvStore::new(sqlite::Sqlite::open(path)?))),
            compact: Some(|path| Ok(sqlite::Sqlite::compact(path)?)),
            ..BASE
        },
        Subject {
            name: EIGER,
            about: "Eiger's blockstore 0.8 over its redb; it has no heads, no listing and no batches",
            open: |path| Ok(Arc::new(kv::KvStore::new(eiger::Eiger::open(path)?))),
            blocks_max: 20_000,
            ..BASE
        },
    ]
}
