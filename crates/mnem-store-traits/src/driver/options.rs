//! How a store is opened.

use std::{collections::BTreeMap, time::Duration};

use super::{Driver, Location};
use crate::{Durability, StoreError};

/// Who else may have a store open. All that have it open must have chosen values that go together.
///
/// A driver whose stores may always be shared, as a folder of files, lets others in whatever is chosen here;
/// [`OpenOptions::exclusive`] keeps other writers out everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// One writing handle and nobody else, or any number of read-only handles.
    #[default]
    ExclusiveWriter,
    /// One writing handle, and any number of read-only handles that follow it.
    SingleWriter,
    /// Any number of writing and read-only handles; writers take turns.
    MultiWriter,
}

/// How to open a store, for every driver. What only one of them knows is [set by name](Self::set).
///
/// ```
/// use std::time::Duration;
///
/// use mnem_store_traits::driver::OpenOptions;
///
/// let options = OpenOptions::new().create(true).lock_wait(Duration::from_secs(1)).set("fast_recovery", "yes");
/// assert!(options.requested().create);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct OpenOptions(Requested);

/// What was asked for, as a [`Driver`] reads it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Requested {
    /// See [`OpenOptions::create`].
    pub create: bool,
    /// See [`OpenOptions::create_new`].
    pub create_new: bool,
    /// See [`OpenOptions::read_only`].
    pub read_only: bool,
    /// See [`OpenOptions::exclusive`].
    pub exclusive: bool,
    /// See [`OpenOptions::check`].
    pub check: bool,
    /// See [`OpenOptions::lenient`].
    pub lenient: bool,
    /// See [`OpenOptions::lock_wait`].
    pub lock_wait: Option<Duration>,
    /// See [`OpenOptions::cache_bytes`].
    pub cache_bytes: Option<usize>,
    /// See [`OpenOptions::durability`].
    pub durability: Option<Durability>,
    /// See [`OpenOptions::sharing`].
    pub sharing: Sharing,
    /// See [`OpenOptions::without_locks`].
    pub without_locks: bool,
    /// See [`OpenOptions::format`].
    pub format: Option<String>,
    /// See [`OpenOptions::set`].
    pub set: BTreeMap<String, String>,
}

impl OpenOptions {
    /// The defaults: an existing store, for reading and writing, as durable as its driver can.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to make a store where there is none. Never overwrites.
    pub fn create(mut self, yes: bool) -> Self {
        self.0.create = yes;
        self
    }

    /// Whether to make a store, and to refuse with [`StoreError::InvalidArgument`] if there is one already.
    ///
    /// Of several callers that create the same store at the same moment, only the one that made it gets `Ok`. Law:
    /// `one_creator_of_a_new_store_made_it`.
    pub fn create_new(mut self, yes: bool) -> Self {
        self.0.create_new = yes;
        self
    }

    /// Whether to open without ever writing to the store: writes are refused with [`StoreError::ReadOnly`].
    pub fn read_only(mut self, yes: bool) -> Self {
        self.0.read_only = yes;
        self
    }

    /// Whether no other handle, of this process or another, may write while this one is open: if one has the store open for writing,
    /// opening fails with [`StoreError::Locked`], and so does whoever comes later. Not for read-only handles.
    pub fn exclusive(mut self, yes: bool) -> Self {
        self.0.exclusive = yes;
        self
    }

    /// Whether to check the structure of the whole store while opening it, also where the driver would not.
    pub fn check(mut self, yes: bool) -> Self {
        self.0.check = yes;
        self
    }

    /// Whether to open a damaged store, read-only, for what can still be read of it.
    ///
    /// Nothing is checked, repaired or recovered, and parts may be missing. Blocks are hashed as ever, so bytes are
    /// right or there are none. But the absence of a block, a head or a row proves nothing, and rows of side tables may
    /// have other values: no hash protects them. A listing returns an error for each place that it cannot read, and
    /// goes on after it. Implies [`read_only`](Self::read_only).
    pub fn lenient(mut self, yes: bool) -> Self {
        self.0.lenient = yes;
        self
    }

    /// How long to wait for a lock that another handle holds, before [`StoreError::Locked`]. The driver's default unless set.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.0.lock_wait = Some(wait);
        self
    }

    /// Memory for a cache, in bytes, where the driver keeps one. The driver's default unless set.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.0.cache_bytes = Some(bytes);
        self
    }

    /// What must survive once a write returned `Ok`. Unless set, the most that the driver offers, and a place that
    /// cannot give it is refused. [`Durability::Process`] also accepts a place that cannot sync folders; where more
    /// can be had, the driver may give more. The store's capabilities say what it gives.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.0.durability = Some(durability);
        self
    }

    /// Who else may have the store open. See [`Sharing`].
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.0.sharing = sharing;
        self
    }

    /// Whether to open a store also where its file system has no file locks, if the driver can do without: refused otherwise.
    ///
    /// No other process may have the store open meanwhile, not even for reading: two that write destroy it. Where there
    /// are locks they are taken all the same. Not together with a shared mode of [`Sharing`].
    pub fn without_locks(mut self, yes: bool) -> Self {
        self.0.without_locks = yes;
        self
    }

    /// The format of a new store, one of [`Driver::formats`]. An existing store of another format is refused with
    /// [`StoreError::InvalidArgument`].
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.0.format = Some(format.into());
        self
    }

    /// Sets an option that only some driver has; its documentation lists them. Refused with
    /// [`StoreError::InvalidArgument`] by drivers that do not know the name or the value.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.set.insert(name.into(), value.into());
        self
    }

    /// What was asked for. For drivers.
    pub fn requested(&self) -> &Requested {
        &self.0
    }
}

impl Requested {
    /// Whether a store may be made.
    pub fn may_create(&self) -> bool {
        self.create || self.create_new
    }

    /// Whether the handle never writes.
    pub fn never_writes(&self) -> bool {
        self.read_only || self.lenient
    }

    /// Refuses what no driver can do, and a format that `driver` does not have. Every [`Driver::open`] begins with it.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`] says which options exclude each other, or lists the formats.
    pub fn check(&self, driver: &dyn Driver) -> Result<(), StoreError> {
        self.check_combination()?;
        match &self.format {
            Some(format) if !driver.formats().contains(&&**format) => {
                let (name, formats) = (driver.name(), driver.formats().join("`, `"));
                invalid(format!("the {name} backend has no format `{format}`: it has `{formats}`"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses options that exclude each other, whatever the driver.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`].
    pub fn check_combination(&self) -> Result<(), StoreError> {
        if self.may_create() && self.read_only {
            return invalid("a store cannot be created read-only");
        }
        if self.lenient && (self.may_create() || self.check) {
            return invalid("`lenient` cannot be combined with `create` or `check`");
        }
        if self.exclusive && self.never_writes() {
            return invalid("a read-only handle cannot be exclusive");
        }
        if self.exclusive && self.sharing != Sharing::ExclusiveWriter {
            return invalid("`exclusive` cannot be combined with a shared mode");
        }
        Ok(())
    }

    /// Refuses options set by name that are not among `known`.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`] lists the names that there are.
    pub fn check_names(&self, driver: &dyn Driver, known: &[&str]) -> Result<(), StoreError> {
        let Some(unknown) = self.set.keys().find(|name| !known.contains(&&***name)) else { return Ok(()) };
        let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has `{}`", known.join("`, `")) };
        invalid(format!("the {} backend has no option `{unknown}`: {has}", driver.name()))
    }

    /// Fails if a store of `found`, which is at `at`, is not the one that was asked for.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`]: a new store was asked for, or another format.
    pub fn check_existing(&self, driver: &dyn Driver, at: &Location) -> Result<(), StoreError> {
        if self.create_new { invalid(format!("a {} store is already at {at}", driver.name())) } else { Ok(()) }
    }

    /// Fails if the store that was opened at `at` has another format than was asked for.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`].
    pub fn check_format(&self, found: &str, at: &Location) -> Result<(), StoreError> {
        match &self.format {
            Some(format) if format != found => {
                invalid(format!("the store at {at} has the format `{found}`, and keeps it; `{format}` was requested"))
            }
            _ => Ok(()),
        }
    }
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::InvalidArgument { operation: "open", reason: reason.into() })
}

/// A value of an option that is on or off: `yes`, `no`, `true`, `false`.
///
/// # Errors
/// [`StoreError::InvalidArgument`] for any other text.
pub fn flag(name: &str, value: &str) -> Result<bool, StoreError> {
    match value {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => invalid(format!("the option `{name}` is `yes` or `no`, not `{value}`")),
    }
}
