//! Marks what the roots reach.

use std::ops::ControlFlow;

use mnem_store_traits::{Cid, FetchAhead, Store, StoreError, is_opaque, links};

use super::{
    CollectError, CollectReport, Ended,
    marks::{Marks, Reached, is_followed},
    parts::Parts,
    pending::Pending,
};
use crate::{
    Absent, Progress, Stage,
    limits::{COLLECT_WAITING_BLOCKS_MAX, MISSING_LISTED_MAX},
    progress::{Cancelled, OnProgress},
    reach::Allowed,
};

/// Marks the blocks that roots reach.
pub(super) struct Marking<'a> {
    store: &'a dyn Store,
    allowed: Allowed,
    /// In ascending order.
    roots: &'a [Cid],
    marks: &'a mut Marks,
    report: &'a mut CollectReport,
    pending: Pending,
    /// Reads ahead, if requesting several blocks at once is faster.
    ahead: Option<FetchAhead>,
}

impl<'a> Marking<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        roots: &'a [Cid],
        allowed: Allowed,
        marks: &'a mut Marks,
        report: &'a mut CollectReport,
    ) -> Self {
        let ahead = store.capabilities().batched_reads.then(FetchAhead::new);
        let pending = Pending::new(COLLECT_WAITING_BLOCKS_MAX);
        Self { store, allowed, roots, marks, report, pending, ahead }
    }

    pub(super) fn run(mut self, progress: OnProgress<'_>) -> Result<(), Ended> {
        let mut done = Progress { total_blocks: Some(self.report.blocks), ..Progress::of(Stage::Links) };
        Cancelled::check(progress(done))?;
        for root in self.roots {
            // The block must be present; otherwise everything that it reaches would look dead.
            if !self.store.has(root)? {
                return Err(StoreError::MissingBlock { cid: *root, linked_from: None }.into());
            }
            done.blocks += u64::from(self.reach(root, None)?);
        }
        while let Some(cid) = self.pending.pop()? {
            for link in self.links_of(&cid)? {
                done.blocks += u64::from(self.reach(&link, Some(&cid))?);
            }
            Cancelled::check(progress(done))?;
        }
        Ok(())
    }

    /// Marks a block. Returns whether it was not marked before. `linked_from` is `None` for a root.
    fn reach(&mut self, cid: &Cid, linked_from: Option<&Cid>) -> Result<bool, CollectError> {
        let reached = self.marks.reach(cid);
        if reached == Reached::Before {
            return Ok(false);
        }
        // It may have been put after the listing.
        if reached == Reached::Unlisted && !self.store.has(cid)? {
            return self.missing(cid, linked_from).map(|()| false);
        }
        if is_followed(cid) {
            self.pending.push(cid);
        } else if is_opaque(cid) {
            if !self.allowed.opaque {
                return Err(CollectError::Opaque { cid: Box::new(*cid) });
            }
            self.report.opaque += 1;
        }
        Ok(true)
    }

    fn missing(&mut self, cid: &Cid, linked_from: Option<&Cid>) -> Result<(), CollectError> {
        match linked_from {
            Some(parent) if self.allowed.missing => {
                self.report.missing_count += 1;
                if self.report.missing.len() < MISSING_LISTED_MAX {
                    self.report.missing.push(Absent { cid: *cid, linked_from: *parent });
                }
                Ok(())
            }
            parent => Err(StoreError::MissingBlock { cid: *cid, linked_from: parent.copied().map(Box::new) }.into()),
        }
    }

    /// The links of a block; none if it cannot be read and the options allow that.
    fn links_of(&mut self, cid: &Cid) -> Result<Vec<Cid>, CollectError> {
        let read = match &mut self.ahead {
            Some(ahead) => ahead
                .get(self.store, cid, self.pending.next())
                .and_then(|data| data.map(|data| links(cid, &data)).transpose()),
            None => lend_links(self.store, cid),
        };
        match read {
            Ok(Some(links)) => Ok(links),
            // Only if its fingerprint equals that of another block. The next run has another key.
            Ok(None) => Err(StoreError::MissingBlock { cid: *cid, linked_from: None }.into()),
            Err(StoreError::Corrupt { .. } | StoreError::Malformed { .. })
                if self.allowed.missing && self.roots.binary_search(cid).is_err() =>
            {
                self.report.unreadable_count += 1;
                if self.report.unreadable.len() < MISSING_LISTED_MAX {
                    self.report.unreadable.push(*cid);
                }
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The links of a block, which is read in place.
fn lend_links(store: &dyn Store, cid: &Cid) -> Result<Option<Vec<Cid>>, StoreError> {
    let mut found = None;
    store.with_block(cid, &mut |data| found = Some(links(cid, data)))?;
    found.transpose()
}

/// Lists the blocks of the store, for [`Marks`] and [`Parts`].
pub(super) fn list(
    store: &dyn Store,
    marks: &mut Marks,
    parts: &mut Parts,
    report: &mut CollectReport,
    progress: OnProgress<'_>,
) -> Result<(), Ended> {
    let mut done = Progress::of(Stage::Counting);
    for cid in store.cids()? {
        let cid = cid?;
        marks.list(&cid);
        parts.list(&cid);
        done.blocks += 1;
        report.blocks = done.blocks;
        if let ControlFlow::Break(()) = progress(done) {
            return Err(Ended::Cancelled);
        }
    }
    marks.listed();
    parts.listed();
    Ok(())
}
