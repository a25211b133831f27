//! The header of a redb 4 file: the length that the file should have, and whether it was closed.

use std::{error::Error, fmt, io};

use mnem_store_traits::{Cause, driver::AppendedBytes};
use redb::StorageBackend;

pub(crate) const PAGE: u64 = 4096;

/// Offsets of the fields of the header.
pub(crate) const FLAGS: usize = 9;
pub(crate) const PAGE_BYTES: usize = 12;
pub(crate) const REGION_HEADER_PAGES: usize = 16;
pub(crate) const REGION_PAGES: usize = 20;
pub(crate) const FULL_REGIONS: usize = 24;
pub(crate) const TRAILING_PAGES: usize = 28;
pub(crate) const FIELDS_END: usize = 32;

/// Length of the header: its fields and two commit slots.
const HEADER_BYTES: usize = 320;

/// Offsets of the two commit slots. Each begins with the version of the format.
const COMMITS: [u64; 2] = [64, 192];

/// The version of redb's format that this build reads.
pub(crate) const FORMAT: u8 = 3;

/// The latest version that is believed. redb raises the version by one; anything higher is overwritten bytes.
const LATER_FORMAT_MAX: u8 = 16;

/// The bit that says which commit slot is the last.
pub(crate) const LAST_COMMIT: u8 = 1;
/// The bits that say that the file was not closed cleanly, or that its last commit may not be durable. In either case
/// redb would repair the file, and refuse a damaged one.
pub(crate) const UNCLEAN: u8 = 2 | 8;

pub(crate) fn field(header: &[u8], at: usize) -> u32 {
    let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

pub(crate) fn set(header: &mut [u8], at: usize, value: u64) {
    if let Some(bytes) = header.get_mut(at..at + 4) {
        bytes.copy_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
    }
}

/// The whole header, with the checksums of the trees below it.
pub(crate) fn bytes(medium: &dyn StorageBackend) -> io::Result<[u8; HEADER_BYTES]> {
    let mut bytes = [0; HEADER_BYTES];
    medium.read(0, &mut bytes)?;
    Ok(bytes)
}

/// The length that the fields name, if redb can have written them.
fn said(header: &[u8]) -> Option<u64> {
    let [page, header_pages, pages, full, trailing] =
        [PAGE_BYTES, REGION_HEADER_PAGES, REGION_PAGES, FULL_REGIONS, TRAILING_PAGES]
            .map(|at| u64::from(field(header, at)));
    if page != PAGE || pages == 0 || trailing > pages || (full == 0 && trailing == 0) {
        return None;
    }
    let rest = if trailing > 0 { header_pages + trailing } else { 0 };
    full.checked_mul(header_pages + pages)?.checked_add(1 + rest)?.checked_mul(PAGE)
}

/// Whether the header says that the file was closed and that its last commit is durable.
pub(crate) fn is_closed(header: &[u8]) -> bool {
    header.get(FLAGS).is_some_and(|flags| flags & UNCLEAN == 0)
}

/// The version of redb's format, if it is a later one. Both commit slots name it; a version in one of them alone is
/// damage.
pub(crate) fn later_format(medium: &dyn StorageBackend) -> Option<u8> {
    let mut versions = [0; COMMITS.len()];
    for (version, at) in versions.iter_mut().zip(COMMITS) {
        medium.read(at, std::slice::from_mut(version)).ok()?;
    }
    let [first, second] = versions;
    let readable = Length::of(medium).is_ok_and(|length| length.header.is_some());
    (readable && first == second && (FORMAT + 1..=LATER_FORMAT_MAX).contains(&first)).then_some(first)
}

/// The length of a file, and the length that it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) file: u64,
    /// The length that its header says, if the header can be read.
    pub(crate) header: Option<u64>,
    /// Whether the file was closed. Until then it may be longer than its header says.
    pub(crate) clean: bool,
}

impl Length {
    pub(crate) fn of(medium: &dyn StorageBackend) -> io::Result<Self> {
        let file = medium.len()?;
        let mut header = [0; FIELDS_END];
        if file < header.len() as u64 {
            return Ok(Self { file, header: None, clean: false });
        }
        medium.read(0, &mut header)?;
        Ok(Self { file, header: said(&header), clean: is_closed(&header) })
    }

    /// Offset and number of the appended bytes, in a file that was closed.
    pub(crate) fn appended(self) -> Option<(u64, u64)> {
        self.header.filter(|said| self.clean && *said < self.file).map(|said| (said, self.file - said))
    }

    /// Whether the file was closed, with the length that its header says.
    pub(crate) fn is_closed(self) -> bool {
        self.clean && self.header == Some(self.file)
    }

    /// Whether the file was closed, with another length.
    pub(crate) fn changed(self) -> bool {
        self.clean && self.header.is_some_and(|said| said != self.file)
    }

    /// Whether the end of the file is missing. redb extends a file before the header says so, and truncates it
    /// afterwards.
    pub(crate) fn is_cut(self) -> bool {
        self.header.is_some_and(|said| self.file < said)
    }

    /// Gives the difference between the two lengths as the cause of damage.
    pub(crate) fn explain(self, cause: Option<Cause>) -> Option<Cause> {
        match self.header {
            // redb extends a file before the commit that needs it, which the header then covers.
            Some(store_bytes) if store_bytes < self.file => Some(Cause::new(AppendedBytes {
                store_bytes,
                appended_bytes: self.file - store_bytes,
                closed: self.clean,
                source: cause,
            })),
            Some(said) if said == self.file => None,
            None if self.file >= HEADER_BYTES as u64 => None,
            _ => Some(Cause::new(CutOff { length: self, cause })),
        }
    }
}

/// The end of the file is missing.
#[derive(Debug)]
struct CutOff {
    length: Length,
    cause: Option<Cause>,
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.length.file;
        match self.length.header {
            None => write!(f, "the file is truncated: it has {file} bytes, less than its header of {HEADER_BYTES}"),
            Some(said) => {
                let missing = said.saturating_sub(file);
                write!(f, "the file is shorter than its header says by {missing} bytes: it was truncated")
            }
        }
    }
}

impl Error for CutOff {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

/// Whether these bytes are all zeros.
pub(crate) fn is_zeros(medium: &dyn StorageBackend, from: u64, bytes: u64) -> io::Result<bool> {
    const PART: u64 = 1 << 16;
    let mut part = vec![0; PART as usize];
    let (mut at, end) = (from, from + bytes);
    while at < end {
        let some = (end - at).min(PART);
        let part = part.get_mut(..some as usize).unwrap_or_default();
        medium.read(at, part)?;
        if part.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += some;
    }
    Ok(true)
}
