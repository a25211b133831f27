//! How a store is opened.

use std::time::Duration;

use mnem_store_traits::{Durability, StoreError, driver::Location};

use crate::{
    BucketStore,
    limits::{CACHE_BYTES, CHECKPOINT_ENTRIES, GIVE_UP, GRACE, LEASE, PAUSE},
    open,
};

/// How old the answer "present" may be for a block. Absence, heads and rows are always current.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Freshness {
    /// As old as the lease of the store, so that a walk does not ask the service for each block. No read finds a block
    /// whose deletion returned before the read began, because a delete waits until the lease is over.
    #[default]
    Leased,
    /// Every read asks the service for new entries of the log.
    Always,
}

/// How a store is opened.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("notes");
/// use mnem_backend_bucket::OpenOptions;
///
/// let store = OpenOptions::new().create(true).open(&path)?;
/// # Ok::<(), mnem_store_traits::StoreError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct OpenOptions {
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) read_only: bool,
    pub(crate) exclusive: bool,
    pub(crate) lease: Duration,
    pub(crate) freshness: Freshness,
    pub(crate) durability: Durability,
    pub(crate) give_up: Duration,
    pub(crate) cache_bytes: usize,
    pub(crate) pause: Duration,
    pub(crate) checkpoint_entries: u64,
    pub(crate) grace: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            create: false,
            create_new: false,
            read_only: false,
            exclusive: false,
            lease: LEASE,
            freshness: Freshness::Leased,
            durability: Durability::Power,
            give_up: GIVE_UP,
            cache_bytes: CACHE_BYTES,
            pause: PAUSE,
            checkpoint_entries: CHECKPOINT_ENTRIES,
            grace: GRACE,
        }
    }
}

impl OpenOptions {
    /// Opens an existing store, for writing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to create a store if there is none. Default: no.
    ///
    /// A creation tests whether the service creates an object only if it is absent, and refuses a service that ignores
    /// this condition.
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether to create a store, and fail if there is one. Default: no.
    pub fn create_new(mut self, yes: bool) -> Self {
        self.create_new = yes;
        self
    }

    /// Whether the handle never writes. Default: no.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// Whether a write of this handle fails with [`StoreError::Locked`], and changes nothing, if another handle has
    /// written since this one was opened. For work that is decided by a state that must not change meanwhile, such as
    /// garbage collection. Nothing keeps other handles from writing. Default: no.
    pub fn exclusive(mut self, yes: bool) -> Self {
        self.exclusive = yes;
        self
    }

    /// The lease of a store that this call creates, in whole milliseconds, up to an hour: how old the answer "present"
    /// of any handle may be. A `delete` takes a little longer than this. Default: one second.
    ///
    /// An existing store keeps the lease with which it was created.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Whether this handle uses the lease. Default: [`Freshness::Leased`].
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Which failures an object survives once the service has acknowledged it. The store cannot test this, and its
    /// capabilities claim the given value. Default: [`Durability::Power`], as object stores promise. A folder is
    /// synced.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a write is repeated if the service does not report its result. After this time, the outcome is unknown,
    /// and the handle refuses writes. Default: one minute.
    pub fn give_up(mut self, time: Duration) -> Self {
        self.give_up = time;
        self
    }

    /// How many bytes of the log may stay in memory after they were read or written. Default: 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How long a compaction keeps an unused pack or checkpoint, by the clock of the service, so that a handle that
    /// opens the store or reads meanwhile need not read again. Default: one hour. See [`BucketStore::compact`].
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// The first pause between two attempts at a request. For tests.
    #[doc(hidden)]
    pub fn retry_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// After how many entries a checkpoint is written. For tests.
    #[doc(hidden)]
    pub fn checkpoint_entries(mut self, entries: u64) -> Self {
        self.checkpoint_entries = entries;
        self
    }

    /// Opens the store at a path or URL.
    ///
    /// | place | objects |
    /// |---|---|
    /// | a path, `file:///folder` | the files of a folder of a local or shared file system. It must have hard links, since an object is created by linking it to its name |
    /// | `s3://bucket/prefix`, `s3a://` | Amazon S3, or a service with its protocol |
    /// | `gs://bucket/prefix` | Google Cloud Storage |
    /// | `az://container/prefix`, `abfs://container@account.dfs.core.windows.net/prefix` | Azure Blob Storage |
    ///
    /// All but folders need the feature `services`. The query of a URL may set `endpoint` (the address of the server)
    /// and `allow_http` (`true` permits an endpoint without encryption), and that of an S3 URL also `region` and
    /// `virtual_hosted_style_request`. Credentials, and settings that the URL does not have, come from the
    /// environment: `AWS_*`, `GOOGLE_*`, `AZURE_*`. A URL with a secret is refused.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and [`create`](Self::create) is not set, or something else is
    ///   there.
    /// - [`StoreError::Damaged`]: an object of the store was changed or is missing. This call changed nothing.
    /// - [`StoreError::UnsupportedFormat`]: a later version made the store or wrote to it.
    /// - [`StoreError::InvalidArgument`]: options that contradict each other; an invalid URL; or the store exists and
    ///   [`create_new`](Self::create_new) is set.
    /// - [`StoreError::Unsupported`]: the URL needs the feature `services`.
    /// - [`StoreError::Backend`]: the file system or the service failed. Its cause is a
    ///   [`ServiceFault`](mnem_store_traits::driver::ServiceFault) if the service does not serve this store: it denies
    ///   access, has no such bucket, or does not support conditional creation of objects.
    pub fn open(&self, at: impl Into<Location>) -> Result<BucketStore, StoreError> {
        open::open(self, &at.into())
    }

    /// Opens the store below `prefix` in any object store.
    ///
    /// This is an escape hatch, for services and credentials that this crate does not know. Its signature has a type
    /// of `object_store` 0.14, a crate that breaks its API about once a year. So a minor release of this crate may
    /// change this method, and you must depend on the same version of `object_store`.
    ///
    /// The service must create an object only if it is absent ([`PutMode::Create`](object_store::PutMode::Create)),
    /// atomically, and show it to every reader at once.
    ///
    /// # Errors
    /// As [`open`](Self::open), and:
    /// - [`StoreError::InvalidArgument`]: `prefix` is not a path of the object store.
    #[cfg(feature = "unstable-open-in")]
    pub fn open_in(
        &self,
        service: std::sync::Arc<dyn object_store::ObjectStore>,
        prefix: &str,
    ) -> Result<BucketStore, StoreError> {
        open::open_in(self, service, prefix)
    }
}
