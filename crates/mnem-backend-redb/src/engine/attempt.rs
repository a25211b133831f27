//! Opening a file with redb: how much of it is checked and repaired.

use std::{cell::Cell, path::Path, rc::Rc, sync::Arc};

use mnem_store_traits::{Outcome, StoreError, driver::Sharing};
use redb::{Database, DatabaseError};

use crate::{
    Check, OpenOptions,
    engine::{
        header::Length,
        medium::{Locks, Medium, Seam},
    },
    error::{At, contain},
};

/// How far an attempt to open goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Verify everything, repair if need be.
    Checked,
    /// Repair if the last close was not clean, which verifies everything too.
    Plain,
    /// Give up if the last close was not clean.
    OnlyIfClean,
}

/// What came of an attempt.
pub(crate) enum Attempted {
    /// And whether the file had been closed, so that nothing was repaired.
    Opened(Database, bool),
    /// The last close was not clean.
    Unclean,
    /// redb panicked or called the file corrupt before it had verified it.
    Suspect(StoreError),
}

impl Attempt {
    pub(crate) fn first(options: &OpenOptions) -> Self {
        match options.check {
            Check::Always => Self::Checked,
            Check::Auto if !options.fast_recovery => Self::OnlyIfClean,
            Check::Auto | Check::Never | Check::AsItIs => Self::Plain,
        }
    }

    pub(crate) fn run(self, at: At<'_>, options: &OpenOptions, seam: &Seam) -> Result<Attempted, StoreError> {
        // redb calls it before it repairs a file, or verifies all of it.
        let repairs = Rc::new(Cell::new(false));
        let noted = Rc::clone(&repairs);
        let mut builder = Database::builder();
        builder
            .set_cache_size(options.cache_bytes)
            .set_concurrency_mode(crate::options::mode(options.sharing))
            .set_check_integrity_on_open(self == Self::Checked)
            .set_repair_callback(move |session| {
                noted.set(true);
                if self == Self::OnlyIfClean {
                    session.abort();
                }
            });
        let opened = contain(|| builder.create_with_backend(seam.clone()));
        match opened {
            Ok(Ok(database)) => Ok(Attempted::Opened(database, !repairs.get())),
            Ok(Err(DatabaseError::RepairAborted)) if repairs.get() => Ok(Attempted::Unclean),
            Ok(Err(error)) => match at.redb(error) {
                error @ StoreError::Damaged { .. } if self != Self::Checked => Ok(Attempted::Suspect(error)),
                error => Err(error),
            },
            Err(panic) => {
                // What redb held was dropped by the unwinding; its locks may not have been.
                let _ = seam.shut();
                let error = at.panicked(panic);
                if self == Self::Checked { Err(error) } else { Ok(Attempted::Suspect(error)) }
            }
        }
    }
}

/// A database over a staged medium.
pub(crate) struct Staged {
    pub(crate) database: Database,
    pub(crate) seam: Seam,
    /// The file was closed, and nothing had to be repaired: all that it holds is durable.
    pub(crate) was_closed: bool,
}

/// Opens for writing, with everything staged, and checks and repairs the file as often as it takes.
pub(crate) fn open_repaired(
    at: At<'_>,
    options: &OpenOptions,
    medium: Medium,
    locks: Locks,
) -> Result<Staged, StoreError> {
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let length = Length::of(&*medium).map_err(failed)?;
    // The file of a handle that is still open was not closed, and nobody wonders.
    let was_left = length.file > 0 && !length.clean && !matches!(locks, Locks::OwnedByOther);
    let mut attempt = Attempt::first(options);
    loop {
        let seam = Seam::staged(Arc::clone(&medium), locks).map_err(failed)?;
        match attempt.run(at, options, &seam)? {
            Attempted::Opened(database, whole) => {
                if was_left {
                    tracing::info!(path = %at.path.display(), "store was not closed cleanly: it was repaired");
                }
                // Under the lock, and nothing is written yet: this is how the file was left.
                let left = Length::of(&*medium).map_err(failed)?;
                return Ok(Staged { database, seam, was_closed: whole && left.is_closed() });
            }
            Attempted::Unclean => attempt = Attempt::Checked,
            Attempted::Suspect(error) if attempt == Attempt::Checked => return Err(error),
            Attempted::Suspect(_) => attempt = Attempt::Checked,
        }
    }
}

/// A second database over a medium whose first one refuses to go on, under the locks of the first and repaired in memory.
pub(crate) fn reopen_repaired(medium: Medium, path: &Path, options: &OpenOptions) -> Result<Staged, StoreError> {
    let at = At { path, operation: "read on after a failure of" };
    let options = options.clone().check(Check::Always).sharing(Sharing::ExclusiveWriter);
    open_repaired(at, &options, medium, Locks::OwnedByOther)
}
