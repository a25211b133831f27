//! The driver: recognizes the stores of this backend, and opens them with the options that all backends share.

use std::{path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{
    Store, StoreError,
    driver::{
        Detail, Driver, FileIdentity, Location, LogIter, ManagedStore, OpenOptions, Probe, Reclaimed, Requested,
        StoreInfo,
    },
};

use crate::{
    BucketStore, Freshness,
    address::{Address, SCHEMES},
    engine::{compaction::unused, history::History},
    error::BACKEND,
    open, probe,
    tables::FORMATS,
};

/// The driver of [`BucketStore`], whose stores are objects of a bucket, or files of a folder.
///
/// | option by name | value |
/// |---|---|
/// | `freshness` | `leased` or `always`: see [`Freshness`] |
/// | `lease_ms` | the lease of a new store in milliseconds: see [`OpenOptions::lease`](crate::OpenOptions::lease) |
/// | `give_up_ms` | milliseconds: see [`OpenOptions::give_up`](crate::OpenOptions::give_up) |
/// | `grace_ms` | milliseconds: see [`OpenOptions::grace`](crate::OpenOptions::grace) |
pub static DRIVER: BucketDriver = BucketDriver;

/// The type of [`DRIVER`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BucketDriver;

impl Driver for BucketDriver {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn about(&self) -> &'static str {
        "a log of objects in a bucket or a shared folder"
    }

    fn formats(&self) -> &'static [&'static str] {
        FORMATS
    }

    fn option_names(&self) -> &'static [&'static str] {
        &["freshness", "lease_ms", "give_up_ms", "grace_ms"]
    }

    fn schemes(&self) -> &'static [&'static str] {
        SCHEMES
    }

    fn lock_wait(&self) -> Duration {
        // There are no locks.
        Duration::ZERO
    }

    fn suits(&self, at: &Location) -> bool {
        match at.scheme() {
            Some(scheme) => SCHEMES.contains(&&*scheme),
            None => at.extension().is_some_and(|extension| extension == BACKEND),
        }
    }

    fn trial_place(&self, folder: &Path) -> Location {
        folder.join("store.bucket").into()
    }

    fn probe(&self, at: &Location) -> Result<Probe, StoreError> {
        match Address::of(at) {
            Ok(Address::Folder(path)) => probe::probe_folder(&path),
            Ok(Address::Bucket(bucket)) => probe::probe_objects(&open::objects_to_probe(at, &bucket)?),
            Err(StoreError::NotAStore { reason, .. }) => Ok(Probe::Foreign(reason)),
            Err(error) => Err(error),
        }
    }

    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError> {
        let requested = options.requested();
        requested.check(self)?;
        requested.check_names(self, self.option_names())?;
        Ok(Box::new(own_options(requested)?.open(at)?))
    }
}

fn own_options(requested: &Requested) -> Result<crate::OpenOptions, StoreError> {
    let mut own = crate::OpenOptions::new()
        .create(requested.create)
        .create_new(requested.create_new)
        .read_only(requested.never_writes())
        .exclusive(requested.exclusive);
    if let Some(bytes) = requested.cache_bytes {
        own = own.cache_bytes(bytes);
    }
    if let Some(durability) = requested.durability {
        own = own.durability(durability);
    }
    for (name, value) in &requested.set {
        own = match &**name {
            "freshness" => own.freshness(freshness(value)?),
            "lease_ms" => own.lease(milliseconds(name, value)?),
            "grace_ms" => own.grace(milliseconds(name, value)?),
            _ => own.give_up(milliseconds(name, value)?),
        };
    }
    Ok(own)
}

fn freshness(value: &str) -> Result<Freshness, StoreError> {
    match value {
        "leased" => Ok(Freshness::Leased),
        "always" => Ok(Freshness::Always),
        _ => refuse(format!("the option `freshness` must be `leased` or `always`, not `{value}`")),
    }
}

fn milliseconds(name: &str, value: &str) -> Result<Duration, StoreError> {
    match value.parse() {
        Ok(number) => Ok(Duration::from_millis(number)),
        Err(_) => refuse(format!("the option `{name}` must be a number of milliseconds, not `{value}`")),
    }
}

fn refuse<T>(reason: String) -> Result<T, StoreError> {
    Err(StoreError::InvalidArgument { operation: "open", reason })
}

impl ManagedStore for BucketStore {
    fn driver(&self) -> &'static dyn Driver {
        &DRIVER
    }

    fn format(&self) -> &'static str {
        FORMATS.first().copied().unwrap_or_default()
    }

    fn info(&self) -> Result<StoreInfo, StoreError> {
        let mut info = self.info()?;
        let (packs, unused) = unused(&self.handle)?;
        info.free_bytes = unused;
        info.details = vec![
            Detail { name: "log_entries", count: self.log_entries()? },
            Detail { name: "packs", count: packs },
            // Last, so that it counts the others' requests too.
            Detail { name: "requests", count: self.requests() },
        ];
        Ok(info)
    }

    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        Self::compact(self)
    }

    fn log(&self) -> Result<LogIter<'_>, StoreError> {
        Ok(Box::new(History::begin(&self.handle)?))
    }

    fn identity(&self) -> FileIdentity {
        self.identity
    }

    fn into_store(self: Box<Self>) -> Arc<dyn Store> {
        Arc::<Self>::from(self)
    }
}
