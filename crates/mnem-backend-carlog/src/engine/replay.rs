//! What a segment proves: the commits whose every byte is under a MAC, and what to make of the bytes after the last of them.

use std::{collections::BTreeSet, io};

use mnem_car::SectionOffsets;
use mnem_store_traits::{RAW, cid::Version};

use super::{
    descriptor::{self, Descriptor, NoDescriptor},
    files::File,
    keys::{Keys, Mac},
    record::{CommitMacs, MAGIC, NoRecord, Proof, RECORD_BYTES_MIN, Record},
    walk::Window,
};
use crate::limits::{RECORD_BYTES_MAX, WINDOW_BYTES};

/// The code of SHA2-256 in multihashes.
const SHA2_256: u64 = 0x12;

/// The end of the proved part of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    /// In the segment; 0 while it has no descriptor.
    pub(crate) end: u64,
    /// Of the last commit; zeros before the first one.
    pub(crate) mac: Mac,
    /// Of the last commit; 0 before the first one.
    pub(crate) seq: u64,
    /// Where the last commit of the segment begins, or its header if it is the first; equal to `end` while there is none.
    pub(crate) last_from: u64,
    /// Whether the last commit says that the handle was closed after it.
    pub(crate) closed: bool,
}

/// A commit that was proved.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) record: Record,
    /// The sections before the record, in the order of the log.
    pub(crate) sections: Vec<SectionOffsets>,
}

impl Commit {
    /// The blocks it put: its sections without the values of rows.
    pub(crate) fn puts(&self) -> impl Iterator<Item = &SectionOffsets> {
        let values: BTreeSet<u64> = self.record.rows.iter().filter_map(|row| row.value.map(u64::from)).collect();
        self.sections.iter().filter(move |section| !values.contains(&section.offset))
    }
}

/// What follows the last commit that was proved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    Nothing,
    /// Bytes of a commit that never was acknowledged.
    Torn,
    /// Bytes that had been synced are not what they were; says how that is known.
    Damaged(&'static str),
}

/// Why a segment cannot be read.
#[derive(Debug)]
pub(crate) enum Unread {
    Io(io::Error),
    /// Something of a later version.
    Unsupported(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads on from `position`, and moves it past each proved commit. Commits up to the number `acknowledged` are known to be synced.
///
/// A commit counts if all its bytes are under its MAC. One that was synced counts too if only the data of its blocks were changed: its
/// record and the names of its blocks are proved by MACs of their own, and each block is checked against its CID whenever it is read.
pub(crate) fn replay(
    keys: &Keys,
    file: &dyn File,
    position: &mut Position,
    acknowledged: u64,
    commits: &mut dyn FnMut(Commit),
) -> Result<Tail, Unread> {
    let len = file.file_bytes()?;
    let mut window = Window::new(file, len);
    if position.end == 0 && !begin(keys, &mut window, position)? {
        return classify(keys, &mut window, len, position);
    }
    while let Some((commit, end, proof)) = next(keys, &mut window, position)? {
        let mac = match proof {
            Proof::Whole(mac) => mac,
            Proof::Names(mac)
                if commit.record.seq <= acknowledged
                    || has_later(keys, &mut window, len, position.segment, commit.record.seq, end)? =>
            {
                mac
            }
            _ => break,
        };
        let first = descriptor::begin_bytes(keys);
        position.last_from = if u64::from(commit.record.from) == first { 0 } else { commit.record.from.into() };
        position.closed = commit.record.closed;
        (position.end, position.mac, position.seq) = (end, mac, commit.record.seq);
        commits(commit);
    }
    // A segment gets its first bytes with its first commit: without that it has none.
    if position.end == descriptor::begin_bytes(keys) {
        position.end = 0;
    }
    classify(keys, &mut window, len, position)
}

/// Whether this is the segment that follows `position`, the end of another one.
pub(crate) fn follows(keys: &Keys, file: &dyn File, position: &Position) -> Result<bool, Unread> {
    let mut after = Position { segment: position.segment + 1, ..*position };
    let bytes = descriptor::begin_bytes(keys).min(file.file_bytes()?);
    begin(keys, &mut Window::new(file, bytes), &mut after)
}

/// Whether the segment begins as the one at `position`.
fn begin(keys: &Keys, window: &mut Window<'_>, position: &mut Position) -> Result<bool, Unread> {
    let bytes = descriptor::begin_bytes(keys);
    let begin = window.read(0, usize::try_from(bytes).unwrap_or(0))?;
    let Some(section) = descriptor::section(begin).filter(|section| section.end() == bytes) else { return Ok(false) };
    let data = begin.get(section.data_offset as usize..).unwrap_or_default();
    match Descriptor::decode(data, keys) {
        Ok(found) if found.segment == position.segment && found.previous == position.mac => {}
        Err(NoDescriptor::Flags(flags)) => {
            return Err(Unread::Unsupported(format!("a segment with flags {flags:#x}")));
        }
        Ok(_) | Err(NoDescriptor::Invalid | NoDescriptor::OtherStore) => return Ok(false),
    }
    if !descriptor::has_root(begin, section.cid) {
        return Ok(false);
    }
    (position.end, position.last_from) = (bytes, bytes);
    Ok(true)
}

/// The next commit, where it ends, and how it is proved; `None`: none follows.
fn next(keys: &Keys, window: &mut Window<'_>, position: &Position) -> Result<Option<(Commit, u64, Proof)>, Unread> {
    let (mut sections, mut offset) = (Vec::new(), position.end);
    let mut macs = CommitMacs::new(keys, &position.mac, position.segment);
    loop {
        let Some(section) = window.section(offset)?.filter(|section| section.end() <= u32::MAX.into()) else {
            return Ok(None);
        };
        if may_be_record(window, &section)? {
            let data = window.read(section.data_offset, usize::try_from(section.data_bytes).unwrap_or(usize::MAX))?;
            let record = Record::decode(data, keys, position.segment, offset);
            let proof = macs.prove(data);
            match record {
                Ok(record)
                    if proof != Proof::None
                        && u64::from(record.from) == position.end
                        && record.seq == position.seq + 1 =>
                {
                    return Ok(Some((Commit { record, sections }, section.end(), proof)));
                }
                Err(NoRecord::Flags(flags)) if matches!(proof, Proof::Whole(_)) => {
                    return Err(Unread::Unsupported(format!("a commit with flags {flags:#x}")));
                }
                // A block that somebody made to look like one.
                _ => {}
            }
        }
        let start = usize::try_from(section.data_offset - section.offset).unwrap_or(usize::MAX);
        macs.name(window.read(section.offset, start)?);
        window.pieces(&section, |piece| {
            macs.bytes.update(piece);
        })?;
        offset = section.end();
        sections.push(section);
    }
}

fn may_be_record(window: &mut Window<'_>, section: &SectionOffsets) -> io::Result<bool> {
    let cid = section.cid;
    let fits = cid.version() == Version::V1
        && cid.codec() == RAW
        && cid.hash().code() == SHA2_256
        && (RECORD_BYTES_MIN as u64..=RECORD_BYTES_MAX).contains(&section.data_bytes);
    Ok(fits && window.read(section.data_offset, MAGIC.len())? == MAGIC)
}

/// What stands between `position` and the end of the file.
///
/// A commit is written as a whole before it is synced, and the next one is begun only after that: so a record of this store that is later than
/// `position`, and was written when something after `position` had been synced, shows that acknowledged bytes were changed.
fn classify(keys: &Keys, window: &mut Window<'_>, len: u64, position: &Position) -> Result<Tail, Unread> {
    if len <= position.end {
        return Ok(if len == position.end { Tail::Nothing } else { Tail::Damaged("it is shorter than it was") });
    }
    if has_later(keys, window, len, position.segment, position.seq, position.end + 1)? {
        return Ok(Tail::Damaged("a later commit shows that it was whole once"));
    }
    Ok(Tail::Torn)
}

/// Whether a record after `seq` stands behind `from - 1` that was written when everything before `from` had been synced.
fn has_later(
    keys: &Keys,
    window: &mut Window<'_>,
    len: u64,
    segment: u32,
    seq: u64,
    from: u64,
) -> Result<bool, Unread> {
    let mut offset = from.saturating_sub(1);
    while offset < len {
        let piece = window.read(offset, WINDOW_BYTES)?;
        let found = piece.windows(MAGIC.len()).position(|bytes| bytes == MAGIC);
        let Some(found) = found else {
            // The magic may lie across two pieces.
            let step = piece.len().saturating_sub(MAGIC.len() - 1);
            if step == 0 {
                break;
            }
            offset += step as u64;
            continue;
        };
        let data_offset = offset + found as u64;
        if let Some(record) = record_at(keys, window, segment, data_offset)?
            && record.seq > seq
            && u64::from(record.synced_to) >= from
        {
            return Ok(true);
        }
        offset = data_offset + 1;
    }
    Ok(false)
}

/// The record whose data begin here, if this store wrote one, whatever precedes it.
fn record_at(keys: &Keys, window: &mut Window<'_>, segment: u32, data_offset: u64) -> io::Result<Option<Record>> {
    // After the magic and the number of the commit it says where its section begins.
    let at = window.read(data_offset + 16, 4)?;
    let Some(at) = at.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))) else { return Ok(None) };
    if at >= data_offset || data_offset - at > SectionOffsets::START_BYTES_MAX as u64 {
        return Ok(None);
    }
    let Some(section) = window.section(at)?.filter(|section| section.data_offset == data_offset) else {
        return Ok(None);
    };
    if !may_be_record(window, &section)? {
        return Ok(None);
    }
    let data = window.read(data_offset, usize::try_from(section.data_bytes).unwrap_or(usize::MAX))?;
    Ok(Record::decode(data, keys, segment, at).ok())
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::cid_of;

    use super::*;

    /// The start of a section that claims to be a record of almost 4 GiB, in a file of that length. Nothing else is ever read of it in one piece.
    #[derive(Debug)]
    struct Claim(Vec<u8>);

    const CLAIMED: u64 = 0xf000_0000;

    impl File for Claim {
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
        // Number and offset of a record that stands here.
        start.extend([0; 12]);
        let file = Claim(start);
        let mut window = Window::new(&file, CLAIMED + 1000);
        assert!(!may_be_record(&mut window, &section).unwrap());
        let keys = Keys::new().unwrap();
        assert_eq!(record_at(&keys, &mut window, 1, section.data_offset).unwrap(), None);
    }
}
