//! Opening and creating a store of any backend.

use std::{path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{
    Durability, ErrorKind, Store, StoreError,
    driver::{self, Driver, Location, ManagedStore, Sharing},
};

use crate::{
    DRIVERS,
    denied::is_denied,
    detect::{Found, enclosing, is_empty_folder, lacking, lacks, look, not_a_store, without_feature},
    drivers::{BACKENDS, Backend},
};

/// Opens the store at `at`, or creates it: [`OpenOptions::open`] with `create(true)`.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_or_init(at: impl Into<Location>) -> Result<Arc<dyn Store>, StoreError> {
    OpenOptions::new().create(true).open(at)
}

/// Options for opening a store. An existing store is opened by the backend that wrote it. A new store gets the first of
/// these that applies:
///
/// 1. the backend that you name with [`backend`](Self::backend);
/// 2. a backend whose driver says that the place suits it ([`Driver::suits`]), by its scheme, its extension, a trailing
///    separator, or because it is an empty folder;
/// 3. the first of [`DRIVERS`].
///
/// If the extension selects a backend whose stores are files, and a trailing separator or an empty folder for another
/// one, as in `x.redb/`, opening fails unless you name the backend.
///
/// If the extension selects a backend that this build lacks, opening fails, and the error names the feature. No other
/// backend takes its place unless you name one.
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

/// Setters for the options that all drivers share.
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
        /// Creates the store if there is none.
        create(yes: bool);
        /// Creates the store, and fails if there is one: [`driver::OpenOptions::create_new`].
        create_new(yes: bool);
        /// Opens for reading only. Nothing on disk changes, and writes fail with [`StoreError::ReadOnly`].
        read_only(yes: bool);
        /// Keeps every other handle from writing meanwhile: [`driver::OpenOptions::exclusive`].
        exclusive(yes: bool);
        /// Checks the structure of the whole store while opening it, even if the backend would not:
        /// [`driver::OpenOptions::check`]. To check the blocks too, call [`verify`](crate::verify()).
        check(yes: bool);
        /// As [`check`](Self::check), but only of what reads depend on: [`driver::OpenOptions::check_for_reading`].
        check_for_reading(yes: bool);
        /// Opens a damaged store to read what is left of it: [`driver::OpenOptions::lenient`]. To copy its content into
        /// a new store, call [`salvage_at`](crate::salvage_at).
        lenient(yes: bool);
        /// The time to wait for a lock, before [`StoreError::Locked`]. The default is the backend's
        /// ([`Driver::lock_wait`]): no wait if a store is locked while it is open, a short wait if it is locked only
        /// for a moment.
        lock_wait(wait: Duration);
        /// The memory for a cache in bytes, if the backend has one. The backend's default unless set.
        cache_bytes(bytes: usize);
        /// The failures that a write must survive once it returned `Ok`: [`driver::OpenOptions::durability`]. Below
        /// [`Durability::Power`], a backend may omit syncs (redb with `None`, simple with
        /// anything less), and accepts a folder that cannot be synced.
        durability(durability: Durability);
        /// Who else may have the store open meanwhile. See [`Sharing`].
        sharing(sharing: Sharing);
        /// Opens a store even if there are no file locks: [`driver::OpenOptions::without_locks`]. Not every backend
        /// can.
        without_locks(yes: bool);
    }

    /// The defaults: an existing store, for reading and writing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The format of a new store, one of its driver's [`formats`](Driver::formats). For instance,
    /// `mnem-backend-redb 0.1` is the layout of the published crate, whose programs can then use the file. An existing
    /// store of another format is refused.
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.common = self.common.format(format);
        self
    }

    /// Sets an option of a single backend. The `DRIVER` of each backend lists its options; an unknown one is refused by
    /// name.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.common = self.common.set(name, value);
        self
    }

    /// The backend of a new store, by the name of its driver. An existing store of another backend is an error.
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = Some(name.into());
        self
    }

    /// The drivers to choose from, in order of preference; [`DRIVERS`] unless set. To add a third party's driver:
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

    /// Opens or creates the store at `at`.
    ///
    /// A store is never created inside the folder of another store.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and `create` is not set, the folder for it does not exist, or
    ///   something else is there.
    /// - [`StoreError::UnsupportedFormat`]: a later version wrote it; it was left untouched.
    /// - [`StoreError::Unsupported`]: its backend is not compiled in.
    /// - [`StoreError::InvalidArgument`]: the options contradict each other or the store, the backend does not have one
    ///   of them, or the path is inside a store.
    /// - [`StoreError::Locked`], [`StoreError::NeedsRecovery`], [`StoreError::Damaged`], [`StoreError::Backend`].
    pub fn open(&self, at: impl Into<Location>) -> Result<Arc<dyn Store>, StoreError> {
        self.open_managed(at).map(|store| store.into_store())
    }

    /// As [`open`](Self::open), and returns what the driver offers beyond the contract.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_managed(&self, at: impl Into<Location>) -> Result<Box<dyn ManagedStore>, StoreError> {
        let at = &at.into();
        let driver = self.driver_at(at)?;
        tracing::debug!(backend = driver.name(), location = %at, "opening a store");
        driver.open(at, &self.common)
    }

    /// The driver with which [`open`](Self::open) would open or create a store at `at`. Writes nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open), as far as the driver does not find them itself.
    pub fn driver_at(&self, at: impl Into<Location>) -> Result<&'static dyn Driver, StoreError> {
        let at = &at.into();
        self.common.requested().check_combination()?;
        let may_create = self.common.requested().may_create();
        let found = look(&self.drivers, at)?;
        if may_create
            && matches!(found, Found::Nothing(_) | Found::Unfinished(_))
            && let Some(path) = at.to_local_path()
        {
            self.refuse_inside_of_a_store(&path)?;
            refuse_without_folder(at, &path)?;
        }
        match found {
            Found::Store(driver) | Found::Unfinished(driver) => self.same_as(driver, at),
            Found::Lacking(backend) => Err(lacks(backend, &format!("opening the {} store at {at}", backend.name))),
            Found::Nothing(_) if !may_create => {
                let is_there = at.to_local_path().is_some_and(|path| path.exists());
                Err(not_a_store(at, if is_there { "it is an empty folder" } else { "it does not exist" }))
            }
            Found::Nothing(drivers) => self.for_new(at, &drivers),
        }
    }

    /// The driver of the store at `at`, among the drivers of these options; see [`detect`](fn@crate::detect).
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

    /// Opens a store for inspection, without changing anything: with a check, or leniently if the structure is damaged
    /// or cannot be read. Returns the damage found by the check, and the store.
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
            // Even the file cannot be read.
            Err(_) if error.kind() == ErrorKind::Backend => (None, Err(error)),
            opened => (Some(error), opened),
        }
    }

    /// The same options, for the remains of a damaged store.
    pub(crate) fn for_what_is_left(&self) -> Self {
        self.clone().existing().check(false).lenient(true).sharing(Sharing::ExclusiveWriter)
    }

    /// The same options, for a store that must exist.
    pub(crate) fn existing(self) -> Self {
        self.create(false).create_new(false).exclusive(false)
    }

    /// The options that all drivers share.
    pub(crate) fn common(&self) -> &driver::OpenOptions {
        &self.common
    }

    /// The drivers that may have a store at a place: all, or the named one.
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

    /// The named driver.
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

    /// The driver of a new store. `drivers` holds the objection of each driver to the place, if any.
    fn for_new(
        &self,
        at: &Location,
        drivers: &[(&'static dyn Driver, Option<String>)],
    ) -> Result<&'static dyn Driver, StoreError> {
        if let Some(wish) = self.wish()? {
            let objection = drivers.iter().find(|(driver, _)| driver.name() == wish.name());
            return match objection {
                Some((_, Some(why))) => Err(invalid(format!("cannot create a {} store at {at}: {why}", wish.name()))),
                _ => Ok(wish),
            };
        }
        self.refuse_contradiction(at)?;
        let able = || drivers.iter().filter(|(_, why)| why.is_none()).map(|(driver, _)| *driver);
        // An extension takes precedence over a trailing separator: `x.bucket/` is not a simple store.
        let file = at.as_path().map(|path| Location::Path(path.components().collect()));
        let by_extension =
            able().find(|driver| driver.suits(at) && file.as_ref().is_none_or(|file| driver.suits(file)));
        if let Some(suited) = by_extension.or_else(|| able().find(|driver| driver.suits(at))) {
            return Ok(suited);
        }
        if let Some(asked) = lacking(&self.drivers).find(|asked| asked.suits(at)) {
            return Err(lacks_for_new(asked, at));
        }
        // An empty folder selects the same backend as a trailing slash.
        let folder = at.as_path().filter(|_| is_empty_folder(at)).map(|path| Location::from(path.join("")));
        let suited = folder.and_then(|folder| able().find(|driver| driver.suits(&folder)));
        if let Some(first) = suited.or_else(|| able().next()) {
            return Ok(first);
        }
        Err(match drivers.first() {
            Some((driver, Some(why))) => invalid(format!("cannot create a {} store at {at}: {why}", driver.name())),
            _ => {
                let features: Vec<_> = BACKENDS.iter().map(|backend| format!("`{}`", backend.name)).collect();
                let features = features.join(", ");
                StoreError::Unsupported {
                    operation: format!("creating a store at {at}"),
                    reason: format!("mnem-storage was compiled without any of its features {features}"),
                }
            }
        })
    }

    /// Refuses a path whose extension selects one backend, and its trailing separator, or the empty folder there,
    /// another: `x.redb/`. Either store would contradict half of the path.
    fn refuse_contradiction(&self, at: &Location) -> Result<(), StoreError> {
        let Some(path) = at.as_path().filter(|path| at.ends_with_separator() || path.is_dir()) else { return Ok(()) };
        // Collecting the components drops trailing separators.
        let file = Location::Path(path.components().collect());
        let folder = Location::Path(path.join(""));
        match self.drivers.iter().find(|driver| driver.suits(&file)) {
            Some(driver) if !driver.suits(&folder) => Err(invalid(format!(
                "cannot create a store at {at}: its extension asks for a {} store, which is not a folder; use another \
                 path, or name a backend",
                driver.name()
            ))),
            Some(_) => Ok(()),
            None => match lacking(&self.drivers).find(|backend| backend.is_extension_of(&file)) {
                Some(backend) => Err(lacks_for_new(backend, at)),
                None => Ok(()),
            },
        }
    }

    fn refuse_inside_of_a_store(&self, path: &Path) -> Result<(), StoreError> {
        match enclosing(&self.drivers, path) {
            None => Ok(()),
            Some(store) => {
                let (path, store) = (path.display(), store.display());
                Err(invalid(format!("{path} is inside the store {store}: cannot create a store inside another")))
            }
        }
    }
}

/// Checked here, so that every backend reports it in the same words.
fn refuse_without_folder(at: &Location, path: &Path) -> Result<(), StoreError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(|folder| (folder, folder.try_exists())) {
        Some((folder, Ok(false))) => {
            Err(not_a_store(at, format!("folder {} does not exist; create it first", folder.display())))
        }
        _ => Ok(()),
    }
}

/// The error for a new store whose path selects a backend that this build lacks.
fn lacks_for_new(backend: &Backend, at: &Location) -> StoreError {
    StoreError::Unsupported {
        operation: format!("creating a {} store at {at}", backend.name),
        reason: format!(
            "{}, which the path selects; enable it, give another path or name another backend",
            without_feature(backend)
        ),
    }
}

fn invalid(reason: String) -> StoreError {
    StoreError::InvalidArgument { operation: "open", reason }
}
