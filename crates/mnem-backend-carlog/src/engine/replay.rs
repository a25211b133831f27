//! Reading a segment: proves the commits in it, and classifies the bytes after the last one.

use std::{collections::BTreeSet, io};

use mnem_car::SectionOffsets;
use mnem_store_traits::{
    RAW,
    backend::{HashCheck, check_hash},
    cid::Version,
};

use super::{
    descriptor::{self, Descriptor, NoDescriptor},
    files::File,
    keys::{Keys, Mac},
    later::{Found, Later},
    place::Place,
    record::{CommitMacs, MAGIC, NoRecord, Proof, RECORD_BYTES_MIN, Record},
    run::Entry,
    walk::Window,
};
use crate::limits::RECORD_BYTES_MAX;

/// The code of SHA2-256 in multihashes.
const SHA2_256: u64 = 0x12;

/// The end of the proven part of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    /// The offset in the segment, or 0 if it has no descriptor yet.
    pub(crate) end: u64,
    /// The MAC of the last commit, or zeros before the first one.
    pub(crate) mac: Mac,
    /// The number of the last commit, or 0 before the first one.
    pub(crate) seq: u64,
    /// The offset of the last commit of the segment, or of its header if that commit is the first. Equals `end` while
    /// there is no commit.
    pub(crate) last_from: u64,
    /// Whether the last commit records that the handle was closed after it.
    pub(crate) closed: bool,
}

/// A proven commit.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) record: Record,
    /// The sections before the record, in the order of the log.
    pub(crate) sections: Vec<Stored>,
}

/// A section of a commit. It does not contain the CID, because a commit may have tens of millions of sections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) data_bytes: u32,
}

impl Stored {
    pub(crate) fn new(keys: &Keys, segment: u32, section: &SectionOffsets) -> Self {
        // A section ends within the 32 bits of an offset.
        let data_bytes = section.data_bytes as u32;
        Self { entry: (keys.fingerprint(&section.cid), Place::new(segment, section)), data_bytes }
    }

    pub(crate) fn place(&self) -> Place {
        self.entry.1
    }
}

impl Commit {
    /// The index entries of the blocks that it put, which are its sections without the values of rows; and its record.
    pub(crate) fn into_puts(self) -> (Vec<Entry>, Record) {
        let Self { record, mut sections } = self;
        if !record.rows.is_empty() {
            let values: BTreeSet<u64> = record.rows.iter().filter_map(|row| row.value.map(u64::from)).collect();
            sections.retain(|section| !values.contains(&section.place().offset()));
        }
        // This reuses the memory of the sections, of which one commit may have millions.
        (sections.into_iter().map(|section| section.entry).collect(), record)
    }
}

/// What follows the last proven commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    Nothing,
    /// Bytes of a commit that was never acknowledged.
    Torn,
    /// Bytes that were synced have changed. Contains the evidence.
    Damaged(&'static str),
}

/// Why a segment cannot be read.
#[derive(Debug)]
pub(crate) enum Unread {
    Io(io::Error),
    /// It uses a later version of the format.
    Unsupported(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads on from `position`, and moves it past each proven commit. Commits up to the number `acknowledged` are known to
/// be synced.
///
/// A commit counts if its MAC covers all its bytes. A synced commit also counts if only the data of its blocks were
/// changed: other MACs prove its record and the names of its blocks, and each block is checked against its CID when it
/// is read.
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
                    || Later::of(commit.record.seq, position.segment, end).find(keys, &mut window)? == Found::Yes =>
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
    // A segment gets its first bytes together with its first commit, so without that commit it has none.
    if position.end == descriptor::begin_bytes(keys) {
        position.end = 0;
    }
    classify(keys, &mut window, len, position)
}

/// What can be said of the bytes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// All are as they were written.
    Whole,
    /// Some are not, and the hash of the block at this offset shows that they are its own.
    DamagedBlock(u64),
    /// Some are not, and no hash shows which.
    Changed,
}

/// Judges the bytes of the commit that begins at `position`.
pub(crate) fn bytes_of(keys: &Keys, file: &dyn File, position: &Position) -> Result<Bytes, Unread> {
    let mut window = Window::new(file, file.file_bytes()?);
    let Some((commit, _, proof)) = next(keys, &mut window, position)? else { return Ok(Bytes::Changed) };
    if matches!(proof, Proof::Whole(_)) {
        return Ok(Bytes::Whole);
    }
    for place in commit.sections.iter().map(Stored::place) {
        let Some(section) = window.section(place.offset())? else { continue };
        let data = window.read(section.data_offset, usize::try_from(section.data_bytes).unwrap_or(usize::MAX))?;
        if matches!(check_hash(&section.cid, data), HashCheck::Mismatch(_)) {
            return Ok(Bytes::DamagedBlock(section.offset));
        }
    }
    Ok(Bytes::Changed)
}

/// What the file with the next segment's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next segment of this log.
    Follows,
    /// A segment of another log, from a compaction that was interrupted, or that ended after the manifest was read.
    OtherLog,
    /// A segment of this log that follows another commit than the last one that was read. It was begun after that
    /// commit had been synced. Contains the MAC of the commit that it follows.
    Begun(Mac),
    /// A segment without a complete beginning.
    Unfinished,
}

/// Classifies the file after `position`, the end of a segment. `named_to` is the last segment that the manifest names.
pub(crate) fn next_segment(keys: &Keys, file: &dyn File, position: &Position, named_to: u32) -> Result<Next, Unread> {
    let mut after = Position { segment: position.segment + 1, ..*position };
    let bytes = descriptor::begin_bytes(keys).min(file.file_bytes()?);
    let mut window = Window::new(file, bytes);
    Ok(match beginning(keys, &mut window)? {
        Some(found) if found.compacted && found.segment > named_to => Next::OtherLog,
        _ if begin(keys, &mut window, &mut after)? => Next::Follows,
        Some(found) if found.segment == after.segment => Next::Begun(found.previous),
        _ => Next::Unfinished,
    })
}

/// The descriptor of a segment of this store, or `None` if the beginning is incomplete.
pub(crate) fn beginning(keys: &Keys, window: &mut Window<'_>) -> Result<Option<Descriptor>, Unread> {
    let bytes = descriptor::begin_bytes(keys);
    let begin = window.read(0, usize::try_from(bytes).unwrap_or(0))?;
    let Some(section) = descriptor::section(begin).filter(|section| section.end() == bytes) else { return Ok(None) };
    let data = begin.get(section.data_offset as usize..).unwrap_or_default();
    match Descriptor::decode(data, keys) {
        Ok(found) => Ok(descriptor::has_root(begin, section.cid).then_some(found)),
        Err(NoDescriptor::Flags(flags)) => Err(Unread::Unsupported(format!("a segment with flags {flags:#x}"))),
        Err(NoDescriptor::Invalid | NoDescriptor::OtherStore) => Ok(None),
    }
}

/// Whether the segment begins like the one at `position`. The first segment of a log names the commit before its own.
pub(crate) fn begin(keys: &Keys, window: &mut Window<'_>, position: &mut Position) -> Result<bool, Unread> {
    let Some(found) = beginning(keys, window)? else { return Ok(false) };
    let is_first = position.seq == 0 && position.mac == Mac::default();
    if found.segment != position.segment || found.previous != position.mac || (found.replaces > 0 && !is_first) {
        return Ok(false);
    }
    let bytes = descriptor::begin_bytes(keys);
    (position.end, position.last_from, position.seq) = (bytes, bytes, position.seq.max(found.replaces));
    Ok(true)
}

/// The next commit, its end and its proof, or `None` if none follows.
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
                // A block that was made to look like a record.
                _ => {}
            }
        }
        let start = usize::try_from(section.data_offset - section.offset).unwrap_or(usize::MAX);
        macs.name(window.read(section.offset, start)?);
        window.pieces(&section, |piece| {
            macs.bytes.update(piece);
        })?;
        offset = section.end();
        sections.push(Stored::new(keys, position.segment, &section));
    }
}

pub(crate) fn may_be_record(window: &mut Window<'_>, section: &SectionOffsets) -> io::Result<bool> {
    let cid = section.cid;
    let fits = cid.version() == Version::V1
        && cid.codec() == RAW
        && cid.hash().code() == SHA2_256
        && (RECORD_BYTES_MIN as u64..=RECORD_BYTES_MAX).contains(&section.data_bytes);
    Ok(fits && window.read(section.data_offset, MAGIC.len())? == MAGIC)
}

/// Classifies the bytes between `position` and the end of the file.
///
/// A commit is written completely before it is synced, and the next one begins only after that. Suppose a record of
/// this store is later than `position`, and was written when something after `position` had been synced. Then
/// acknowledged bytes were changed.
fn classify(keys: &Keys, window: &mut Window<'_>, len: u64, position: &Position) -> Result<Tail, Unread> {
    if len <= position.end {
        return Ok(if len == position.end { Tail::Nothing } else { Tail::Damaged("it is shorter than it was") });
    }
    match Later::of(position.seq, position.segment, position.end + 1).find(keys, window)? {
        Found::Yes => Ok(Tail::Damaged("a later commit shows that it was whole once")),
        Found::No => Ok(Tail::Torn),
        // Truncating here could remove acknowledged bytes.
        Found::Unknown => Ok(Tail::Damaged("too many bytes resemble commit records to check them all")),
    }
}

/// Classifies a file that has the name of the segment after `position` but does not begin like that segment.
pub(crate) fn classify_next(keys: &Keys, file: &dyn File, position: &Position) -> Result<Tail, Unread> {
    let len = file.file_bytes()?;
    let next = Position { segment: position.segment + 1, seq: position.seq, ..Position::default() };
    classify(keys, &mut Window::new(file, len), len, &next)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use mnem_store_traits::cid_of;

    use super::*;

    /// A file in memory that counts the bytes read from it.
    #[derive(Debug)]
    struct Counted(Vec<u8>, AtomicU64);

    impl File for Counted {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let mut rest = self.0.get(offset as usize..).unwrap_or_default();
            let read = io::Read::read(&mut rest, buffer)?;
            self.1.fetch_add(read as u64, Ordering::Relaxed);
            Ok(read)
        }

        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn file_bytes(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn sync_data(&self) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// A tail with the beginning of a record every `space` bytes. Each one claims the rest of the tail.
    fn claims(bytes: usize, space: usize) -> Vec<u8> {
        let mut tail = Vec::new();
        while tail.len() + 2 * space <= bytes {
            let at = tail.len();
            SectionOffsets::write_start(&cid_of(RAW, b""), (bytes - at - 64) as u64, at as u64, &mut tail);
            tail.extend(MAGIC);
            tail.extend(1u64.to_le_bytes());
            [at, at, 0, at].iter().for_each(|number| tail.extend((*number as u32).to_le_bytes()));
            tail.resize(at + space, 0);
        }
        tail.resize(bytes, 0);
        tail
    }

    /// The result of `classify`, and the number of bytes read for each byte of the tail.
    fn classified(tail: Vec<u8>) -> (Tail, u64) {
        let file = Counted(tail, AtomicU64::new(0));
        let len = file.0.len() as u64;
        let keys = Keys::new().unwrap();
        let found = classify(&keys, &mut Window::new(&file, len), len, &Position::default()).unwrap();
        (found, file.1.load(Ordering::Relaxed) / len)
    }

    #[test]
    fn a_tail_is_read_a_few_times_whatever_it_claims() {
        let (found, times) = classified(claims(4 << 20, 4096));
        assert!(matches!(found, Tail::Damaged(_)) && times <= 16, "claims: {found:?}, read {times} times");
        let (found, times) = classified(claims(4 << 20, 2 << 20));
        assert!(found == Tail::Torn && times <= 16, "one claim: {found:?}, read {times} times");
        let (found, times) = classified(MAGIC.iter().copied().cycle().take(3 << 20).collect());
        assert!(found == Tail::Torn && times <= 4, "nothing but magic: {found:?}, read {times} times");
    }
}
