//! Options for opening a store.

use std::{collections::BTreeMap, time::Duration};

use super::{Driver, Location};
use crate::{Durability, StoreError};

/// Who else may have the store open. All handles of a store must use values that are compatible.
///
/// A driver whose stores can always be shared, such as one of plain files, ignores this value.
/// [`OpenOptions::exclusive`] keeps other writers out with every driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// One writing handle and no other, or any number of read-only handles.
    #[default]
    ExclusiveWriter,
    /// One writing handle, and any number of read-only handles that follow it.
    SingleWriter,
    /// Any number of writing and read-only handles; writers take turns.
    MultiWriter,
}

/// Options for opening a store, common to all drivers. Options of a single driver are [set by name](Self::set).
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

/// The requested options, for a [`Driver`].
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
    /// See [`OpenOptions::check_for_reading`]. `check` is then set too.
    pub check_for_reading: bool,
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
    /// The defaults: an existing store, for reading and writing, with the highest durability of its driver.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a store if there is none. Never overwrites.
    pub fn create(mut self, yes: bool) -> Self {
        self.0.create = yes;
        self
    }

    /// Creates a store, and fails with [`StoreError::InvalidArgument`] if there is one already.
    ///
    /// Of several callers that create the same store at the same moment, only the one that made it gets `Ok`. Law:
    /// `one_creator_of_a_new_store_made_it`.
    pub fn create_new(mut self, yes: bool) -> Self {
        self.0.create_new = yes;
        self
    }

    /// Opens the store without ever writing to it. Writes fail with [`StoreError::ReadOnly`].
    pub fn read_only(mut self, yes: bool) -> Self {
        self.0.read_only = yes;
        self
    }

    /// Keeps every other handle, of this process or another, from writing while this one is open. If one already has
    /// the store open for writing, opening fails with [`StoreError::Locked`]; so does a later open for writing. Not for
    /// read-only handles.
    ///
    /// A store without locks, such as one in a bucket, cannot keep others out. There, a write of this handle fails with
    /// [`StoreError::Locked`] and changes nothing if another handle has written since this one was opened.
    pub fn exclusive(mut self, yes: bool) -> Self {
        self.0.exclusive = yes;
        self
    }

    /// Checks the structure of the whole store while opening it, even if the driver would not.
    pub fn check(mut self, yes: bool) -> Self {
        (self.0.check, self.0.check_for_reading) = (yes, false);
        self
    }

    /// As [`check`](Self::check), but the driver may leave out what no read depends on, such as lists of free space. An
    /// absence that such a handle reports is as certain as after a full check. Never weakens a full check: after
    /// `check(true)` this changes nothing.
    pub fn check_for_reading(mut self, yes: bool) -> Self {
        let is_full = self.0.check && !self.0.check_for_reading;
        if !is_full {
            (self.0.check, self.0.check_for_reading) = (yes, yes);
        }
        self
    }

    /// Opens a damaged store, read-only, to read what is left of it.
    ///
    /// Nothing is checked, repaired or recovered, and parts may be missing. Blocks are still hashed, so returned bytes
    /// are right. But the absence of a block, a head or a row proves nothing, and rows of side tables may have wrong
    /// values, because no hash protects them. A listing returns an error for each place that it cannot read, and
    /// continues after it. Implies [`read_only`](Self::read_only).
    pub fn lenient(mut self, yes: bool) -> Self {
        self.0.lenient = yes;
        self
    }

    /// The time to wait for a lock that another handle holds, before [`StoreError::Locked`]. The driver's default
    /// unless set.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.0.lock_wait = Some(wait);
        self
    }

    /// The memory for a cache in bytes, if the driver has one. The driver's default unless set.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.0.cache_bytes = Some(bytes);
        self
    }

    /// The failures that a write must survive once it returned `Ok`. The default is the highest level of the driver; a
    /// location that cannot provide it is refused. [`Durability::Process`] also accepts a file system that cannot sync
    /// folders; the driver may provide more than requested. The store's capabilities report its level.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.0.durability = Some(durability);
        self
    }

    /// Who else may have the store open. See [`Sharing`].
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.0.sharing = sharing;
        self
    }

    /// Opens a store even if its file system has no file locks. A driver that needs locks refuses.
    ///
    /// No other process may have the store open meanwhile, not even for reading: two writers destroy it. If there are
    /// locks, they are still taken. Cannot be combined with a shared mode of [`Sharing`].
    pub fn without_locks(mut self, yes: bool) -> Self {
        self.0.without_locks = yes;
        self
    }

    /// The format of a new store, one of [`Driver::formats`]. An existing store of another format fails with
    /// [`StoreError::InvalidArgument`].
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.0.format = Some(format.into());
        self
    }

    /// Sets an option of a single driver; its documentation lists them. Drivers that do not know the name or the value
    /// fail with [`StoreError::InvalidArgument`].
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.set.insert(name.into(), value.into());
        self
    }

    /// The requested options. For drivers.
    pub fn requested(&self) -> &Requested {
        &self.0
    }
}

impl Requested {
    /// Whether a store may be created.
    pub fn may_create(&self) -> bool {
        self.create || self.create_new
    }

    /// Whether the handle never writes.
    pub fn never_writes(&self) -> bool {
        self.read_only || self.lenient
    }

    /// Refuses options that no driver supports, and a format that `driver` does not have. Call it at the start of
    /// [`Driver::open`].
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`] names the options that exclude each other, or lists the formats.
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

    /// Refuses options that exclude each other for every driver.
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

    /// Refuses options set by name that are not in `known`.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`] lists the known names.
    pub fn check_names(&self, driver: &dyn Driver, known: &[&str]) -> Result<(), StoreError> {
        let Some(unknown) = self.set.keys().find(|name| !known.contains(&&***name)) else { return Ok(()) };
        let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has `{}`", known.join("`, `")) };
        invalid(format!("the {} backend has no option `{unknown}`: {has}", driver.name()))
    }

    /// Fails if a store exists at `at` and a new one was requested.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`].
    pub fn check_existing(&self, driver: &dyn Driver, at: &Location) -> Result<(), StoreError> {
        if self.create_new { invalid(format!("{at} is already a {} store", driver.name())) } else { Ok(()) }
    }

    /// Fails if the store that was opened at `at` has another format than requested.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`].
    pub fn check_format(&self, found: &str, at: &Location) -> Result<(), StoreError> {
        match &self.format {
            Some(format) if format != found => {
                invalid(format!("the store at {at} has the format `{found}`, not `{format}`; a store keeps its format"))
            }
            _ => Ok(()),
        }
    }
}

fn invalid<T>(reason: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::InvalidArgument { operation: "open", reason: reason.into() })
}

/// Parses the value of a boolean option: `yes`, `no`, `true`, `false`.
///
/// # Errors
/// [`StoreError::InvalidArgument`] for any other text.
pub fn flag(name: &str, value: &str) -> Result<bool, StoreError> {
    match value {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => invalid(format!("the option `{name}` must be `yes` or `no`, not `{value}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_for_readers_never_weakens_a_full_one() {
        let checks = |options: OpenOptions| (options.0.check, options.0.check_for_reading);
        let [none, full, reading] = [(false, false), (true, false), (true, true)];
        let new = OpenOptions::new;
        for yes in [true, false] {
            assert_eq!(checks(new().check(true).check_for_reading(yes)), full, "{yes}");
            assert_eq!(checks(new().check_for_reading(yes).check(true)), full, "{yes}");
            assert_eq!(checks(new().check_for_reading(yes).check(false)), none, "{yes}");
        }
        assert_eq!(checks(new().check_for_reading(true)), reading);
        assert_eq!(checks(new().check(false).check_for_reading(true)), reading);
        assert_eq!(checks(new().check_for_reading(true).check_for_reading(false)), none);
    }
}
