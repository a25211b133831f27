//! Entries of the log: archives (CARv1) whose roots are the heads, whose first block is the record, and whose other
//! blocks are the blocks and values of a commit.
//!
//! The record has the CID and the length of each block that follows, so their places follow from it: a reader never
//! relies on the bytes between two blocks.

use mnem_car::{SectionOffsets, Writer};
use mnem_store_traits::{
    Bytes, Cid, DAG_CBOR,
    backend::{HashCheck, check_hash},
    cid_of,
};

use super::record::{Record, Unread};
use crate::limits::RECORD_END_MAX;

/// Code of the hash function of records: sha2-256.
const SHA2_256: u64 = 0x12;

/// Length of the longest varint.
const VARINT_BYTES_MAX: usize = 9;

/// The bytes of an entry, ready to be uploaded.
pub(crate) struct Encoded {
    /// One after the other, these are its bytes.
    pub(crate) parts: Vec<Bytes>,
    pub(crate) entry: Entry,
}

/// An entry that was read, without its blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// The CID of the record.
    pub(crate) cid: Cid,
    /// Where the data of the blocks and then of the values begin.
    pub(crate) offsets: Vec<u64>,
    /// Length of the object.
    pub(crate) size: u64,
}

/// Why bytes are not read as an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undecoded {
    /// The record goes on: the first so many bytes of the object are needed.
    More(u64),
    /// A later version wrote it.
    Later(u64),
    Wrong(String),
}

fn wrong(why: impl Into<String>) -> Undecoded {
    Undecoded::Wrong(why.into())
}

/// Encodes an entry. `data` has the bytes of the blocks and then of the values.
pub(crate) fn encode(record: Record, data: &[Bytes]) -> Result<Encoded, String> {
    let (body, header) = (record.encode()?, header_of(&record.heads)?);
    let cid = cid_of(DAG_CBOR, &body);
    let mut start = header;
    let section = SectionOffsets::write_start(&cid, body.len() as u64, start.len() as u64, &mut start);
    start.extend(body);
    if section.end() > RECORD_END_MAX {
        return Err(format!("its record ends at byte {}, above the limit of {RECORD_END_MAX}", section.end()));
    }
    let (offsets, size) = places(&record, section.end()).ok_or("it is too long")?;
    let mut parts = Vec::with_capacity(2 * data.len() + 1);
    for ((cid, bytes), data) in pieces(&record).zip(data) {
        SectionOffsets::write_start(cid, *bytes, 0, &mut start);
        parts.push(Bytes::from(std::mem::take(&mut start)));
        parts.push(data.clone());
    }
    if !start.is_empty() {
        parts.push(start.into());
    }
    Ok(Encoded { parts, entry: Entry { record, cid, offsets, size } })
}

/// Reads an entry of `size` bytes from its beginning.
pub(crate) fn decode(bytes: &[u8], size: u64) -> Result<Entry, Undecoded> {
    let bytes = bytes.get(..usize::try_from(size).unwrap_or(usize::MAX)).unwrap_or(bytes);
    let Some((header_start, header_bytes)) = varint(bytes) else {
        let is_cut = bytes.len() < VARINT_BYTES_MAX && (bytes.len() as u64) < size;
        return Err(if is_cut {
            Undecoded::More(size.min(VARINT_BYTES_MAX as u64))
        } else {
            wrong("it is no archive")
        });
    };
    let header_end = within(header_start.saturating_add(header_bytes), size)?;
    let header = bytes.get(..header_end as usize).ok_or(Undecoded::More(header_end))?;
    let rest = bytes.get(header_end as usize..).unwrap_or_default();
    let section = match SectionOffsets::parse(rest, header_end) {
        Err(_) if rest.len() < SectionOffsets::START_BYTES_MAX && (bytes.len() as u64) < size => {
            let enough = header_end + SectionOffsets::START_BYTES_MAX as u64;
            return Err(Undecoded::More(enough.min(size)));
        }
        section => section.map_err(|error| wrong(format!("it has no record: {error}")))?,
    };
    let end = within(section.data_offset.saturating_add(section.data_bytes), size)?;
    let body = bytes.get(section.data_offset as usize..end as usize).ok_or(Undecoded::More(end))?;
    let cid = section.cid;
    let is_named_so = cid.codec() == DAG_CBOR && cid.hash().code() == SHA2_256;
    if !is_named_so || check_hash(&cid, body) != HashCheck::Match {
        return Err(wrong("the bytes of its record do not match its CID"));
    }
    let record = Record::decode(body).map_err(|unread| match unread {
        Unread::Later(version) => Undecoded::Later(version),
        Unread::Wrong(why) => Undecoded::Wrong(why),
    })?;
    if header_of(&record.heads).ok().as_deref() != Some(header) {
        return Err(wrong("its roots are not the heads of its record"));
    }
    match places(&record, end) {
        Some((offsets, expected)) if expected == size => Ok(Entry { record, cid, offsets, size }),
        Some((_, expected)) => Err(wrong(format!("it has {size} bytes, and its record describes {expected}"))),
        None => Err(wrong("its record describes more bytes than there can be")),
    }
}

/// `end`, if it is within the object and the limit of records.
fn within(end: u64, size: u64) -> Result<u64, Undecoded> {
    if end > size.min(RECORD_END_MAX) { Err(wrong("its record is cut off")) } else { Ok(end) }
}

fn header_of(heads: &[Cid]) -> Result<Vec<u8>, String> {
    let header = Writer::new(Vec::new(), heads).and_then(Writer::finish);
    header.map_err(|error| error.to_string())
}

fn pieces(record: &Record) -> impl Iterator<Item = &(Cid, u64)> {
    record.blocks.iter().chain(&record.values)
}

/// Where the data of each piece begin, the first of which follows byte `end`, and where the last one ends. `None`: at
/// no number of 64 bits.
fn places(record: &Record, end: u64) -> Option<(Vec<u64>, u64)> {
    let mut end = end;
    let mut start = Vec::new();
    let mut offsets = Vec::with_capacity(record.blocks.len() + record.values.len());
    for (cid, bytes) in pieces(record) {
        start.clear();
        // The CID before the data takes less than this.
        bytes.checked_add(SectionOffsets::START_BYTES_MAX as u64)?;
        SectionOffsets::write_start(cid, *bytes, 0, &mut start);
        let offset = end.checked_add(start.len() as u64)?;
        offsets.push(offset);
        end = offset.checked_add(*bytes)?;
    }
    Some((offsets, end))
}

/// An unsigned varint at the beginning: its length and its value.
fn varint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((at as u64 + 1, value));
        }
    }
    None
}

impl Entry {
    /// Blocks with their offsets and lengths.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (Cid, u64, u64)> {
        self.record.blocks.iter().zip(&self.offsets).map(|((cid, bytes), offset)| (*cid, *offset, *bytes))
    }

    /// The CID, the offset and the length of a value.
    pub(crate) fn value(&self, index: u64) -> Option<(Cid, u64, u64)> {
        let index = usize::try_from(index).ok()?;
        let (cid, bytes) = self.record.values.get(index)?;
        Some((*cid, *self.offsets.get(self.record.blocks.len().checked_add(index)?)?, *bytes))
    }
}
