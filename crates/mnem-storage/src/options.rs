//! Opening and creating a store, whichever backend it is of.

use std::{path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{
    Durability, ErrorKind, Store, StoreError,
    driver::{self, Driver, Location, ManagedStore, Sharing},
};

use crate::{
    DRIVERS,
    denied::is_denied,
    detect::{Found, enclosing, lacking, lacks, look, not_a_store},
    drivers::BACKENDS,
};

/// Opens the store at `at`, or creates it there: [`OpenOptions::open`] with `create(true)`.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_or_init(at: impl Into<Location>) -> Result<Arc<dyn Store>, StoreError> {
    OpenOptions::new().create(true).open(at)
}

/// How to open a store. What lies on disk decides the backend; only for a new store is there a choice:
///
/// 1. an explicit wish, [`backend`](Self::backend);
/// 2. the place, if a driver says that it suits it ([`Driver::suits`]): by an extension of its own, or as a folder;
/// 3. the first of [`DRIVERS`].
///
/// A place that asks for a backend which this build lacks is an error that names the feature, also where the build has another backend: a
/// new store is never of another kind than its extension says, unless that was the explicit wish.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if mnem_storage::DRIVERS.is_empty() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory");
/// use mnem_storage::{ErrorKind, OpenOptions, OpHeadsStore};
///
/// let missing = OpenOptions::new().open(&path).map_err(|error| error.kind());
/// assert_eq!(missing.err(), Some(ErrorKind::NotAStore)); // `create` was not set
///
/// OpenOptions::new().create(true).open(&path)?.close()?;
///
/// let store = OpenOptions::new().read_only(true).cache_bytes(64 << 20).open(&path)?;
/// assert!(store.heads()?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct OpenOptions {
    common: driver::OpenOptions,
    backend: Option<String>,
    drivers: Vec<&'static dyn Driver>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { common: driver::OpenOptions::new(), backend: None, drivers: DRIVERS.to_vec() }
    }
}

/// The options that all drivers share, set here.
macro_rules! common {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty);)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, $argument: $type) -> Self {
                self.common = self.common.$name($argument);
                self
            }
        )*
    };
}

impl OpenOptions {
    common! {
        /// Whether to create the store if nothing is at the place.
        create(yes: bool);
        /// Whether to create the store, and to refuse if there is one: [`driver::OpenOptions::create_new`].
        create_new(yes: bool);
        /// Whether to open for reading only: nothing on disk changes, and writes are refused with [`StoreError::ReadOnly`].
        read_only(yes: bool);
        /// Whether no other handle may write meanwhile: [`driver::OpenOptions::exclusive`].
        exclusive(yes: bool);
        /// Whether to check the structure of the whole store while opening it, also where the backend would not: [`driver::OpenOptions::check`].
        /// The blocks are read by [`verify`](crate::verify()).
        check(yes: bool);
        /// Whether to open a damaged store for what can still be read of it: [`driver::OpenOptions::lenient`]. To get the content into a
        /// whole store again, call [`salvage_at`](crate::salvage_at).
        lenient(yes: bool);
        /// How long to wait for a lock, before [`StoreError::Locked`]. The backend's default unless set ([`Driver::lock_wait`]): one whose
        /// store is locked as long as it is open does not wait, one that locks for a moment waits a little.
        lock_wait(wait: Duration);
        /// Memory for a cache, in bytes, where the backend keeps one. Its default unless set.
        cache_bytes(bytes: usize);
        /// What must survive once a write returned `Ok`: [`driver::OpenOptions::durability`]. Asked for less than
        /// [`Durability::Power`], a backend may leave syncs out, and takes a folder that cannot be synced.
        durability(durability: Durability);
        /// Who else may have the store open meanwhile. See [`Sharing`].
        sharing(sharing: Sharing);
        /// Whether to open a store also where there are no file locks: [`driver::OpenOptions::without_locks`]. Not every backend can.
        without_locks(yes: bool);
    }

    /// The defaults: an existing store, for reading and writing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The format of a new store, one of its driver's [`formats`](Driver::formats): for instance `mnem-backend-redb 0.1`, the layout of the
    /// published crate, whose programs can then use the file. An existing store of another format is refused.
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.common = self.common.format(format);
        self
    }

    /// Sets an option that one backend alone has. The `DRIVER` of each backend lists its own; what it does not know is refused by name.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.common = self.common.set(name, value);
        self
    }

    /// The backend of a new store, by the name of its driver. For an existing store of another backend it is an error.
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = Some(name.into());
        self
    }

    /// The drivers to choose from, in order of preference; [`DRIVERS`] unless set. A third party's driver is added so:
    ///
    /// ```
    /// # fn with(theirs: &'static dyn mnem_storage::driver::Driver) -> mnem_storage::OpenOptions {
    /// use mnem_storage::{DRIVERS, OpenOptions};
    ///
    /// OpenOptions::new().drivers(DRIVERS.iter().copied().chain([theirs]))
    /// # }
    /// ```
    pub fn drivers(mut self, drivers: impl IntoIterator<Item = &'static dyn Driver>) -> Self {
        self.drivers = drivers.into_iter().collect();
        self
    }

    /// Opens, or creates, the store at `at`.
    ///
    /// A store is not created inside of another store's folder.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and it is not to be created, there is no folder to create it in, or something else is there.
    /// - [`StoreError::UnsupportedFormat`]: it is of a later version; it was left untouched.
    /// - [`StoreError::Unsupported`]: its backend is not compiled in.
    /// - [`StoreError::InvalidArgument`]: the options contradict each other or what is there, name what the backend does not have, or the path lies inside
    ///   of a store.
    /// - [`StoreError::Locked`], [`StoreError::NeedsRecovery`], [`StoreError::Damaged`], [`StoreError::Backend`].
    pub fn open(&self, at: impl Into<Location>) -> Result<Arc<dyn Store>, StoreError> {
        self.open_managed(at).map(|store| store.into_store())
    }

    /// As [`open`](Self::open), and what the driver can do with the store beyond the contract.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_managed(&self, at: impl Into<Location>) -> Result<Box<dyn ManagedStore>, StoreError> {
        let at = &at.into();
        self.common.requested().check_combination()?;
        let may_create = self.common.requested().may_create();
        let found = look(&self.drivers, at)?;
        if let (true, Found::Nothing(_) | Found::Unfinished(_), Location::Path(path)) = (may_create, &found, at) {
            self.refuse_inside_of_a_store(path)?;
            refuse_without_folder(at, path)?;
        }
        let driver = match found {
            Found::Store(driver) | Found::Unfinished(driver) => self.same_as(driver, at)?,
            Found::Lacking(backend) => {
                return Err(lacks(backend, &format!("opening the {} store at {at}", backend.name)));
            }
            Found::Nothing(_) if !may_create => {
                let is_there = at.as_path().is_some_and(Path::exists);
                return Err(not_a_store(at, if is_there { "it is an empty folder" } else { "nothing is there" }));
            }
            Found::Nothing(drivers) => self.for_new(at, &drivers)?,
        };
        tracing::debug!(backend = driver.name(), location = %at, "opening a store");
        driver.open(at, &self.common)
    }

    /// Which driver's store lies at `at`, as [`detect`](fn@crate::detect), among the drivers of these options.
    ///
    /// # Errors
    /// As [`detect`](fn@crate::detect).
    pub fn detect(&self, at: impl Into<Location>) -> Result<Option<&'static dyn Driver>, StoreError> {
        let at = at.into();
        match look(&self.drivers, &at)? {
            Found::Store(driver) => Ok(Some(driver)),
            Found::Lacking(backend) => Err(lacks(backend, &format!("opening the {} store at {at}", backend.name))),
            Found::Unfinished(_) | Found::Nothing(_) => Ok(None),
        }
    }

    /// Opens to look at everything, without changing anything: checked, or, where the structure is damaged or cannot be read, leniently.
    /// First what the check found, then the store.
    pub(crate) fn open_for_inspection(
        &self,
        at: &Location,
    ) -> (Option<StoreError>, Result<Box<dyn ManagedStore>, StoreError>) {
        let options = self.clone().existing().read_only(true).check(true).lenient(false);
        let checked = options.sharing(Sharing::ExclusiveWriter).open_managed(at);
        let Err(error @ (StoreError::Damaged { .. } | StoreError::Backend { .. })) = checked else {
            return (None, checked);
        };
        if is_denied(&error) {
            return (None, Err(error));
        }
        match self.for_what_is_left().open_managed(at) {
            // Not even the file can be read.
            Err(_) if error.kind() == ErrorKind::Backend => (None, Err(error)),
            opened => (Some(error), opened),
        }
    }

    /// The same wishes for what is left of a damaged store.
    pub(crate) fn for_what_is_left(&self) -> Self {
        self.clone().existing().check(false).lenient(true).sharing(Sharing::ExclusiveWriter)
    }

    /// The same wishes for a store that must be there.
    pub(crate) fn existing(self) -> Self {
        self.create(false).create_new(false).exclusive(false)
    }

    /// The options that all drivers share.
    pub(crate) fn common(&self) -> &driver::OpenOptions {
        &self.common
    }

    /// The drivers that may have a store at a place: all, or the one that was named.
    pub(crate) fn drivers_to_ask(&self) -> impl Iterator<Item = &'static dyn Driver> {
        let named = |driver: &&'static dyn Driver| self.backend.as_ref().is_none_or(|name| name == driver.name());
        self.drivers.iter().copied().filter(named)
    }

    /// The driver of an existing store, unless another one was named.
    fn same_as(&self, driver: &'static dyn Driver, at: &Location) -> Result<&'static dyn Driver, StoreError> {
        match &self.backend {
            Some(wish) if wish != driver.name() => {
                Err(invalid(format!("the store at {at} is a {} store, not {wish}", driver.name())))
            }
            _ => Ok(driver),
        }
    }

    /// The driver that was named.
    fn wish(&self) -> Result<Option<&'static dyn Driver>, StoreError> {
        let Some(name) = &self.backend else { return Ok(None) };
        if let Some(driver) = self.drivers.iter().find(|driver| driver.name() == name) {
            return Ok(Some(*driver));
        }
        if let Some(backend) = BACKENDS.iter().find(|backend| backend.name == name) {
            return Err(lacks(backend, &format!("opening a {name} store")));
        }
        let names: Vec<_> = self.drivers.iter().map(|driver| driver.name()).collect();
        let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(invalid(format!("this build has no backend `{name}`: it has {has}")))
    }

    /// The driver of a new store. `drivers`: what each has against it.
    fn for_new(
        &self,
        at: &Location,
        drivers: &[(&'static dyn Driver, Option<String>)],
    ) -> Result<&'static dyn Driver, StoreError> {
        if let Some(wish) = self.wish()? {
            let objection = drivers.iter().find(|(driver, _)| driver.name() == wish.name());
            return match objection {
                Some((_, Some(why))) => {
                    Err(invalid(format!("a {} store cannot be created at {at}: {why}", wish.name())))
                }
                _ => Ok(wish),
            };
        }
        let able = || drivers.iter().filter(|(_, why)| why.is_none()).map(|(driver, _)| *driver);
        if let Some(suited) = able().find(|driver| driver.suits(at)) {
            return Ok(suited);
        }
        if let Some(asked) = lacking(&self.drivers).find(|asked| asked.suits(at)) {
            let what = format!(
                "creating a {} store at {at}, which the path asks for (another name or OpenOptions::backend asks for another)",
                asked.name
            );
            return Err(lacks(asked, &what));
        }
        if let Some(first) = able().next() {
            return Ok(first);
        }
        Err(match drivers.first() {
            Some((driver, Some(why))) => invalid(format!("a {} store cannot be created at {at}: {why}", driver.name())),
            _ => {
                let features: Vec<_> = BACKENDS.iter().map(|backend| format!("`{}`", backend.name)).collect();
                let features = features.join(", ");
                StoreError::Unsupported {
                    operation: format!("creating a store at {at}"),
                    reason: format!("mnem-storage was compiled with none of its features {features}"),
                }
            }
        })
    }

    fn refuse_inside_of_a_store(&self, path: &Path) -> Result<(), StoreError> {
        match enclosing(&self.drivers, path) {
            None => Ok(()),
            Some(store) => {
                let (path, store) = (path.display(), store.display());
                Err(invalid(format!(
                    "{path} lies inside the store {store}: a store cannot be created in another one's folder"
                )))
            }
        }
    }
}

/// So that every backend says the same of it.
fn refuse_without_folder(at: &Location, path: &Path) -> Result<(), StoreError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(|folder| (folder, folder.try_exists())) {
        Some((folder, Ok(false))) => {
            Err(not_a_store(at, format!("there is no folder {}; make it first", folder.display())))
        }
        _ => Ok(()),
    }
}

fn invalid(reason: String) -> StoreError {
    StoreError::InvalidArgument { operation: "open", reason }
}
