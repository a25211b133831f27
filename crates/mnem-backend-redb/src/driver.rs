//! The driver of this backend: recognises its stores, and opens them with the options that all backends share.

use std::{fs, io::Read as _, path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{
    Durability, Store, StoreError,
    driver::{
        Driver, Entry, FileIdentity, Location, ManagedStore, OpenOptions, Probe, RawScan, Reclaimed, Requested,
        StoreInfo, flag,
    },
};

use crate::{
    Check, CommitDurability, FORMATS, Layout, RedbStore, Verify,
    engine::probe::REDB_MAGIC,
    error::{At, BACKEND},
    raw,
};

/// The driver of [`RedbStore`]: one redb file per store.
///
/// | option by name | value |
/// |---|---|
/// | `commit` | `two_phase`, `one_phase`: see [`CommitDurability`] |
/// | `fast_recovery` | `yes`, `no`: see [`OpenOptions::fast_recovery`](crate::OpenOptions::fast_recovery) |
/// | `mode` | permissions of a new file on Unix, in octal: see [`OpenOptions::mode`](crate::OpenOptions::mode) |
/// | `verify` | `every_read`, `once_per_handle`: see [`Verify`] |
pub static DRIVER: RedbDriver = RedbDriver;

/// The type of [`DRIVER`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RedbDriver;

/// Page size in bytes. The length of a redb file is a multiple of it, damaged or not.
const PAGE_BYTES: u64 = 4096;

impl Driver for RedbDriver {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn about(&self) -> &'static str {
        "one redb file"
    }

    fn formats(&self) -> &'static [&'static str] {
        &FORMATS
    }

    fn option_names(&self) -> &'static [&'static str] {
        &["commit", "fast_recovery", "mode", "verify"]
    }

    fn lock_wait(&self) -> Duration {
        Duration::ZERO
    }

    fn suits(&self, at: &Location) -> bool {
        at.as_path().is_some()
            && !at.ends_with_separator()
            && at.extension().is_some_and(|extension| extension == "redb")
    }

    fn probe(&self, at: &Location) -> Result<Probe, StoreError> {
        let Location::Path(path) = at else { return Ok(Probe::Foreign("it is a URL, not a file".into())) };
        Ok(match Entry::at(path, BACKEND)? {
            Entry::Absent => Probe::Absent,
            Entry::EmptyFolder | Entry::Folder => Probe::Foreign("it is a folder, not a file".into()),
            // This may be an interrupted creation, on a file system where creators reserve names with an empty file.
            // Only an attempt to create can tell, and a probe writes nothing, so leave it to the open.
            Entry::File(0) if self.suits(at) => Probe::Unfinished,
            Entry::File(0) => Probe::Foreign("it is an empty file".into()),
            Entry::File(file_bytes) => probe_file(path, file_bytes)?,
            Entry::Other(what) => Probe::Foreign(what.into()),
            _ => Probe::Foreign("it is not a file".into()),
        })
    }

    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError> {
        let requested = options.requested();
        requested.check(self)?;
        requested.check_names(self, self.option_names())?;
        let Location::Path(path) = at else {
            return Err(StoreError::NotAStore { location: at.clone(), reason: "it is a URL, not a file".into() });
        };
        let store = own_options(requested)?.open(path)?;
        requested.check_format(store.format(), at)?;
        Ok(Box::new(store))
    }

    fn scan_raw(&self, at: &Location, options: &OpenOptions) -> Result<Option<Box<dyn RawScan>>, StoreError> {
        match at.as_path() {
            Some(path) => raw::scan(path, &own_options(options.requested())?),
            None => Ok(None),
        }
    }
}

fn probe_file(path: &Path, file_bytes: u64) -> Result<Probe, StoreError> {
    let at = At { path, operation: "inspect" };
    let mut begin = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(REDB_MAGIC.len() as u64).read_to_end(&mut begin));
    read.map_err(|error| at.failed(mnem_store_traits::Outcome::NotApplied, error))?;
    if begin == REDB_MAGIC {
        return Ok(Probe::Store);
    }
    let may_be_damaged = path.extension().is_some_and(|extension| extension == "redb")
        || (file_bytes >= 2 * PAGE_BYTES && file_bytes.is_multiple_of(PAGE_BYTES));
    let or_damaged = if may_be_damaged { ", or its start is damaged" } else { "" };
    Ok(Probe::Foreign(format!("the file does not start with a redb header{or_damaged}")))
}

fn own_options(requested: &Requested) -> Result<crate::OpenOptions, StoreError> {
    let mut own = crate::OpenOptions::new()
        .create(requested.may_create())
        .read_only(requested.never_writes())
        .without_locks(requested.without_locks)
        .without_folder_sync(requested.durability.is_some_and(|durability| durability < Durability::Power))
        .check(match (requested.lenient, requested.check, requested.check_for_reading) {
            (true, ..) => Check::AsItIs,
            (false, true, true) => Check::Pages,
            (false, true, false) => Check::Always,
            (false, false, _) => Check::Auto,
        })
        .sharing(requested.sharing);
    own.create_new = requested.create_new;
    if let Some(wait) = requested.lock_wait {
        own = own.lock_wait(wait);
    }
    if let Some(bytes) = requested.cache_bytes {
        own = own.cache_bytes(bytes);
    }
    if requested.durability == Some(Durability::None) {
        own = own.durability(CommitDurability::None);
    }
    if requested.format.as_ref().is_some_and(|format| *format == Layout::Mnem01.format()) {
        own = own.layout(Layout::Mnem01);
    }
    requested.set.iter().try_fold(own, |own, (name, value)| set(own, name, value))
}

/// Applies an option that only this driver has.
fn set(own: crate::OpenOptions, name: &str, value: &str) -> Result<crate::OpenOptions, StoreError> {
    let invalid = |what: &str| StoreError::InvalidArgument {
        operation: "open",
        reason: format!("the option `{name}` must be {what}, not `{value}`"),
    };
    match (name, value) {
        ("verify", "every_read") => Ok(own.verify(Verify::EveryRead)),
        ("verify", "once_per_handle") => Ok(own.verify(Verify::OncePerHandle)),
        ("verify", _) => Err(invalid("`every_read` or `once_per_handle`")),
        ("commit", "two_phase") => Ok(own.durability(CommitDurability::TwoPhase)),
        ("commit", "one_phase") => Ok(own.durability(CommitDurability::OnePhase)),
        ("commit", _) => Err(invalid("`two_phase` or `one_phase`")),
        ("fast_recovery", _) => Ok(own.fast_recovery(flag(name, value)?)),
        ("mode", _) => match u32::from_str_radix(value, 8) {
            Ok(mode) if mode <= 0o777 => Ok(own.mode(mode)),
            _ => Err(invalid("an octal number up to 777")),
        },
        _ => Err(invalid("an option of this backend")),
    }
}

impl ManagedStore for RedbStore {
    fn driver(&self) -> &'static dyn Driver {
        &DRIVER
    }

    fn format(&self) -> &'static str {
        self.layout().format()
    }

    fn info(&self) -> Result<StoreInfo, StoreError> {
        Self::info(self)
    }

    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        let before_bytes = self.handle.file().file_bytes("compact")?;
        Self::compact(self)?;
        Ok(Reclaimed::new(before_bytes, self.handle.file().file_bytes("compact")?))
    }

    fn identity(&self) -> FileIdentity {
        Self::identity(self)
    }

    fn into_store(self: Box<Self>) -> Arc<dyn Store> {
        Arc::<Self>::from(self)
    }
}
