//! The input of a reader: counts bytes, ends where the payload ends, and allocates only as bytes arrive.

use std::io::{self, BufRead as _, BufReader, Read};

use crate::foreign::LOOK_BYTES;

/// Memory is allocated in steps of at least this many bytes, as they arrive.
const STEP: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Source<R> {
    input: BufReader<R>,
    offset: u64,
    /// End of the payload, if that is before the end of the input.
    end: Option<u64>,
    /// The bytes since the mark, up to [`LOOK_BYTES`].
    look: Vec<u8>,
}

impl<R: Read> Source<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(STEP, input),
            offset: 0,
            end: None,
            look: Vec::with_capacity(LOOK_BYTES),
        }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Makes the input end at this offset, or at its own end if `None`.
    pub(crate) fn end_at(&mut self, end: Option<u64>) {
        self.end = end;
    }

    /// Starts recording bytes for [`look`](Self::look).
    pub(crate) fn mark(&mut self) {
        self.look.clear();
    }

    /// The bytes since the mark, up to [`LOOK_BYTES`]; reads more if necessary. Fewer if the input ends or cannot be
    /// read.
    pub(crate) fn look(&mut self) -> &[u8] {
        let mut more = [0; LOOK_BYTES];
        let missing = LOOK_BYTES - self.look.len();
        if let Some(more) = more.get_mut(..missing) {
            // Only needed to name a fault that was already found.
            let _ = self.fill(more);
        }
        &self.look
    }

    /// Bytes up to the end of the payload, if that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.offset))
    }

    /// Reads into `buffer` until it is full or the input ends. Returns the number of bytes read.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.remaining().map_or(buffer.len(), |n| usize::try_from(n).unwrap_or(usize::MAX));
        let wanted = allowed.min(buffer.len());
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..wanted).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(n) => {
                    let wanted = LOOK_BYTES - self.look.len();
                    self.look.extend(rest.iter().take(n.min(wanted)));
                    filled += n;
                    self.offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    /// Reads the next byte. `None` at the end.
    pub(crate) fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.fill(&mut byte)? == 1).then_some(byte[0]))
    }

    /// Reads the next `len` bytes, or as many as there are. The allocated memory never exceeds twice the bytes that
    /// have arrived, plus one step.
    pub(crate) fn take(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut taken = Vec::new();
        while taken.len() < len {
            let before = taken.len();
            let step = (len - before).min(before.max(STEP));
            taken.try_reserve_exact(step).map_err(|_| io::ErrorKind::OutOfMemory)?;
            taken.resize(before + step, 0);
            let filled = self.fill(taken.get_mut(before..).unwrap_or_default())?;
            if filled < step {
                taken.truncate(before + filled);
                break;
            }
        }
        Ok(taken)
    }

    /// Skips the next `len` bytes, or as many as there are. Returns their number.
    pub(crate) fn skip(&mut self, len: u64) -> io::Result<u64> {
        let mut passed = 0;
        while passed < len {
            let arrived = self.arrived()?;
            let step = arrived.len().min(usize::try_from(len - passed).unwrap_or(usize::MAX));
            if step == 0 {
                break;
            }
            let wanted = step.min(LOOK_BYTES - self.look.len());
            self.look.extend(self.input.buffer().iter().take(wanted));
            self.input.consume(step);
            self.offset += step as u64;
            passed += step as u64;
        }
        Ok(passed)
    }

    /// Skips up to `len` zeros. Returns their number.
    pub(crate) fn zeros(&mut self, len: u64) -> io::Result<u64> {
        let mut passed = 0;
        while passed < len {
            let arrived = self.arrived()?;
            let allowed = arrived.len().min(usize::try_from(len - passed).unwrap_or(usize::MAX));
            let zeros = arrived.iter().take(allowed).take_while(|byte| **byte == 0).count();
            self.input.consume(zeros);
            self.offset += zeros as u64;
            passed += zeros as u64;
            if zeros == 0 || zeros < allowed {
                break;
            }
        }
        Ok(passed)
    }

    /// The next byte, without consuming it.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.arrived()?.first().copied())
    }

    /// Whether the input, or the payload, has no more bytes.
    pub(crate) fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.arrived()?.is_empty())
    }

    /// The buffered bytes, read if necessary; empty at the end.
    fn arrived(&mut self) -> io::Result<&[u8]> {
        let allowed = self.remaining().map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if allowed == 0 {
            return Ok(&[]);
        }
        while let Err(error) = self.input.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        // This does not read: the buffer holds bytes, or the input has ended.
        let arrived = self.input.buffer();
        Ok(arrived.get(..allowed).unwrap_or(arrived))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_what_arrives() {
        for (there, wanted) in [(0, 1 << 40), (10, 1 << 40), (STEP, STEP + 1), (5 * STEP + 3, 1 << 30)] {
            let taken = Source::new(io::repeat(1).take(there as u64)).take(wanted).unwrap();
            assert_eq!(taken.len(), there);
            assert!(taken.capacity() <= 2 * there + STEP, "{} for {there}", taken.capacity());
        }
    }

    #[test]
    fn a_whole_section_takes_its_own_size() {
        for len in [0, 1, 300, STEP, STEP + 1, 7 * STEP + 5] {
            let taken = Source::new(io::repeat(1)).take(len).unwrap();
            assert_eq!((taken.len(), taken.capacity()), (len, len));
        }
    }
}
