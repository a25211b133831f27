//! The record that ends a commit. It is a raw block, so any CAR tool can skip it.

use mnem_car::{Cid, SectionOffsets};
use mnem_store_traits::{RAW, cid_of};

use super::{
    fields::Fields,
    keys::{Keys, Mac, ShortMac},
};

/// The first bytes of a record.
pub(crate) const MAGIC: [u8; 8] = *b"mnemC\0\0\x01";

/// Flag: the commit changes the heads, and the record lists them all.
const HEADS: u32 = 1;
/// Flag: the handle was closed after this record, and everything up to it is synced.
const CLOSED: u32 = 2;

/// The length in bytes of the fields that every record has.
const FIXED_BYTES: usize = 8 + 8 + 8 * 4;

/// The length in bytes of the three MACs at the end: names, commit, record.
const MACS_BYTES: usize = size_of::<ShortMac>() + size_of::<Mac>() + size_of::<ShortMac>();

/// The length in bytes of a record without heads, deletes and rows.
pub(crate) const RECORD_BYTES_MIN: usize = FIXED_BYTES + MACS_BYTES;

/// The maximum lengths in bytes of a head (length and CID), a delete (place, length and CID) and a row (names, key and
/// place).
pub(crate) const HEAD_BYTES_MAX: u64 = 1 + 84;
pub(crate) const DELETE_BYTES_MAX: u64 = 8 + HEAD_BYTES_MAX;
pub(crate) const ROW_BYTES_MAX: u64 = 1 + 32 + 2 + 100 + 4;

/// What a commit did, apart from the blocks before its record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The number of the commit, counted through all segments.
    pub(crate) seq: u64,
    /// The offset of this record's section.
    pub(crate) at: u32,
    /// The offset of the first section of the commit.
    pub(crate) from: u32,
    /// The number of blocks in between.
    pub(crate) puts: u32,
    /// The offset up to which this segment was known to be synced when the record was written.
    pub(crate) synced_to: u32,
    /// All heads after the commit, in ascending order, if it changes them.
    pub(crate) heads: Option<Vec<Cid>>,
    pub(crate) deletes: Vec<Kill>,
    pub(crate) rows: Vec<Row>,
    pub(crate) closed: bool,
}

/// A block that a commit deletes. It names the place too, so that a later put of the same block stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kill {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) cid: Cid,
}

/// A row of a side table that a commit writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) table: String,
    pub(crate) key: Vec<u8>,
    /// The offset of the value's section in the same commit; `None` deletes the row.
    pub(crate) value: Option<u32>,
}

/// Why a block is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRecord {
    /// It is an ordinary block.
    Invalid,
    /// It is a record of this store, but has flags that this build does not support.
    Flags(u32),
}

impl Record {
    /// Appends the section of the record to `to`. The field `at` must be the offset that the section will have. Returns
    /// the MAC of the commit.
    pub(crate) fn write(&self, keys: &Keys, segment: u32, mut macs: CommitMacs, to: &mut Vec<u8>) -> Mac {
        let mut data = self.fields();
        data.extend(macs.of_names());
        let mac = *macs.bytes.update(&data).finalize().as_bytes();
        data.extend(mac);
        let record_mac = keys.record_mac(segment, &data);
        data.extend(record_mac);
        SectionOffsets::write_start(&cid_of(RAW, &data), data.len() as u64, u64::from(self.at), to);
        to.extend(data);
        mac
    }

    fn fields(&self) -> Vec<u8> {
        let flags = if self.heads.is_some() { HEADS } else { 0 } | if self.closed { CLOSED } else { 0 };
        let heads = self.heads.as_deref().unwrap_or_default();
        let mut data = MAGIC.to_vec();
        data.extend(self.seq.to_le_bytes());
        let counts = [heads.len() as u32, self.deletes.len() as u32, self.rows.len() as u32];
        for number in [self.at, self.from, self.puts, self.synced_to, flags].into_iter().chain(counts) {
            data.extend(number.to_le_bytes());
        }
        for head in heads {
            write_cid(head, &mut data);
        }
        for kill in &self.deletes {
            data.extend(kill.segment.to_le_bytes());
            data.extend(kill.offset.to_le_bytes());
            write_cid(&kill.cid, &mut data);
        }
        for row in &self.rows {
            // The contract limits names to 32 bytes and keys to 100.
            data.push(row.table.len() as u8);
            data.extend(row.table.as_bytes());
            data.extend((row.key.len() as u16).to_le_bytes());
            data.extend(&row.key);
            // No section of a commit begins at 0, because the header is there.
            data.extend(row.value.unwrap_or(0).to_le_bytes());
        }
        data
    }

    /// Reads a record whose section begins at `at`, if this store wrote these bytes there. [`CommitMacs`] checks
    /// whether the bytes before it belong to its commit.
    pub(crate) fn decode(data: &[u8], keys: &Keys, segment: u32, at: u64) -> Result<Self, NoRecord> {
        let Some((body, mac)) = data.split_last_chunk::<{ size_of::<ShortMac>() }>() else {
            return Err(NoRecord::Invalid);
        };
        if data.len() < RECORD_BYTES_MIN || !data.starts_with(&MAGIC) || keys.record_mac(segment, body) != *mac {
            return Err(NoRecord::Invalid);
        }
        // From here on, these are bytes that this store wrote.
        Self::decode_unproved(data, at)
    }

    /// Reads bytes that have the form of a record whose section begins at `at`. Anyone can make a block of such bytes.
    pub(crate) fn decode_unproved(data: &[u8], at: u64) -> Result<Self, NoRecord> {
        if data.len() < RECORD_BYTES_MIN || !data.starts_with(&MAGIC) {
            return Err(NoRecord::Invalid);
        }
        let mut fields = Fields::new(data.get(MAGIC.len()..data.len() - MACS_BYTES).unwrap_or_default());
        let record = Self::read(&mut fields).ok_or(NoRecord::Invalid)?;
        let (record, flags) = record;
        if flags & !(HEADS | CLOSED) != 0 {
            return Err(NoRecord::Flags(flags));
        }
        if u64::from(record.at) != at || record.from > record.at || !fields.is_empty() {
            return Err(NoRecord::Invalid);
        }
        Ok(record)
    }

    fn read(fields: &mut Fields<'_>) -> Option<(Self, u32)> {
        let seq = fields.u64()?;
        let mut number = || fields.u32();
        let (at, from, puts, synced_to, flags) = (number()?, number()?, number()?, number()?, number()?);
        let (heads, deletes, rows) = (number()?, number()?, number()?);
        let heads = (0..heads).map(|_| read_cid(fields)).collect::<Option<Vec<_>>>()?;
        let kill = |fields: &mut Fields<'_>| {
            Some(Kill { segment: fields.u32()?, offset: fields.u32()?, cid: read_cid(fields)? })
        };
        let deletes = (0..deletes).map(|_| kill(fields)).collect::<Option<Vec<_>>>()?;
        let rows = (0..rows).map(|_| read_row(fields)).collect::<Option<Vec<_>>>()?;
        let closed = flags & CLOSED != 0;
        let heads = (flags & HEADS != 0).then_some(heads);
        Some((Self { seq, at, from, puts, synced_to, heads, deletes, rows, closed }, flags))
    }
}

/// The input of a commit's MACs, as far as it was written or read.
#[derive(Clone, Debug)]
pub(crate) struct CommitMacs {
    /// All bytes.
    pub(crate) bytes: blake3::Hasher,
    /// Only the lengths and CIDs of its sections.
    names: blake3::Hasher,
}

/// What the MACs of a record prove about the bytes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// They are those of its commit. Contains the MAC of the commit.
    Whole(Mac),
    /// The bytes of blocks in the commit were changed, but not their lengths and CIDs. Contains the MAC that the commit
    /// had.
    Names(Mac),
    None,
}

impl CommitMacs {
    /// Begins a commit that follows the one with the MAC `previous`.
    pub(crate) fn new(keys: &Keys, previous: &Mac, segment: u32) -> Self {
        let (mut bytes, mut names) = (keys.mac(), keys.mac());
        bytes.update(previous).update(&segment.to_le_bytes());
        names.update(b"names").update(&segment.to_le_bytes()).update(previous);
        Self { bytes, names }
    }

    /// Adds the start (length and CID) of the next section.
    pub(crate) fn name(&mut self, start: &[u8]) {
        self.names.update(start);
    }

    fn of_names(&self) -> ShortMac {
        self.names.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// The MAC of the commit, if the record confirms these names. Needs only the names, not the other bytes.
    pub(crate) fn prove_names(&self, data: &[u8]) -> Option<Mac> {
        let (rest, _) = data.split_last_chunk::<{ size_of::<ShortMac>() }>()?;
        let (rest, mac) = rest.split_last_chunk::<{ size_of::<Mac>() }>()?;
        rest.ends_with(&self.of_names()).then_some(*mac)
    }

    /// Judges a record that [`Record::decode`] accepted, after everything before it was added.
    pub(crate) fn prove(&self, data: &[u8]) -> Proof {
        let Some((rest, _)) = data.split_last_chunk::<{ size_of::<ShortMac>() }>() else { return Proof::None };
        let Some((rest, mac)) = rest.split_last_chunk::<{ size_of::<Mac>() }>() else { return Proof::None };
        if self.bytes.clone().update(rest).finalize() == *mac {
            Proof::Whole(*mac)
        } else if rest.ends_with(&self.of_names()) {
            Proof::Names(*mac)
        } else {
            Proof::None
        }
    }
}

fn write_cid(cid: &Cid, to: &mut Vec<u8>) {
    let bytes = cid.to_bytes();
    // At most 84: version, codec, hash function, digest length, and a digest of up to 64 bytes.
    to.push(bytes.len() as u8);
    to.extend(bytes);
}

fn read_cid(fields: &mut Fields<'_>) -> Option<Cid> {
    let len = usize::from(fields.u8()?);
    let mut bytes = fields.bytes(len)?;
    let cid = Cid::read_bytes(&mut bytes).ok()?;
    bytes.is_empty().then_some(cid)
}

fn read_row(fields: &mut Fields<'_>) -> Option<Row> {
    let len = usize::from(fields.u8()?);
    let table = str::from_utf8(fields.bytes(len)?).ok()?.to_owned();
    let len = usize::from(fields.u16()?);
    let key = fields.bytes(len)?.to_vec();
    let value = Some(fields.u32()?).filter(|offset| *offset != 0);
    Some(Row { table, key, value })
}
