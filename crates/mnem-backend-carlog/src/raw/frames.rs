//! Iterates over the sections of a segment, whatever happened to it.

use std::sync::Arc;

use mnem_car::SectionOffsets;
use mnem_store_traits::{
    backend::{HashCheck, check_hash},
    is_checkable,
};

use super::{search, window::Window};
use crate::{
    engine::{descriptor::HEADER_BYTES, files::File},
    limits::{BLOCK_BYTES_MAX, RAW_FAILED_FACTOR, RAW_SEARCH_BYTES},
};

/// Iterates over the sections of one segment. Where no section begins, it searches for the next one whose bytes match
/// its CID.
///
/// A section whose bytes do not match counts only if the next one begins at its end and does match: then its length is
/// right. What lies inside such a section is not searched, because the bytes of a block may be those of an archive.
#[derive(Debug)]
pub(super) struct Frames {
    window: Window,
    len: u64,
    /// The next section, if `is_in_step`; otherwise the next byte to search.
    offset: u64,
    is_in_step: bool,
    /// The end of the last section.
    passed: u64,
    /// Bytes hashed in vain.
    failed: u64,
    /// Bytes that belong to no section.
    skipped: u64,
}

/// A section of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) section: SectionOffsets,
    /// Whether the bytes match the CID.
    pub(super) is_whole: bool,
}

/// Result of a step.
pub(super) enum Step {
    Frame(Frame),
    /// The search continues.
    Searched,
    End,
}

/// What the bytes of a section are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    Right,
    Wrong,
    /// This build does not have the hash function.
    Unknown,
}

impl Frames {
    pub(super) fn new(file: Arc<dyn File>, len: u64) -> Self {
        let window = Window::new(file, len);
        Self { window, len, offset: HEADER_BYTES, is_in_step: true, passed: 0, failed: 0, skipped: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset.min(self.len)
    }

    /// The number of bytes so far that cannot be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.window.unreadable()
    }

    /// The number of bytes so far that belong to no section.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    #[cfg(test)]
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// The first bytes of a section's data.
    pub(super) fn begins_with(&mut self, section: &SectionOffsets, bytes: &[u8]) -> bool {
        section.data_bytes >= bytes.len() as u64 && self.window.read(section.data_offset, bytes.len()) == bytes
    }

    /// The data of a section.
    pub(super) fn data(&self, section: &SectionOffsets) -> Option<Vec<u8>> {
        self.window.claimed(section.data_offset, usize::try_from(section.data_bytes).ok()?)
    }

    pub(super) fn step(&mut self) -> Step {
        if self.offset >= self.len {
            self.skipped += self.len.saturating_sub(self.passed);
            self.passed = self.len;
            return Step::End;
        }
        if !self.is_in_step {
            return self.search();
        }
        if let Some(section) = self.section(self.offset)
            && let Some(is_whole) = self.in_step(&section)
        {
            return self.pass(section, is_whole);
        }
        self.is_in_step = false;
        // A section begins at least one byte before its CID.
        self.offset = self.passed + 1;
        Step::Searched
    }

    fn pass(&mut self, section: SectionOffsets, is_whole: bool) -> Step {
        // The header of a whole segment is no section either.
        if section.offset != HEADER_BYTES || self.passed != 0 {
            self.skipped += section.offset - self.passed;
        }
        (self.offset, self.passed, self.is_in_step) = (section.end(), section.end(), true);
        Step::Frame(Frame { section, is_whole })
    }

    /// Whether a section that begins where the one before ends is whole. `None` if it may not be a section.
    fn in_step(&mut self, section: &SectionOffsets) -> Option<bool> {
        let data = self.check(section);
        let is_followed = |frames: &mut Self| {
            section.end() == frames.len
                || frames.section_ahead(section.end()).is_some_and(|next| match frames.check(&next) {
                    Data::Right => true,
                    Data::Wrong => false,
                    Data::Unknown => data == Data::Unknown,
                })
        };
        (data == Data::Right || is_followed(self)).then_some(data == Data::Right)
    }

    /// The section at an offset, if it lies in the file and is not longer than any block.
    fn section(&mut self, offset: u64) -> Option<SectionOffsets> {
        let start = self.window.read(offset, SectionOffsets::START_BYTES_MAX);
        let section = SectionOffsets::parse(start, offset).ok()?;
        self.is_possible(&section).then_some(section)
    }

    /// The section at an offset that may lie far ahead. Does not move the window, which the search needs where it is.
    fn section_ahead(&self, offset: u64) -> Option<SectionOffsets> {
        let len = (self.len.saturating_sub(offset)).min(SectionOffsets::START_BYTES_MAX as u64);
        let start = self.window.claimed(offset, usize::try_from(len).ok()?)?;
        let section = SectionOffsets::parse(&start, offset).ok()?;
        self.is_possible(&section).then_some(section)
    }

    fn is_possible(&self, section: &SectionOffsets) -> bool {
        section.data_bytes <= BLOCK_BYTES_MAX && section.end() <= self.len
    }

    /// Hashes the data of a section. The bytes hashed in vain stay in proportion to those scanned; past this, a section
    /// counts as wrong.
    fn check(&mut self, section: &SectionOffsets) -> Data {
        if !is_checkable(&section.cid) {
            return Data::Unknown;
        }
        // By the end of the section, so that a large block that is damaged does not spend what the next one needs.
        let scanned = self.offset.max(section.offset);
        if self.failed + section.data_bytes > BLOCK_BYTES_MAX + scanned * RAW_FAILED_FACTOR {
            return Data::Wrong;
        }
        let data = self.data(section);
        if data.is_some_and(|data| check_hash(&section.cid, &data) == HashCheck::Match) {
            return Data::Right;
        }
        self.failed += section.data_bytes;
        Data::Wrong
    }

    /// Searches a stretch for a section whose bytes match its CID.
    fn search(&mut self) -> Step {
        let stretch_end = self.offset.saturating_add(RAW_SEARCH_BYTES as u64).min(self.len);
        while self.offset < stretch_end {
            let start = self.passed.max(self.offset.saturating_sub(search::LENGTH_BYTES_MAX));
            let before = (self.offset - start) as usize;
            let wanted = before + (stretch_end - self.offset) as usize + SectionOffsets::START_BYTES_MAX;
            let found = search::next(self.window.read(start, wanted), before);
            let Some(candidate) = found.filter(|found| start + (found.cid as u64) < stretch_end) else { break };
            self.offset = start + candidate.cid as u64 + 1;
            for section in candidate.sections(start).into_iter().flatten() {
                if self.is_possible(&section) && self.check(&section) == Data::Right {
                    return self.pass(section, true);
                }
            }
        }
        self.offset = stretch_end;
        Step::Searched
    }
}
