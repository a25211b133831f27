//! Sections of an archive: a block with its offsets, with or without its bytes.

use std::borrow::Cow;

use bytes::Bytes;
use cid::Cid;

use crate::{
    error::{CarError, CarFault},
    section_cid,
    varint::{self, VARINT_BYTES_MAX, Varint},
};

/// Room for nearly every CID in its binary form.
const CID_BYTES: usize = 64;

/// One block of an archive, and its offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// Start of the section: the offset of its length, in bytes from the start of the input.
    pub offset: u64,
    /// Start of the block's CID.
    pub cid_offset: u64,
    /// Start of the block's bytes.
    pub data_offset: u64,
    /// The block's CID.
    pub cid: Cid,
    /// The block's bytes, not hashed.
    pub data: Bytes,
}

/// The offsets of one block of an archive, without its bytes. All are in bytes from the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionOffsets {
    /// The block's CID.
    pub cid: Cid,
    /// Start of the section: the offset of its length.
    pub offset: u64,
    /// Start of the block's CID.
    pub cid_offset: u64,
    /// Start of the block's bytes.
    pub data_offset: u64,
    /// Length of the block, in bytes.
    pub data_bytes: u64,
}

impl Section {
    /// The offsets of the section.
    pub fn offsets(&self) -> SectionOffsets {
        let Self { offset, cid_offset, data_offset, cid, ref data } = *self;
        SectionOffsets { cid, offset, cid_offset, data_offset, data_bytes: data.len() as u64 }
    }
}

impl SectionOffsets {
    /// Maximum number of bytes before the data of a section: its length and the longest CID.
    pub const START_BYTES_MAX: usize = VARINT_BYTES_MAX + section_cid::CID_BYTES_MAX as usize;

    /// Parses the start of the section at `offset`, for callers that know where sections begin. `bytes` begins there,
    /// and may end before the data does: [`START_BYTES_MAX`](Self::START_BYTES_MAX) bytes are always enough.
    ///
    /// # Errors
    /// [`CarError::Fault`]: no section begins there, or `bytes` ends before the section's data begins
    /// ([`CarFault::CutOff`]).
    pub fn parse(bytes: &[u8], offset: u64) -> Result<Self, CarError> {
        let fault = |fault, at: usize| CarError::Fault { fault, section_offset: offset, offset: offset + at as u64 };
        let mut varint = Varint::default();
        for (at, byte) in bytes.iter().enumerate() {
            let pushed = varint.push(*byte).map_err(|what| fault(CarFault::Varint { what }, at))?;
            let Some(section_bytes) = pushed else { continue };
            let start = at + 1;
            if section_bytes == 0 {
                return Err(fault(CarFault::EmptySection, 0));
            }
            let within = bytes.len().min(start.saturating_add(usize::try_from(section_bytes).unwrap_or(usize::MAX)));
            let content = bytes.get(start..within).unwrap_or_default();
            let (cid, cid_bytes) = match section_cid::read_cid(content) {
                Err((CarFault::ShorterThanCid { .. }, at)) if (content.len() as u64) < section_bytes => {
                    return Err(fault(CarFault::CutOff { missing_bytes: 1 }, start + at));
                }
                Err((CarFault::ShorterThanCid { .. }, at)) => {
                    return Err(fault(CarFault::ShorterThanCid { section_bytes }, start + at));
                }
                read => read.map_err(|(what, at)| fault(what, start + at))?,
            };
            let cid_offset = offset + start as u64;
            let data_offset = cid_offset + cid_bytes as u64;
            return Ok(Self { cid, offset, cid_offset, data_offset, data_bytes: section_bytes - cid_bytes as u64 });
        }
        Err(fault(CarFault::CutOff { missing_bytes: 1 }, bytes.len()))
    }

    /// Appends the start of the section of a block of `data_bytes` bytes, which must follow. Returns the offsets of the
    /// section.
    pub fn write_start(cid: &Cid, data_bytes: u64, offset: u64, to: &mut Vec<u8>) -> Self {
        let begin = to.len();
        // Without memory from the heap, because there may be millions of sections.
        let mut buffer = [0; CID_BYTES];
        let encoded = cid.write_bytes(&mut buffer[..]).ok().and_then(|bytes| buffer.get(..bytes));
        let encoded = encoded.map_or_else(|| Cow::Owned(cid.to_bytes()), Cow::Borrowed);
        varint::write(encoded.len() as u64 + data_bytes, to);
        let cid_offset = offset + (to.len() - begin) as u64;
        to.extend_from_slice(&encoded);
        Self { cid: *cid, offset, cid_offset, data_offset: offset + (to.len() - begin) as u64, data_bytes }
    }

    /// End of the section, where the next one may begin.
    pub fn end(&self) -> u64 {
        self.data_offset + self.data_bytes
    }
}
