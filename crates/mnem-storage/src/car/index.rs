//! The index of a CARv2, read to find its end and to tell it from sections. Nothing in it is used to find blocks.
//!
//! Both formats are sorted tables of offsets. A table is a number of buckets, and each bucket the width of its entries,
//! its length and the entries: a digest and the offset of a section from the start of the payload. `0x0400` is one
//! table; `0x0401` has one for each hash function. All numbers but the format's own are little-endian.

use std::io::{self, Read};

use super::{source::Source, varint::Varint};
use crate::limits::{INDEX_ENTRY_BYTES_MAX, INDEX_TABLES_MAX};

const SORTED: u64 = 0x0400;
const MULTIHASH_SORTED: u64 = 0x0401;

/// The offset at the end of each entry.
const OFFSET_BYTES: usize = 8;

/// What stands where an index may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// An index. Some of its entries may name sections past the end of the payload.
    Whole { past_data: u64 },
    /// The beginning of an index, and the end of the input.
    CutOff,
    /// Something else.
    Other,
}

/// Why an index was not read to its end.
enum Stop {
    Ended,
    Other,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Tables<'a, R> {
    source: &'a mut Source<R>,
    data_bytes: u64,
    past_data: u64,
}

/// Reads an index of a payload of `data_bytes`.
pub(super) fn read<R: Read>(source: &mut Source<R>, data_bytes: u64) -> io::Result<Index> {
    let mut tables = Tables { source, data_bytes, past_data: 0 };
    match tables.index() {
        Ok(()) => Ok(Index::Whole { past_data: tables.past_data }),
        Err(Stop::Ended) => Ok(Index::CutOff),
        Err(Stop::Other) => Ok(Index::Other),
        Err(Stop::Io(error)) => Err(error),
    }
}

impl<R: Read> Tables<'_, R> {
    fn index(&mut self) -> Result<(), Stop> {
        match self.format()? {
            SORTED => self.table(),
            MULTIHASH_SORTED => {
                for _ in 0..self.count()? {
                    self.number::<8>()?;
                    self.table()?;
                }
                Ok(())
            }
            _ => Err(Stop::Other),
        }
    }

    fn format(&mut self) -> Result<u64, Stop> {
        let mut varint = Varint::default();
        loop {
            let byte = self.source.byte()?.ok_or(Stop::Ended)?;
            if let Some(format) = varint.push(byte).map_err(|_| Stop::Other)? {
                return Ok(format);
            }
        }
    }

    fn table(&mut self) -> Result<(), Stop> {
        for _ in 0..self.count()? {
            self.bucket()?;
        }
        Ok(())
    }

    fn bucket(&mut self) -> Result<(), Stop> {
        let width = usize::try_from(u32::from_le_bytes(self.number()?)).map_err(|_| Stop::Other)?;
        let bytes = u64::from_le_bytes(self.number()?);
        if !(OFFSET_BYTES..=INDEX_ENTRY_BYTES_MAX).contains(&width) || !bytes.is_multiple_of(width as u64) {
            return Err(Stop::Other);
        }
        let mut entry = [0; INDEX_ENTRY_BYTES_MAX];
        let entry = entry.get_mut(..width).ok_or(Stop::Other)?;
        for _ in 0..bytes / width as u64 {
            self.exactly(entry)?;
            let offset = entry.last_chunk().copied().map_or(0, u64::from_le_bytes);
            self.past_data += u64::from(offset >= self.data_bytes);
        }
        Ok(())
    }

    fn count(&mut self) -> Result<u32, Stop> {
        let count = u32::from_le_bytes(self.number()?);
        if count <= INDEX_TABLES_MAX { Ok(count) } else { Err(Stop::Other) }
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        self.exactly(&mut bytes)?;
        Ok(bytes)
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), Stop> {
        if self.source.fill(buffer)? == buffer.len() { Ok(()) } else { Err(Stop::Ended) }
    }
}
