//! Pages of an index run: 4 KiB each, with a MAC, and cached in memory within a budget.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    files::File,
    keys::{Keys, ShortMac},
};

/// The size of a page in bytes.
pub(crate) const PAGE_BYTES: usize = 4096;

/// The size of a page without its MAC, in bytes.
pub(crate) const PAYLOAD_BYTES: usize = PAGE_BYTES - size_of::<ShortMac>();

/// The content of a page without the MAC, which was checked.
pub(crate) type Payload = Box<[u8]>;

/// Why a run gives no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// A system call failed.
    Io { path: PathBuf, error: io::Error },
    /// The bytes of the run with this number are not what this store wrote.
    Damaged { run: u64, why: &'static str },
}

/// The file of a run.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) run: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) keys: Keys,
}

impl Pages {
    /// Reads a page and checks it.
    pub(crate) fn read(&self, page: u64) -> Result<Payload, NoAnswer> {
        let mut bytes = vec![0; PAGE_BYTES];
        self.read_into(page, &mut bytes)?;
        self.check(page, &bytes)?;
        bytes.truncate(PAYLOAD_BYTES);
        Ok(bytes.into())
    }

    /// Reads whole pages, starting at `page`, without checking them.
    pub(crate) fn read_into(&self, page: u64, bytes: &mut [u8]) -> Result<(), NoAnswer> {
        let read = self.file.read_at(bytes, page * PAGE_BYTES as u64);
        let read = read.map_err(|error| NoAnswer::Io { path: self.path.clone(), error })?;
        if read < bytes.len() { Err(self.damaged("it is cut off")) } else { Ok(()) }
    }

    /// Checks a page that was read, and returns its payload.
    pub(crate) fn check<'a>(&self, page: u64, bytes: &'a [u8]) -> Result<&'a [u8], NoAnswer> {
        match bytes.split_at_checked(PAYLOAD_BYTES) {
            Some((payload, mac)) if self.keys.page_mac(self.run, page, payload) == *mac => Ok(payload),
            _ => Err(self.damaged("a page does not match its MAC")),
        }
    }

    pub(crate) fn damaged(&self, why: &'static str) -> NoAnswer {
        NoAnswer::Damaged { run: self.run, why }
    }
}

/// A memory limit for cached pages, in bytes, shared by all runs of a handle.
#[derive(Debug)]
pub(crate) struct Budget(AtomicUsize);

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A range of consecutive pages. Each page that was read stays in memory as long as the budget allows.
#[derive(Debug)]
pub(crate) struct Resident {
    first: u64,
    pages: Box<[OnceLock<Payload>]>,
    /// `None` means no limit.
    budget: Option<Arc<Budget>>,
}

impl Resident {
    pub(crate) fn new(first: u64, count: u64, budget: Option<Arc<Budget>>) -> Self {
        let pages = (0..count).map(|_| OnceLock::new()).collect();
        Self { first, pages, budget }
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.len()
    }

    /// Passes the page `at`, counted from the first of this range, to `f`.
    pub(crate) fn with<R>(&self, file: &Pages, at: usize, f: impl FnOnce(&[u8]) -> R) -> Result<R, NoAnswer> {
        let slot = self.pages.get(at).ok_or_else(|| file.damaged("it has fewer pages than its header says"))?;
        if let Some(payload) = slot.get() {
            return Ok(f(payload));
        }
        let payload = file.read(self.first + at as u64)?;
        let result = f(&payload);
        let may_stay = self.budget.as_ref().is_none_or(|budget| budget.take(PAGE_BYTES));
        // Another thread may have stored it first.
        if may_stay && slot.set(payload).is_err() {
            self.give_back(1);
        }
        Ok(result)
    }

    fn give_back(&self, pages: usize) {
        if let Some(budget) = &self.budget {
            budget.give_back(pages * PAGE_BYTES);
        }
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.give_back(self.pages.iter().filter(|page| page.get().is_some()).count());
    }
}
