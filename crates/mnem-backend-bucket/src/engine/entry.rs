//! Entries of the log: archives (CARv1) whose roots are the heads, whose first block is the record, and whose other
//! blocks are the blocks and values of a commit that stand in no pack.
//!
//! The record has the CID and the length of each block that follows, so their places follow from it: a reader never
//! relies on the bytes between two blocks.

use mnem_car::{SectionOffsets, Writer};
use mnem_store_traits::{
    Bytes, Cid, DAG_CBOR,
    backend::{HashCheck, check_hash},
    cid_of,
};

use serde_bytes::ByteArray;

use super::{
    pack::{self, Pack, Piece},
    record::{self, Record, Unread},
    state::{Name, Object},
    tombstone::{TOMBSTONE, Tombstone},
};
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
    /// They are uploaded before the entry.
    pub(crate) packs: Vec<Pack>,
}

/// An entry that was read, without its blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// The CID of the record.
    pub(crate) cid: Cid,
    /// Where the blocks and then the values are.
    parts: Vec<Part>,
    /// Lengths of its packs.
    pack_bytes: Vec<u64>,
    /// Length of the object.
    pub(crate) size: u64,
}

/// Where a block or value is: in which of the entry's packs, or in the entry, whose number comes after theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) object: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
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

/// Encodes an entry. `pieces` are its blocks and then its values; the first of them stand in the packs.
pub(crate) fn encode(mut record: Record, pieces: &[Piece], packs: Vec<Pack>) -> Result<Encoded, String> {
    record.packs = packs.iter().map(|pack| (ByteArray::new(pack.digest), pack.pieces.len() as u64)).collect();
    let (mut start, cid, end) = encode_archive(&record.heads, &record.encode()?)?;
    if end > RECORD_END_MAX {
        return Err(format!("its record ends at byte {end}, above the limit of {RECORD_END_MAX}"));
    }
    let places = places(&record, end).ok_or("it is too long")?;
    let packed = packs.iter().map(|pack| pack.pieces.len()).sum();
    let inline = pieces.get(packed..).unwrap_or_default();
    let mut parts = Vec::with_capacity(2 * inline.len() + 1);
    for (cid, data) in inline {
        SectionOffsets::write_start(cid, data.len() as u64, 0, &mut start);
        parts.push(Bytes::from(std::mem::take(&mut start)));
        parts.push(data.clone());
    }
    if !start.is_empty() {
        parts.push(start.into());
    }
    let Places { parts: at, pack_bytes, end } = places;
    let entry = Entry { record, cid, parts: at, pack_bytes, size: end };
    Ok(Encoded { parts, entry, packs })
}

/// An archive whose roots are the heads and whose block is a record: its bytes, the CID of the record, and its end.
pub(super) fn encode_archive(heads: &[Cid], body: &[u8]) -> Result<(Vec<u8>, Cid, u64), String> {
    let mut bytes = header_of(heads)?;
    let cid = cid_of(DAG_CBOR, body);
    let section = SectionOffsets::write_start(&cid, body.len() as u64, bytes.len() as u64, &mut bytes);
    bytes.extend_from_slice(body);
    Ok((bytes, cid, section.end()))
}

/// What a slot of the log has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Entry(Entry),
    Tombstone(Tombstone),
}

impl Slot {
    pub(crate) fn n(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.record.n,
            Self::Tombstone(tombstone) => tombstone.n,
        }
    }

    pub(crate) fn store(&self) -> &[u8] {
        match self {
            Self::Entry(entry) => entry.record.store.as_slice(),
            Self::Tombstone(tombstone) => tombstone.store.as_slice(),
        }
    }

    /// Which attempt to write made the entry.
    pub(crate) fn token(&self) -> &[u8] {
        match self {
            Self::Entry(entry) => entry.record.token.as_slice(),
            Self::Tombstone(tombstone) => tombstone.token.as_slice(),
        }
    }

    /// The CID of the record of the entry before.
    pub(crate) fn prev(&self) -> Option<Cid> {
        match self {
            Self::Entry(entry) => entry.record.prev,
            Self::Tombstone(tombstone) => tombstone.prev,
        }
    }

    /// The CID of the entry's record.
    pub(crate) fn cid(&self) -> Cid {
        match self {
            Self::Entry(entry) => entry.cid,
            Self::Tombstone(tombstone) => tombstone.entry,
        }
    }
}

/// Reads a slot of `size` bytes from its beginning.
pub(crate) fn decode(bytes: &[u8], size: u64) -> Result<Slot, Undecoded> {
    let bytes = bytes.get(..usize::try_from(size).unwrap_or(usize::MAX)).unwrap_or(bytes);
    let Some((header_start, header_bytes)) = varint(bytes) else {
        let is_cut = bytes.len() < VARINT_BYTES_MAX && (bytes.len() as u64) < size;
        return Err(if is_cut {
            Undecoded::More(size.min(VARINT_BYTES_MAX as u64))
        } else {
            wrong("it is not a CAR archive")
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
    let undecoded = |unread| match unread {
        Unread::Later(version) => Undecoded::Later(version),
        Unread::Wrong(why) => Undecoded::Wrong(why),
    };
    let has_roots = |heads: &[Cid]| header_of(heads).ok().as_deref() == Some(header);
    let other_roots = || wrong("its roots are not the heads of its record");
    if record::version_of(body) == Some(TOMBSTONE) {
        let tombstone = Tombstone::decode(body).map_err(undecoded)?;
        if end != size {
            return Err(wrong(format!("it has {size} bytes, and its tombstone ends at {end}")));
        }
        return if has_roots(&tombstone.heads) { Ok(Slot::Tombstone(tombstone)) } else { Err(other_roots()) };
    }
    let record = Record::decode(body).map_err(undecoded)?;
    if !has_roots(&record.heads) {
        return Err(other_roots());
    }
    match places(&record, end) {
        Some(Places { parts, pack_bytes, end }) if end == size => {
            Ok(Slot::Entry(Entry { record, cid, parts, pack_bytes, size }))
        }
        Some(Places { end, .. }) => Err(wrong(format!("it has {size} bytes, and its record describes {end}"))),
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

/// Where the pieces of an entry are.
struct Places {
    parts: Vec<Part>,
    pack_bytes: Vec<u64>,
    /// Where the entry ends.
    end: u64,
}

/// Where the pieces are, if those in the entry begin at byte `end`. `None`: at no number of 64 bits.
fn places(record: &Record, end: u64) -> Option<Places> {
    let mut parts = Vec::with_capacity(record.blocks.len().checked_add(record.values.len())?);
    let mut pieces = pieces(record);
    let header = pack::header().len() as u64;
    let mut pack_bytes = Vec::with_capacity(record.packs.len());
    for (number, (_, count)) in record.packs.iter().enumerate() {
        let pieces = pieces.by_ref().take(usize::try_from(*count).ok()?);
        pack_bytes.push(place_in(u32::try_from(number).ok()?, header, pieces, &mut parts)?);
    }
    let end = place_in(u32::try_from(record.packs.len()).ok()?, end, pieces, &mut parts)?;
    Some(Places { parts, pack_bytes, end })
}

/// Appends the places of pieces that follow byte `end` of an object. Returns where the last one ends.
fn place_in<'a>(
    object: u32,
    end: u64,
    pieces: impl Iterator<Item = &'a (Cid, u64)>,
    parts: &mut Vec<Part>,
) -> Option<u64> {
    let (mut end, mut start) = (end, Vec::new());
    for (cid, bytes) in pieces {
        start.clear();
        // The CID before the data takes less than this.
        bytes.checked_add(SectionOffsets::START_BYTES_MAX as u64)?;
        SectionOffsets::write_start(cid, *bytes, 0, &mut start);
        let offset = end.checked_add(start.len() as u64)?;
        parts.push(Part { object, offset, bytes: *bytes });
        end = offset.checked_add(*bytes)?;
    }
    Some(end)
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
    /// The objects that hold its blocks and values: its packs, and itself if there are others.
    pub(crate) fn objects(&self) -> impl ExactSizeIterator<Item = Object> {
        let entry = self.record.n;
        let own = Object { name: Name::Entry(entry), bytes: self.size, entry };
        let packs = &self.record.packs;
        let has_own = self.parts.last().is_some_and(|last| last.object as usize == packs.len());
        (0..packs.len() + usize::from(has_own)).map(move |number| {
            match (packs.get(number), self.pack_bytes.get(number)) {
                (Some((digest, _)), Some(bytes)) => {
                    Object { name: Name::Pack(digest.into_array()), bytes: *bytes, entry }
                }
                _ => own,
            }
        })
    }

    /// The blocks that it adds or moves, with their places.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (Cid, Part)> {
        let mut dead = self.record.dead.iter().peekable();
        let blocks = (0..).zip(self.record.blocks.iter().zip(&self.parts));
        blocks.filter_map(move |(index, ((cid, _), part))| {
            dead.next_if(|dead| **dead == index).is_none().then_some((*cid, *part))
        })
    }

    /// The CID and the place of a value.
    pub(crate) fn value(&self, index: u64) -> Option<(Cid, Part)> {
        let index = usize::try_from(index).ok()?;
        let (cid, _) = self.record.values.get(index)?;
        Some((*cid, *self.parts.get(self.record.blocks.len().checked_add(index)?)?))
    }
}
