//! Opens a file with redb, with as much checking and repair as it needs.

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
    limits::VERIFY_CACHE_BYTES,
};

/// How far an attempt to open goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Verify everything, repair if necessary.
    Checked,
    /// Repair if the last close was not clean, which also verifies everything.
    Plain,
    /// Give up if the last close was not clean.
    OnlyIfClean,
}

/// The result of an attempt.
pub(crate) enum Attempted {
    /// The database, and whether the file had been closed, so that nothing was repaired.
    Opened(Database, bool),
    /// The last close was not clean.
    Unclean,
    /// redb panicked or reported corruption before it had verified the file.
    Suspect(StoreError),
}

impl Attempt {
    pub(crate) fn first(options: &OpenOptions) -> Self {
        match options.check {
            Check::Always | Check::Pages => Self::Checked,
            Check::Auto if !options.fast_recovery => Self::OnlyIfClean,
            Check::Auto | Check::Never | Check::AsItIs => Self::Plain,
        }
    }

    pub(crate) fn run(self, at: At<'_>, options: &OpenOptions, seam: &Seam) -> Result<Attempted, StoreError> {
        // redb calls this before it repairs a file or verifies all of it.
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
                // Unwinding dropped redb's objects, but possibly not its locks.
                let _ = seam.shut();
                let error = at.panicked(panic);
                if self == Self::Checked { Err(error) } else { Ok(Attempted::Suspect(error)) }
            }
        }
    }
}

/// Whether every page of the last commit has the checksum that the page above it names. Writes nothing.
pub(crate) fn pages_match(seam: &Seam) -> bool {
    // redb has no call for this alone. It begins a repair with it, and reports the progress of a repair after each pass:
    // more than half if the last commit is sound, less if it is not and the commit before it is next.
    let progress = Rc::new(Cell::new(0.0));
    let noted = Rc::clone(&progress);
    let mut builder = Database::builder();
    builder.set_cache_size(VERIFY_CACHE_BYTES).set_check_integrity_on_open(true).set_repair_callback(move |session| {
        noted.set(session.progress());
        if session.progress() > 0.0 {
            session.abort();
        }
    });
    match contain(|| builder.create_with_backend(seam.clone())) {
        Ok(opened) => matches!(opened, Err(DatabaseError::RepairAborted)) && progress.get() > 0.5,
        Err(_) => {
            let _ = seam.shut();
            false
        }
    }
}

/// A database over a staged medium.
pub(crate) struct Staged {
    pub(crate) database: Database,
    pub(crate) seam: Seam,
    /// The file had been closed and needed no repair, so everything in it is durable.
    pub(crate) was_closed: bool,
}

/// Opens for writing with everything staged. Verifies and repairs the file as often as necessary.
pub(crate) fn open_repaired(
    at: At<'_>,
    options: &OpenOptions,
    medium: Medium,
    locks: Locks,
) -> Result<Staged, StoreError> {
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let length = Length::of(&*medium).map_err(failed)?;
    // The file of another open handle is expected to be unclean, so do not log that.
    let was_left = length.file > 0 && !length.clean && !matches!(locks, Locks::OwnedByOther);
    let mut attempt = Attempt::first(options);
    loop {
        let seam = Seam::staged(Arc::clone(&medium), locks).map_err(failed)?;
        match attempt.run(at, options, &seam)? {
            Attempted::Opened(database, whole) => {
                if was_left {
                    tracing::info!(path = %at.path.display(), "store was not closed cleanly: it was repaired");
                }
                // The lock is held and nothing is written yet, so this is the length that the last handle left.
                let left = Length::of(&*medium).map_err(failed)?;
                return Ok(Staged { database, seam, was_closed: whole && left.is_closed() });
            }
            Attempted::Unclean => attempt = Attempt::Checked,
            Attempted::Suspect(error) if attempt == Attempt::Checked => return Err(error),
            Attempted::Suspect(_) => attempt = Attempt::Checked,
        }
    }
}

/// Opens a second database over a medium whose first database refuses to go on, under the locks of the first and
/// repaired in memory.
pub(crate) fn reopen_repaired(medium: Medium, path: &Path, options: &OpenOptions) -> Result<Staged, StoreError> {
    let at = At { path, operation: "continue reading after a failure of" };
    let options = options.clone().check(Check::Always).sharing(Sharing::ExclusiveWriter);
    open_repaired(at, &options, medium, Locks::OwnedByOther)
}
