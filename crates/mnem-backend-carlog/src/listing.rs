//! Lists every block, in the order of the log.

use std::sync::Arc;

use mnem_store_traits::{Cid, StoreError};

use crate::{
    engine::sections::Sections,
    error::damaged,
    handle::Handle,
    view::{Epoch, Segment},
};

/// A segment and an offset in it.
type Spot = (u32, u64);

/// Iterates over the segments as they were when the iteration began. A section is listed if the index says that its
/// block is at this place.
///
/// No lock is held between two pages. A block that stays in the store has one place, so it is listed once.
///
/// If a compaction replaces the log meanwhile, the listing continues on the old files as long as they are open, and
/// uses their last index. If it needs one that was closed, it continues with the new log, and lists the blocks that it
/// had not passed in the old one.
pub(crate) struct Listing<'a> {
    handle: &'a Handle,
    epoch: Arc<Epoch>,
    /// `None` after a failure.
    sections: Option<Sections>,
    /// The end of the log when the iteration over it began.
    end: Spot,
    /// The logs that were left before their end.
    left: Vec<Left>,
    page: std::vec::IntoIter<Cid>,
}

/// A log that a listing left before its end.
struct Left {
    epoch: Arc<Epoch>,
    /// What was still to be listed.
    from: Spot,
    to: Spot,
}

fn end_of(segments: &[Segment]) -> Spot {
    segments.last().map_or((0, 0), |segment| (segment.number, segment.end))
}

impl<'a> Listing<'a> {
    pub(crate) fn new(handle: &'a Handle) -> Self {
        let (segments, epoch) = {
            let view = handle.view();
            (view.segments_to_end(), view.epoch.clone())
        };
        let end = end_of(&segments);
        let sections = Some(Sections::new(&handle.keys, segments));
        Self { handle, epoch, sections, end, left: Vec::new(), page: Vec::new().into_iter() }
    }

    /// The blocks of the next part of the log, or `None` at the end. A part may have no blocks.
    fn next_page(&mut self) -> Result<Option<Vec<Cid>>, StoreError> {
        let Self { handle, epoch, sections: Some(sections), .. } = self else { return Ok(None) };
        let Some(at) = sections.at() else { return Ok(None) };
        let (segment, sections) = match sections.next_page(&handle.keys, &handle.layout) {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.go_on_in_other_log(at, error)?;
                return Ok(Some(Vec::new()));
            }
        };
        let are_blocks = handle.are_blocks(epoch, segment, &sections)?;
        let blocks = sections.iter().zip(are_blocks).filter(|(_, is_block)| *is_block);
        let mut blocks: Vec<Cid> = blocks.map(|(section, _)| section.cid).collect();
        for left in &self.left {
            blocks = left.remaining(handle, blocks)?;
        }
        Ok(Some(blocks))
    }

    /// Fails if no other log is the reason of the error.
    fn go_on_in_other_log(&mut self, at: Spot, error: StoreError) -> Result<(), StoreError> {
        let mut tried = Some(self.epoch.clone());
        self.handle.find_other_log(&mut tried, error)?;
        let (segments, epoch) = {
            let view = self.handle.view();
            (view.segments_to_end(), view.epoch.clone())
        };
        let epoch = std::mem::replace(&mut self.epoch, epoch);
        self.left.push(Left { epoch, from: at, to: self.end });
        self.end = end_of(&segments);
        self.sections = Some(Sections::new(&self.handle.keys, segments));
        Ok(())
    }
}

impl Left {
    /// Those of the blocks that were still to be listed in this log. Others were listed already, or were put after the
    /// listing had begun.
    fn remaining(&self, handle: &Handle, blocks: Vec<Cid>) -> Result<Vec<Cid>, StoreError> {
        let mut remaining = Vec::with_capacity(blocks.len());
        for cid in blocks {
            if self.was_to_come(handle, &cid)? {
                remaining.push(cid);
            }
        }
        Ok(remaining)
    }

    fn was_to_come(&self, handle: &Handle, cid: &Cid) -> Result<bool, StoreError> {
        let Some(retired) = self.epoch.retired() else { return Ok(false) };
        let mut search = retired.index.search(handle.keys.fingerprint(cid));
        let mut found = None;
        while let Some(place) = search.next().map_err(|error| handle.unanswered_by_retired(error))? {
            let spot = (place.segment(), place.offset());
            let is_to_come = self.from <= spot && spot < self.to;
            // The places of two blocks of one fingerprint. The log that tells which is which is gone.
            if found.is_some_and(|found| found != is_to_come) {
                let why = "two blocks share a fingerprint, and a compaction removed the log: begin again";
                return Err(damaged(handle.layout.root(), why));
            }
            found = Some(is_to_come);
        }
        Ok(found.unwrap_or(false))
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<Cid, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(cid) = self.page.next() {
                return Some(Ok(cid));
            }
            match self.next_page() {
                Ok(page) => self.page = page?.into_iter(),
                Err(error) => {
                    self.sections = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
