//! Reads a segment from one end to the other.

use std::io;

use mnem_car::SectionOffsets;

use super::files::File;
use crate::limits::WINDOW_BYTES;

/// A part of a file in memory, which moves forward with the reads.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    file: &'a dyn File,
    /// No read goes past this offset.
    end: u64,
    /// The number of bytes that are read at once.
    step: usize,
    start: u64,
    bytes: Vec<u8>,
}

/// The bytes that a window has in memory, for another window on the same file.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// A window on the file, up to `end`.
    pub(crate) fn new(file: &'a dyn File, end: u64) -> Self {
        Self { file, end, step: WINDOW_BYTES, start: 0, bytes: Vec::new() }
    }

    /// A window that has seen these bytes of the file already, and reads `step` bytes at once.
    pub(crate) fn go_on(file: &'a dyn File, end: u64, step: usize, Seen { start, bytes }: Seen) -> Self {
        Self { file, end, step, start, bytes }
    }

    pub(crate) fn into_seen(self) -> Seen {
        Seen { start: self.start, bytes: self.bytes }
    }

    /// Another window on the same file.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.file, self.end)
    }

    /// The offset past which no read goes.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Reads up to `len` bytes at `offset`. Returns fewer only at the end.
    pub(crate) fn read(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let wanted = len.min(usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX));
        let has = |window: &Self| {
            let at = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            window.bytes.get(at..at.checked_add(wanted)?)?;
            Some(at)
        };
        let at = match has(self) {
            Some(at) => at,
            None => {
                self.fill(offset, wanted)?;
                0
            }
        };
        Ok(self.bytes.get(at..(at + wanted).min(self.bytes.len())).unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, wanted: usize) -> io::Result<()> {
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = wanted.max(self.step).min(left);
        self.start = offset;
        // After a failed read, old bytes must not pass for bytes of the file.
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        if bytes.capacity() > 2 * self.step.max(len) {
            bytes = Vec::new();
        }
        bytes.resize(len, 0);
        let read = self.file.read_at(&mut bytes, offset)?;
        bytes.truncate(read);
        self.bytes = bytes;
        Ok(())
    }

    /// The section that begins at `offset`, if it ends within the file.
    pub(crate) fn section(&mut self, offset: u64) -> io::Result<Option<SectionOffsets>> {
        let end = self.end;
        let start = self.read(offset, SectionOffsets::START_BYTES_MAX)?;
        Ok(SectionOffsets::parse(start, offset).ok().filter(|section| section.end() <= end))
    }

    /// Passes all bytes of a section to `f`, piece by piece.
    pub(crate) fn pieces(&mut self, section: &SectionOffsets, mut f: impl FnMut(&[u8])) -> io::Result<()> {
        let mut offset = section.offset;
        while offset < section.end() {
            let len = usize::try_from(section.end() - offset).unwrap_or(usize::MAX).min(WINDOW_BYTES);
            let piece = self.read(offset, len)?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            f(piece);
            offset += piece.len() as u64;
        }
        Ok(())
    }
}
