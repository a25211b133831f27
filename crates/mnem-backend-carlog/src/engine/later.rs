//! The search for a later record in a tail that is not a commit.

use std::io;

use mnem_car::SectionOffsets;

use super::{
    fields::Fields,
    keys::Keys,
    record::{MAGIC, Record},
    replay::may_be_record,
    walk::Window,
};
use crate::limits::{HASHED_PER_BYTE, WINDOW_BYTES};

/// A record later than the commit `seq`, written after everything before `from` had been synced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later {
    seq: u64,
    segment: u32,
    from: u64,
}

/// The result of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Yes,
    No,
    /// The tail has too many possible records to hash them all.
    Unknown,
}

impl Later {
    pub(crate) fn of(seq: u64, segment: u32, from: u64) -> Self {
        Self { seq, segment, from }
    }

    /// Checks every offset at which a record may begin, starting one byte before `from`.
    ///
    /// A block may consist of many beginnings of records that each claim the rest of the file. Real records do not
    /// overlap, so a bound of several times the length of the tail hides a real record only if there is such a block.
    pub(crate) fn find(self, keys: &Keys, window: &mut Window<'_>) -> io::Result<Found> {
        let mut offset = self.from.saturating_sub(1);
        let mut left = window.end().saturating_sub(offset).saturating_mul(HASHED_PER_BYTE);
        // A possible record is read from before and after the current piece, which stays in `window`.
        let mut probe = window.another();
        loop {
            let piece = window.read(offset, WINDOW_BYTES)?;
            for at in piece.windows(MAGIC.len()).enumerate().filter_map(|(at, bytes)| (bytes == MAGIC).then_some(at)) {
                let data_offset = offset + at as u64;
                let Some(claim) = self.claim(&mut probe, data_offset)? else { continue };
                let Some(rest) = left.checked_sub(claim.section.data_bytes) else { return Ok(Found::Unknown) };
                left = rest;
                if claim.is_record(keys, self.segment, &mut probe)? {
                    return Ok(Found::Yes);
                }
            }
            // The magic number may lie across two pieces.
            let step = piece.len().saturating_sub(MAGIC.len() - 1);
            if step == 0 {
                return Ok(Found::No);
            }
            offset += step as u64;
        }
    }

    /// The possible record whose data begin at `data_offset`.
    fn claim(self, window: &mut Window<'_>, data_offset: u64) -> io::Result<Option<Claim>> {
        let Some(fields) = Begin::of(window.read(data_offset, Begin::BYTES)?) else { return Ok(None) };
        let at = u64::from(fields.at);
        let is_near = at < data_offset && data_offset - at <= SectionOffsets::START_BYTES_MAX as u64;
        let is_later = fields.seq > self.seq && u64::from(fields.synced_to) >= self.from;
        if !is_near || !is_later {
            return Ok(None);
        }
        let section = window.section(at)?.filter(|section| section.data_offset == data_offset);
        let Some(section) = section else { return Ok(None) };
        Ok(may_be_record(window, &section)?.then_some(Claim { section }))
    }
}

/// The first fields of a record.
struct Begin {
    seq: u64,
    at: u32,
    synced_to: u32,
}

impl Begin {
    /// Up to `synced_to`.
    const BYTES: usize = MAGIC.len() + 8 + 4 * 4;

    fn of(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes.strip_prefix(&MAGIC)?);
        let (seq, at) = (fields.u64()?, fields.u32()?);
        let (_from, _puts, synced_to) = (fields.u32()?, fields.u32()?, fields.u32()?);
        Some(Self { seq, at, synced_to })
    }
}

/// A section that may be a record.
struct Claim {
    section: SectionOffsets,
}

impl Claim {
    /// Whether this store wrote the section as a record, regardless of the bytes before it.
    fn is_record(&self, keys: &Keys, segment: u32, window: &mut Window<'_>) -> io::Result<bool> {
        let SectionOffsets { offset, data_offset, data_bytes, .. } = self.section;
        let data = window.read(data_offset, usize::try_from(data_bytes).unwrap_or(usize::MAX))?;
        Ok(Record::decode(data, keys, segment, offset).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{RAW, cid_of};

    use super::*;
    use crate::{engine::files::File, limits::RECORD_BYTES_MAX};

    /// The start of a section that looks like a record of almost 4 GiB, in a file of that length.
    #[derive(Debug)]
    struct Huge(Vec<u8>);

    const CLAIMED: u64 = 0xf000_0000;

    impl File for Huge {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            assert!(buffer.len() as u64 <= RECORD_BYTES_MAX, "{} bytes at once", buffer.len());
            let from = self.0.get(offset as usize..).unwrap_or_default();
            buffer.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
            Ok(buffer.len())
        }

        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn file_bytes(&self) -> io::Result<u64> {
            Ok(CLAIMED + 1000)
        }

        fn sync_data(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    #[test]
    fn a_block_of_any_length_that_claims_to_be_a_record_takes_no_memory() {
        let mut start = Vec::new();
        let section = SectionOffsets::write_start(&cid_of(RAW, b""), CLAIMED, 0, &mut start);
        start.extend(MAGIC);
        // A later record at this place.
        start.extend(1u64.to_le_bytes());
        start.extend([0, 0, 0, 1].map(u32::to_le_bytes).concat());
        let file = Huge(start);
        let mut window = Window::new(&file, CLAIMED + 1000);
        assert!(!may_be_record(&mut window, &section).unwrap());
        assert!(Later::of(0, 1, 1).claim(&mut window, section.data_offset).unwrap().is_none());
    }
}
