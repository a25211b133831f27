//! The data after the payload of a CARv2. An index and zeros are allowed. Sections, another archive and anything else
//! are a fault, because the header then covers less than the file holds.

use std::io::{self, Read};

use crate::{
    error::CarFault,
    foreign,
    index::{self, Index},
    section_cid::{self, Framed},
    source::Source,
    v2::Payload,
    warning::{CarWarning, CarWarningKind},
};

/// A problem with the rest of the input.
pub(crate) enum TailError {
    Fault { fault: CarFault, offset: u64 },
    Io(io::Error),
}

impl From<io::Error> for TailError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the input to its end, from the end of the payload on.
pub(crate) fn read<R: Read>(source: &mut Source<R>, payload: Payload) -> Result<Vec<CarWarning>, TailError> {
    let mut tail = Tail { source, payload, warnings: Vec::new() };
    let end = match payload.index {
        Some(index) => tail.named_index(index)?,
        None => tail.no_index()?,
    };
    tail.end(end)?;
    Ok(tail.warnings)
}

struct Tail<'a, R> {
    source: &'a mut Source<R>,
    payload: Payload,
    warnings: Vec<CarWarning>,
}

impl<R: Read> Tail<'_, R> {
    /// Reads zeros up to the index, and the index. Returns the offset where the last part of the archive ends.
    fn named_index(&mut self, index: u64) -> Result<u64, TailError> {
        self.source.zeros(index - self.payload.end)?;
        let at = self.source.offset();
        if at < index && !self.source.is_at_end()? {
            return Err(self.stranger()?);
        }
        // The index was cut off, or never written. A faulty index begins with another byte.
        if self.source.is_at_end()? || self.source.peek()? == Some(0) {
            self.warn(CarWarningKind::IndexMissing, index);
            return Ok(self.payload.end);
        }
        self.source.mark();
        match index::read(self.source, self.payload.bytes())? {
            Index::Whole => {}
            Index::PastData => {
                let fault = CarFault::IndexPastData { data_end: self.payload.end };
                return Err(TailError::Fault { fault, offset: index });
            }
            Index::CutOff => self.warn(CarWarningKind::IndexCutOff, index),
            Index::Other => return Err(self.stranger_at(index)),
        }
        Ok(self.source.offset())
    }

    /// Reads zeros, and an index that the header does not name. It counts as an index only if all of it fits the
    /// payload.
    fn no_index(&mut self) -> Result<u64, TailError> {
        let end = self.payload.end;
        self.source.zeros(u64::MAX)?;
        if self.source.is_at_end()? {
            return Ok(end);
        }
        let at = self.source.offset();
        self.source.mark();
        match index::read(self.source, self.payload.bytes())? {
            Index::Whole => {
                self.warn(CarWarningKind::IndexNotNamed, at);
                Ok(self.source.offset())
            }
            _ => Err(self.stranger_at(at)),
        }
    }

    /// Reads zeros and the end of the input.
    fn end(&mut self, end: u64) -> Result<(), TailError> {
        self.source.zeros(u64::MAX)?;
        if !self.source.is_at_end()? {
            return Err(self.stranger()?);
        }
        let bytes = self.source.offset() - end;
        if bytes > 0 {
            self.warn(CarWarningKind::ZerosAtEnd { bytes }, end);
        }
        Ok(())
    }

    fn warn(&mut self, kind: CarWarningKind, offset: u64) {
        self.warnings.push(CarWarning { kind, offset });
    }

    /// The error for data that is not allowed here.
    fn stranger(&mut self) -> io::Result<TailError> {
        let at = self.source.offset();
        self.source.mark();
        Ok(self.stranger_at(at))
    }

    /// The error for data that is not allowed and begins at the mark, which is at this offset.
    fn stranger_at(&mut self, offset: u64) -> TailError {
        let Payload { start, end, .. } = self.payload;
        let look = self.source.look();
        let fault = match section_cid::framed(look) {
            Some(Framed::Header) => CarFault::SecondArchive,
            Some(Framed::Section(_)) => CarFault::Uncovered { data_offset: start, data_end: end },
            None => CarFault::Trailing { format: foreign::after_sections(look).unwrap_or(foreign::UNKNOWN) },
        };
        TailError::Fault { fault, offset }
    }
}
