//! Syncs that are put off until something depends on them: of a longer file, and of the mark of an open one.
//!
//! redb makes the file longer in the middle of a transaction and syncs it at once, under a lock that every new reader
//! takes. Nothing depends on that sync before the next header: the header alone says how long the file is, and pages at
//! the new end are in use only once a header names them. So the sync is carried out just before the next header is
//! written, where redb holds no lock of a reader. To the disk nothing changes but that pages may come before it.
//!
//! redb marks a file as open before it writes anything else, and syncs that. A file without the mark is whole all the
//! same while its new pages lie where it had free ones: the header and the record of free pages are still those of the
//! last close. Only bytes beyond its end would be taken for somebody else's, so the mark is synced before those.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far the length of the file is known to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Durable,
    /// The last call made the file longer. If a sync comes next, it is the one to put off.
    JustGrown,
    /// A sync was put off.
    Owed,
}

/// The length of a file that this process has to itself.
#[derive(Debug)]
pub(crate) struct Growth {
    puts_off: bool,
    length: Mutex<Length>,
    /// The length of a file whose mark is not durable.
    unmarked: Mutex<Option<u64>>,
}

impl Growth {
    /// Puts syncs off, or leaves them where they are.
    pub(crate) fn new(puts_off: bool) -> Self {
        Self { puts_off, length: Mutex::new(Length::Durable), unmarked: Mutex::new(None) }
    }

    /// Whether syncs are put off.
    pub(crate) fn puts_off(&self) -> bool {
        self.puts_off
    }

    /// The mark of an open file of this length was written, and is not durable.
    pub(crate) fn marked(&self, len: u64) {
        *self.unmarked() = Some(len);
    }

    fn unmarked(&self) -> MutexGuard<'_, Option<u64>> {
        self.unmarked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn length(&self) -> MutexGuard<'_, Length> {
        self.length.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The length of the file was set.
    pub(crate) fn resized(&self, longer: bool) {
        let mut length = self.length();
        match *length {
            _ if longer && self.puts_off => *length = Length::JustGrown,
            // A shorter file needs no sync before its header; the one before may.
            Length::JustGrown => *length = Length::Owed,
            Length::Durable | Length::Owed => {}
        }
    }

    /// Whether something has to be durable before this write: the length before a header, which names it; the mark
    /// before bytes beyond the end.
    pub(crate) fn needs_sync_before(&self, offset: u64, bytes: usize) -> bool {
        let mut length = self.length();
        if offset > 0 && *length == Length::JustGrown {
            *length = Length::Owed;
        }
        let grows = self.unmarked().is_some_and(|len| len < offset.saturating_add(bytes as u64));
        grows || (offset == 0 && *length != Length::Durable)
    }

    /// Whether the requested sync can be deferred.
    pub(crate) fn put_off(&self) -> bool {
        let mut length = self.length();
        let waits = *length == Length::JustGrown;
        if waits {
            *length = Length::Owed;
        }
        waits
    }

    /// Everything so far is durable.
    pub(crate) fn synced(&self) {
        *self.length() = Length::Durable;
        *self.unmarked() = None;
    }
}
