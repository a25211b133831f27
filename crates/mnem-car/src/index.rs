//! The index of a CARv2. It is read only to find its end and to distinguish it from sections, not to find blocks.
//!
//! Both formats are sorted tables of offsets. A table is a number of buckets; a bucket is the width of its entries, its
//! length and the entries; an entry is a digest and the offset of a section from the start of the payload. `0x0400` has
//! one table; `0x0401` has one per hash function. All numbers except the format's own are little-endian. The first
//! archives of version 2 have one table and no format number, among them the example of the specification.

use std::io::{self, Read};

use crate::{
    limits::{INDEX_ENTRY_BYTES_MAX, INDEX_TABLES_MAX},
    section_cid,
    source::Source,
};

/// `0x0400` as a varint.
const SORTED: [u8; 2] = [0x80, 0x08];

/// `0x0401` as a varint.
const MULTIHASH_SORTED: [u8; 2] = [0x81, 0x08];

/// Length of the offset at the end of each entry.
const OFFSET_BYTES: usize = 8;

/// The result of reading where an index may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// An index.
    Whole,
    /// An index that names a section past the end of the payload, or that was partly overwritten.
    PastData,
    /// The beginning of an index, followed by the end of the input.
    CutOff,
    /// Something else.
    Other,
}

/// The reason why an index was not read to its end.
enum Stop {
    Ended,
    PastData,
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
}

/// Reads an index of a payload of `data_bytes` bytes.
pub(crate) fn read<R: Read>(source: &mut Source<R>, data_bytes: u64) -> io::Result<Index> {
    match (Tables { source, data_bytes }).index() {
        Ok(()) => Ok(Index::Whole),
        Err(Stop::Ended) => Ok(Index::CutOff),
        Err(Stop::PastData) => Ok(Index::PastData),
        Err(Stop::Other) => Ok(Index::Other),
        Err(Stop::Io(error)) => Err(error),
    }
}

impl<R: Read> Tables<'_, R> {
    fn index(&mut self) -> Result<(), Stop> {
        match self.number()? {
            SORTED => {
                let buckets = self.count()?;
                self.table(buckets)
            }
            MULTIHASH_SORTED => {
                for _ in 0..self.count()? {
                    // The code of a hash function. No code is larger, but the bytes of a section would be.
                    if u64::from_le_bytes(self.number()?) > u64::from(u32::MAX) {
                        return Err(Stop::Other);
                    }
                    let buckets = self.count()?;
                    self.table(buckets)?;
                }
                Ok(())
            }
            [first, second] => {
                // Too few bytes to recognise an index.
                let [third, fourth] =
                    self.number().map_err(|stop| if let Stop::Ended = stop { Stop::Other } else { stop })?;
                match u32::from_le_bytes([first, second, third, fourth]) {
                    buckets @ 1..=INDEX_TABLES_MAX => self.table(buckets),
                    _ => Err(Stop::Other),
                }
            }
        }
    }

    fn table(&mut self, buckets: u32) -> Result<(), Stop> {
        (0..buckets).try_for_each(|_| self.bucket())
    }

    fn bucket(&mut self) -> Result<(), Stop> {
        let width = usize::try_from(u32::from_le_bytes(self.number()?)).map_err(|_| Stop::Other)?;
        if !(OFFSET_BYTES..=INDEX_ENTRY_BYTES_MAX).contains(&width) {
            return Err(Stop::Other);
        }
        let bytes = u64::from_le_bytes(self.number()?);
        let entries = bytes / width as u64;
        // A payload has fewer sections than bytes.
        if entries > self.data_bytes || !bytes.is_multiple_of(width as u64) {
            return Err(Stop::Other);
        }
        let mut entry = [0; INDEX_ENTRY_BYTES_MAX];
        let entry = entry.get_mut(..width).ok_or(Stop::Other)?;
        for _ in 0..entries {
            self.exactly(entry)?;
            if entry.last_chunk().copied().map_or(0, u64::from_le_bytes) >= self.data_bytes {
                return Err(Stop::PastData);
            }
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
        let filled = self.source.fill(buffer)?;
        match buffer.get(..filled) {
            Some(rest) if filled < buffer.len() => Err(if ends_in_sections(rest) { Stop::Other } else { Stop::Ended }),
            _ => Ok(()),
        }
    }
}

/// Whether the last bytes of the input are complete sections, which were appended to an index that had been cut off.
fn ends_in_sections(rest: &[u8]) -> bool {
    let are_sections = |mut rest: &[u8]| {
        while let Some(section_bytes) = section_cid::whole_at(rest) {
            rest = rest.get(section_bytes..).unwrap_or_default();
        }
        rest.is_empty()
    };
    (0..rest.len()).any(|at| rest.get(at..).is_some_and(are_sections))
}
