//! Deferred syncs: of a longer file, and of the mark that says the file is open.
//!
//! redb extends the file in the middle of a transaction and syncs it at once, under a lock that every new reader takes.
//! Nothing depends on that sync before the next header write: only the header says how long the file is, and pages at
//! the new end are in use only once a header names them. So the sync runs just before the next header write, where redb
//! holds no lock of a reader. On disk only one thing changes: pages may arrive before the new length does.
//!
//! redb marks a file as open before it writes anything else, and syncs the mark. As long as new pages go only to free
//! pages, a file without the mark is still whole, because its header and its record of free pages are those of the last
//! close. Only bytes beyond its end would look like those of another program, so the mark is synced before such bytes
//! are written.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much of the file's length is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Durable,
    /// The last call extended the file. If a sync comes next, defer it.
    JustGrown,
    /// A sync was deferred.
    Owed,
}

/// The length of a file that this process has to itself.
#[derive(Debug)]
pub(crate) struct Growth {
    puts_off: bool,
    length: Mutex<Length>,
    /// The length of the file, while its mark is not durable.
    unmarked: Mutex<Option<u64>>,
}

impl Growth {
    /// With `puts_off`, syncs are deferred; otherwise they run at once.
    pub(crate) fn new(puts_off: bool) -> Self {
        Self { puts_off, length: Mutex::new(Length::Durable), unmarked: Mutex::new(None) }
    }

    /// Whether syncs are deferred.
    pub(crate) fn puts_off(&self) -> bool {
        self.puts_off
    }

    /// Records that the mark was written to a file of this length, and is not durable.
    pub(crate) fn marked(&self, len: u64) {
        *self.unmarked() = Some(len);
    }

    fn unmarked(&self) -> MutexGuard<'_, Option<u64>> {
        self.unmarked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn length(&self) -> MutexGuard<'_, Length> {
        self.length.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the length of the file was set.
    pub(crate) fn resized(&self, longer: bool) {
        let mut length = self.length();
        match *length {
            _ if longer && self.puts_off => *length = Length::JustGrown,
            // A shorter file needs no sync before its header, but an earlier extension may.
            Length::JustGrown => *length = Length::Owed,
            Length::Durable | Length::Owed => {}
        }
    }

    /// Whether a sync must come before this write: of the length before a header, which names it; of the mark before
    /// bytes beyond the end.
    pub(crate) fn needs_sync_before(&self, offset: u64, bytes: usize) -> bool {
        let mut length = self.length();
        if offset > 0 && *length == Length::JustGrown {
            *length = Length::Owed;
        }
        let grows = self.unmarked().is_some_and(|len| len < offset.saturating_add(bytes as u64));
        grows || (offset == 0 && *length != Length::Durable)
    }

    /// Whether the requested sync can be deferred. If so, records that it is owed.
    pub(crate) fn put_off(&self) -> bool {
        let mut length = self.length();
        let waits = *length == Length::JustGrown;
        if waits {
            *length = Length::Owed;
        }
        waits
    }

    /// Records that everything so far is durable.
    pub(crate) fn synced(&self) {
        *self.length() = Length::Durable;
        *self.unmarked() = None;
    }
}
