//! Iterates over all blocks and values of the log, in order, and proves that none is left out.

use mnem_car::SectionOffsets;
use mnem_store_traits::StoreError;

use super::{
    descriptor,
    keys::{Keys, Mac},
    record::{CommitMacs, Record},
    replay::{Position, begin, may_be_record},
    walk::{Seen, Window},
};
use crate::{
    error::{at, damaged},
    limits::LISTED_BYTES,
    source::unread,
    tables::Layout,
    view::Segment,
};

/// How many bytes of section starts are hashed at once.
const STARTS_BYTES: usize = 64 * 1024;

/// Iterates over the segments as they were when the iteration began. The names MAC of each commit proves the lengths
/// and CIDs of its sections. The data of the blocks are not read.
#[derive(Debug)]
pub(crate) struct Sections {
    segments: std::vec::IntoIter<Segment>,
    current: Option<Segment>,
    /// The offset of the next section.
    offset: u64,
    /// The offset of its commit.
    from: u64,
    /// The MAC of the previous commit.
    mac: Mac,
    seq: u64,
    /// The number of commits passed so far.
    commits: u64,
    macs: CommitMacs,
    /// Where the commits of the last page begin.
    page_commits: Vec<Position>,
    /// Starts of sections that are not in `macs` yet.
    starts: Vec<u8>,
    /// The bytes of the current segment that the last page has read.
    seen: Seen,
}

impl Sections {
    pub(crate) fn new(keys: &Keys, segments: Vec<Segment>) -> Self {
        let mut segments = segments.into_iter();
        let current = segments.next();
        let (mac, macs) = (Mac::default(), CommitMacs::new(keys, &Mac::default(), 0));
        Self {
            segments,
            current,
            offset: 0,
            from: 0,
            mac,
            seq: 0,
            commits: 0,
            macs,
            page_commits: Vec::new(),
            starts: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Where the next page begins. `None` at the end of the log.
    pub(crate) fn at(&self) -> Option<(u32, u64)> {
        self.current.as_ref().map(|segment| (segment.number, self.offset))
    }

    /// The number of commits passed so far.
    pub(crate) fn commits(&self) -> u64 {
        self.commits
    }

    /// Where the commit of a section of the last page begins.
    pub(crate) fn commit_of(&self, offset: u64) -> Position {
        let at = self.page_commits.partition_point(|commit| commit.end <= offset);
        at.checked_sub(1).and_then(|at| self.page_commits.get(at)).copied().unwrap_or_default()
    }

    /// The sections of the next part of the log, and their segment; `None` at the end. A part may have no sections.
    pub(crate) fn next_page(
        &mut self,
        keys: &Keys,
        layout: &Layout,
    ) -> Result<Option<(u32, Vec<SectionOffsets>)>, StoreError> {
        let Some(Segment { number, file, end, .. }) = self.current.clone() else { return Ok(None) };
        let path = layout.segment(number);
        let mut window = Window::go_on(&*file, end, LISTED_BYTES, std::mem::take(&mut self.seen));
        // The first section of a page may be in the middle of a commit.
        let commit = self.page_commits.pop().filter(|commit| self.offset > 0 && commit.segment == number);
        self.page_commits = commit.into_iter().collect();
        if self.offset == 0 && end > 0 {
            let mut position = Position { segment: number, mac: self.mac, seq: self.seq, ..Position::default() };
            if !begin(keys, &mut window, &mut position).map_err(|error| unread(layout, number, error))? {
                return Err(damaged(&path, "its beginning is incomplete"));
            }
            (self.offset, self.seq) = (descriptor::begin_bytes(keys), position.seq);
            self.begin_commit(keys, number);
        }
        let page_end = self.offset + LISTED_BYTES as u64;
        let mut sections = Vec::new();
        while self.offset < end.min(page_end) {
            let section = window.section(self.offset).map_err(at("read", &path))?;
            let Some(section) = section else {
                return Err(damaged(&path, format!("no block begins at byte {}", self.offset)));
            };
            self.offset = section.end();
            if self.is_record(keys, number, &mut window, &section).map_err(at("read", &path))? {
                self.begin_commit(keys, number);
            } else {
                sections.push(section);
            }
        }
        if self.offset >= end {
            if self.from != end && end > 0 {
                return Err(damaged(&path, format!("the commit at byte {} is incomplete", self.from)));
            }
            (self.current, self.offset) = (self.segments.next(), 0);
        } else {
            self.seen = window.into_seen();
        }
        Ok(Some((number, sections)))
    }

    fn begin_commit(&mut self, keys: &Keys, segment: u32) {
        self.from = self.offset;
        let (mac, seq) = (self.mac, self.seq);
        self.page_commits.push(Position { segment, end: self.from, mac, seq, ..Position::default() });
        self.macs = CommitMacs::new(keys, &self.mac, segment);
        self.starts.clear();
    }

    /// Whether a section is the record that ends the commit. If not, it belongs to the commit.
    fn is_record(
        &mut self,
        keys: &Keys,
        segment: u32,
        window: &mut Window<'_>,
        section: &SectionOffsets,
    ) -> std::io::Result<bool> {
        if may_be_record(window, section)? {
            let data = window.read(section.data_offset, usize::try_from(section.data_bytes).unwrap_or(usize::MAX))?;
            if let Ok(record) = Record::decode(data, keys, segment, section.offset) {
                self.macs.name(&self.starts);
                self.starts.clear();
                let mac = self.macs.prove_names(data);
                if let Some(mac) = mac.filter(|_| u64::from(record.from) == self.from && record.seq == self.seq + 1) {
                    (self.mac, self.seq) = (mac, record.seq);
                    self.commits += 1;
                    return Ok(true);
                }
            }
        }
        let start = usize::try_from(section.data_offset - section.offset).unwrap_or(usize::MAX);
        self.starts.extend_from_slice(window.read(section.offset, start)?);
        if self.starts.len() >= STARTS_BYTES {
            self.macs.name(&self.starts);
            self.starts.clear();
        }
        Ok(false)
    }
}
