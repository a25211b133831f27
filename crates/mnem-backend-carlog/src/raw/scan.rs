//! Scans all segments of a folder.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    vec,
};

use mnem_car::SectionOffsets;
use mnem_store_traits::{
    Bytes, Cid, Outcome, StoreError,
    backend::{HashCheck, check_hash},
    driver::{RawFind, RawScan},
    is_checkable,
};

use super::frames::{Frame, Frames, Step};
use crate::{
    engine::{
        descriptor::{self, Descriptor, HEADER_BYTES},
        files::{File, Files},
        keys::Keys,
        record::{self, Record},
    },
    error::{at, damaged, failed},
    limits::{RAW_HEADS_MAX, RAW_VALUES_MAX, RECORD_BYTES_MAX, WINDOW_BYTES},
};

/// A scan of the segments of a folder.
pub(super) struct Scan {
    files: Arc<dyn Files>,
    keys: Option<Keys>,
    segments: vec::IntoIter<Listed>,
    total_bytes: u64,
    current: Option<Segment>,
    found: VecDeque<Found>,
    /// The last block that was named, unless its bytes are wrong.
    last: Option<SectionOffsets>,
    /// The heads of the newest commits, by the number of the commit. Those of an interrupted compaction, with `false`,
    /// are older than all others.
    heads: BTreeMap<(bool, u64), Vec<Cid>>,
    /// The highest number of a commit in the segments before the current one, without those of interrupted
    /// compactions.
    last_seq: u64,
    /// The number and origin of the segment before the current one.
    before: Option<(u32, Origin)>,
}

/// Who wrote a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A compaction that was interrupted: the log that it was to replace went on.
    Interrupted,
    /// A compaction. Its log may have replaced the other one.
    Compaction,
    Commits,
}

/// A segment that was not opened yet.
struct Listed {
    number: u32,
    path: PathBuf,
    /// Its length, or `None` if it cannot be opened.
    bytes: Option<u64>,
}

/// The segment being scanned: first for records, then for blocks.
struct Segment {
    number: u32,
    path: PathBuf,
    file: Arc<dyn File>,
    bytes: u64,
    frames: Frames,
    /// The offsets of values of side tables. `None` while records are searched.
    values: Option<HashSet<u64>>,
    /// Those found so far.
    named: HashSet<u64>,
    origin: Origin,
    /// The highest number of a commit in it.
    last_seq: u64,
    /// The end of the last stretch that was reported.
    reported: u64,
}

/// A result that is still to be returned.
enum Found {
    Find(RawFind),
    Block(SectionOffsets, bool),
    Failed(StoreError),
}

impl Scan {
    pub(super) fn new(files: Arc<dyn Files>, keys: Option<Keys>, segments: Vec<(u32, PathBuf)>) -> Self {
        let bytes = |path: &PathBuf| files.open(path, false).ok().flatten().and_then(|file| file.file_bytes().ok());
        let listed = |(number, path): (u32, PathBuf)| Listed { number, bytes: bytes(&path), path };
        let segments: Vec<Listed> = segments.into_iter().map(listed).collect();
        let total_bytes = segments.iter().filter_map(|segment| segment.bytes).sum();
        Self {
            files,
            keys,
            segments: segments.into_iter(),
            total_bytes,
            current: None,
            found: VecDeque::new(),
            last: None,
            heads: BTreeMap::new(),
            last_seq: 0,
            before: None,
        }
    }

    /// Scans one more section or stretch. Returns whether there is more.
    fn advance(&mut self) -> bool {
        let Some(mut segment) = self.current.take() else {
            let Some(listed) = self.segments.next() else { return false };
            match self.begin(listed) {
                Ok(segment) => self.current = Some(segment),
                Err(error) => self.found.push_back(Found::Failed(error)),
            }
            return true;
        };
        match segment.frames.step() {
            Step::Frame(frame) => self.frame(&mut segment, frame),
            Step::Searched => {}
            Step::End if segment.values.is_none() => {
                self.end_records(&segment);
                segment.values = Some(std::mem::take(&mut segment.named));
                segment.frames = Frames::new(segment.file.clone(), segment.bytes);
                segment.reported = 0;
            }
            Step::End => {
                self.end(&segment);
                return true;
            }
        }
        self.report(&mut segment);
        self.current = Some(segment);
        true
    }

    fn begin(&mut self, Listed { number, path, bytes }: Listed) -> Result<Segment, StoreError> {
        let file = self.files.open(&path, false).map_err(at("open", &path))?;
        let (Some(file), Some(bytes)) = (file, bytes) else {
            // Also if it could be opened when the scan began, and was removed since.
            self.found.extend(bytes.map(|bytes| Found::Find(RawFind::Scanned(bytes))));
            return Err(damaged(&path, "it cannot be opened"));
        };
        let frames = Frames::new(file.clone(), bytes);
        Ok(Segment {
            number,
            path,
            file,
            bytes,
            frames,
            values: None,
            named: HashSet::new(),
            origin: Origin::Commits,
            last_seq: 0,
            reported: 0,
        })
    }

    fn frame(&mut self, segment: &mut Segment, frame: Frame) {
        let Frame { section, is_whole } = frame;
        let Some(values) = &segment.values else {
            if is_whole && section.offset == HEADER_BYTES {
                self.take_descriptor(segment, &section);
            }
            // The records are before the blocks, so that values are known.
            if let Some(record) = self.record(segment, frame) {
                self.take_record(segment, record);
            }
            return;
        };
        let is_descriptor = section.offset == HEADER_BYTES && segment.frames.begins_with(&section, &descriptor::MAGIC);
        if !values.contains(&section.offset) && !is_descriptor && self.record(segment, frame).is_none() {
            self.found.push_back(Found::Block(section, is_whole));
        }
    }

    /// The record in a section. Without the keys, a block that looks like a record at its place is taken for one.
    fn record(&self, segment: &mut Segment, Frame { section, is_whole }: Frame) -> Option<Record> {
        let is_likely =
            is_whole && section.data_bytes <= RECORD_BYTES_MAX && segment.frames.begins_with(&section, &record::MAGIC);
        let data = is_likely.then(|| segment.frames.data(&section)).flatten()?;
        match &self.keys {
            Some(keys) => Record::decode(&data, keys, segment.number, section.offset).ok(),
            None => Record::decode_unproved(&data, section.offset).ok(),
        }
    }

    fn take_record(&mut self, segment: &mut Segment, record: Record) {
        // Without the keys, the record may be a block that somebody made to hide the blocks that it names.
        if self.keys.is_some() {
            let values = record.rows.iter().filter_map(|row| row.value.map(u64::from));
            let room = RAW_VALUES_MAX.saturating_sub(segment.named.len());
            segment.named.extend(values.take(room));
        }
        segment.last_seq = segment.last_seq.max(record.seq);
        let Some(heads) = record.heads else { return };
        self.found.extend(heads.iter().map(|head| Found::Find(RawFind::Head(*head))));
        if self.keys.is_some() {
            self.heads.insert((segment.origin != Origin::Interrupted, record.seq), heads);
            while self.heads.len() > 1 && self.heads.values().map(Vec::len).sum::<usize>() > RAW_HEADS_MAX {
                self.heads.pop_first();
            }
        }
    }

    /// A log that a compaction replaced has no commit after the one that the new log names. And a compaction writes its
    /// segments one after another.
    fn take_descriptor(&self, segment: &mut Segment, section: &SectionOffsets) {
        let Some(keys) = &self.keys else { return };
        let descriptor = segment.frames.data(section).and_then(|data| Descriptor::decode(&data, keys).ok());
        let Some(Descriptor { compacted: true, replaces, .. }) = descriptor else { return };
        let is_interrupted = match self.before {
            _ if replaces > 0 => self.last_seq > replaces,
            Some((number, origin)) => number + 1 == segment.number && origin != Origin::Compaction,
            None => false,
        };
        segment.origin = if is_interrupted { Origin::Interrupted } else { Origin::Compaction };
    }

    fn end_records(&mut self, segment: &Segment) {
        if segment.origin != Origin::Interrupted {
            self.last_seq = self.last_seq.max(segment.last_seq);
        }
        self.before = Some((segment.number, segment.origin));
    }

    fn end(&mut self, segment: &Segment) {
        let rest = segment.bytes - segment.reported;
        self.found.extend((rest > 0).then_some(Found::Find(RawFind::Scanned(rest))));
        let (skipped, unreadable) = (segment.frames.skipped(), segment.frames.unreadable());
        if unreadable > 0 {
            let what = format!("{unreadable} bytes cannot be read");
            self.found.push_back(Found::Failed(failed("scan", &segment.path, Outcome::NotApplied)(what)));
        }
        if skipped > 0 {
            let why = format!("{skipped} of its {} bytes are not part of a block", segment.bytes);
            self.found.push_back(Found::Failed(damaged(&segment.path, why)));
        }
    }

    /// Reports progress: in the first pass, that there is some.
    fn report(&mut self, segment: &mut Segment) {
        let offset = segment.frames.offset();
        if offset >= segment.reported + WINDOW_BYTES as u64 {
            let scanned = if segment.values.is_some() { offset - segment.reported } else { 0 };
            segment.reported = offset;
            self.found.push_back(Found::Find(RawFind::Scanned(scanned)));
        }
    }
}

impl Iterator for Scan {
    type Item = Result<RawFind, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.last = None;
        while self.found.is_empty() && self.advance() {}
        Some(match self.found.pop_front()? {
            Found::Find(found) => Ok(found),
            Found::Block(section, is_whole) => {
                self.last = Some(section).filter(|section| is_whole && is_checkable(&section.cid));
                Ok(RawFind::Block(section.cid))
            }
            Found::Failed(error) => Err(error),
        })
    }
}

impl RawScan for Scan {
    fn read(&mut self) -> Result<Option<Bytes>, StoreError> {
        let (Some(section), Some(segment)) = (self.last.take(), &self.current) else { return Ok(None) };
        let data = segment.frames.data(&section);
        // It was right when it was found. The file may have changed since.
        Ok(data.filter(|data| check_hash(&section.cid, data) == HashCheck::Match).map(Bytes::from))
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn recorded_heads(&self) -> Vec<Vec<Cid>> {
        self.heads.values().rev().cloned().collect()
    }
}
