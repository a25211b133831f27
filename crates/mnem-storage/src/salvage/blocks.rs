//! Copies blocks and heads: first the listed blocks, then those that links lead to.

use std::{collections::HashSet, mem};

use mnem_store_traits::{Bytes, Cid, Store, StoreError, WriteBatch, backend::check_size, is_checkable, links};

use super::SalvageReport;
use crate::{
    CopyError, FaultKind, Progress, Stage,
    copy::{Ended, OfAStore as _},
    limits::{COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX},
    progress::{Cancelled, OnProgress},
    scan::{self, Sink, Way},
    verify::Findings,
};

/// A salvage in progress.
pub(super) struct Salvage<'a> {
    pub(super) to: &'a dyn Store,
    pub(super) found: Findings,
    pub(super) report: SalvageReport,
    pub(super) done: Progress,
    progress: OnProgress<'a>,
    batch: WriteBatch,
    /// The blocks of the batch.
    batched: HashSet<Cid>,
    batch_bytes: u64,
    /// Whether each lookup in the target is a request over a network, so that many blocks are looked up at once.
    asks_together: bool,
    /// The blocks of the next links that the target did not hold when it was asked. Each is copied when its link is
    /// followed, which happens once.
    expected: HashSet<Cid>,
    /// Blocks that are known to be lost. Each was reported once.
    pub(super) lost: HashSet<Cid>,
    /// The heads of the source. `None` if they could not be read.
    heads: Option<Vec<Cid>>,
    /// Heads of commits in the raw files, those of the newest commit first.
    pub(super) recorded: Vec<Vec<Cid>>,
    /// How often a listing may still break off. In a damaged structure, finding the place to continue takes long.
    pub(super) listing_breaks_left: usize,
    /// Whether every block of the source whose hash can be checked was copied.
    pub(super) has_searched_raw: bool,
}

impl<'a> Salvage<'a> {
    pub(super) fn new(to: &'a dyn Store, found: Findings, progress: OnProgress<'a>) -> Self {
        Self {
            to,
            found,
            report: SalvageReport::default(),
            done: Progress::of(Stage::Blocks),
            progress,
            batch: WriteBatch::new(),
            batched: HashSet::new(),
            batch_bytes: 0,
            asks_together: to.capabilities().batched_reads,
            expected: HashSet::new(),
            lost: HashSet::new(),
            heads: None,
            recorded: Vec::new(),
            listing_breaks_left: usize::MAX,
            has_searched_raw: false,
        }
    }

    /// Copies the listed blocks of the source.
    pub(super) fn listed(&mut self, from: &dyn Store) -> Result<(), Ended> {
        self.tell()?;
        let copied = scan::listed(from, HashSet::new(), self);
        self.flush()?;
        copied
    }

    /// Reads the heads of the source, and copies blocks that only links lead to.
    pub(super) fn linked(&mut self, from: &dyn Store) -> Result<(), Ended> {
        let heads = scan::heads(from, self)?;
        let followed = self.follow(from, heads.as_deref());
        self.flush()?;
        self.heads = heads;
        followed
    }

    /// Follows links from the heads or, without heads, from all copied blocks, and copies the blocks that it finds.
    fn follow(&mut self, from: &dyn Store, heads: Option<&[Cid]>) -> Result<(), Ended> {
        let to = self.to;
        let mut seen = HashSet::new();
        let mut follow = |root: Cid| scan::follow(from, &[root], &mut seen, self);
        match heads {
            Some(heads) => heads.iter().copied().try_for_each(follow),
            None => to.cids().of_target()?.try_for_each(|cid| follow(cid.of_target()?)),
        }
    }

    /// Sets the heads whose blocks were copied.
    pub(super) fn heads(&mut self) -> Result<(), Ended> {
        let mut there = self.copied(self.heads.as_deref().unwrap_or_default())?;
        let is_without_heads = self.heads.as_ref().is_some_and(Vec::is_empty);
        // After a commit without heads, those of earlier commits are no heads either.
        for heads in self.recorded.iter().take_while(|heads| !is_without_heads && !heads.is_empty()) {
            if there.is_empty() {
                there = self.copied(heads)?;
                self.report.heads_from_raw = !there.is_empty();
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        batch.require_all(there.iter().copied()).update_all(there.iter().copied(), []);
        self.to.commit(&batch).of_target()?;
        self.report.heads.extend(there);
        Ok(())
    }

    /// Those of these blocks that were copied.
    pub(super) fn copied(&self, cids: &[Cid]) -> Result<Vec<Cid>, Ended> {
        let present = if cids.is_empty() { Vec::new() } else { self.to.has_many(cids).of_target()? };
        Ok(cids.iter().zip(present).filter(|(_, is_present)| *is_present).map(|(cid, _)| *cid).collect())
    }

    /// Whether the block was copied or is in the current batch.
    pub(super) fn has(&self, cid: &Cid) -> Result<bool, Ended> {
        Ok(self.batched.contains(cid) || self.to.has(cid).of_target()?)
    }

    pub(super) fn take(&mut self, cid: Cid, data: Bytes) -> Result<(), Ended> {
        let block_bytes = data.len() as u64;
        if let Err(refused) = check_size(&cid, &data, self.to.capabilities().block_bytes_max) {
            self.absent(FaultKind::Unreadable, cid, format!("the target does not accept block {cid}: {refused}"));
            return Ok(());
        }
        if self.batched.len() >= COPY_BATCH_ITEMS_MAX || self.batch_bytes + block_bytes > COPY_BATCH_BYTES_MAX {
            self.flush()?;
        }
        if is_checkable(&cid) {
            self.batch.put(cid, data)
        } else {
            self.batch.put_trusted(cid, data)
        };
        self.batched.insert(cid);
        self.batch_bytes += block_bytes;
        self.report.blocks += 1;
        self.report.bytes += block_bytes;
        self.report.unchecked += u64::from(!is_checkable(&cid));
        self.done.add(block_bytes);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), CopyError> {
        if self.batched.is_empty() {
            return Ok(());
        }
        self.batched.clear();
        self.batch_bytes = 0;
        self.to.commit(&mem::take(&mut self.batch)).of_target()
    }

    /// Records an error of the source as a fault, unless the source was closed.
    pub(super) fn fault(&mut self, kind: FaultKind, cid: Option<Cid>, error: StoreError) -> Result<(), Ended> {
        Ok(self.found.error(kind, cid, error).of_source()?)
    }
}

/// Copies the blocks that it receives.
impl Sink for Salvage<'_> {
    type Ended = Ended;
    const READS_ALL: bool = false;

    fn expect(&mut self, links: &[Cid]) -> Result<(), Ended> {
        if self.asks_together && !links.is_empty() {
            let present = self.to.has_many(links).of_target()?;
            self.expected.extend(links.iter().zip(present).filter(|(_, is_present)| !is_present).map(|(cid, _)| *cid));
        }
        Ok(())
    }

    /// A block that was copied or is lost.
    fn known(&mut self, cid: &Cid) -> Result<Option<Vec<Cid>>, Ended> {
        if !self.expected.remove(cid)
            && let Some(data) = self.to.get(cid).of_target()?
        {
            return Ok(Some(links(cid, &data).unwrap_or_default()));
        }
        Ok(self.lost.contains(cid).then(Vec::new))
    }

    fn block(&mut self, cid: Cid, data: Bytes, way: Way) -> Result<Vec<Cid>, Ended> {
        let links = match way {
            Way::Listed => Vec::new(),
            Way::Linked => links(&cid, &data).unwrap_or_default(),
        };
        self.report.walked += u64::from(way == Way::Linked);
        self.take(cid, data)?;
        Ok(links)
    }

    fn absent(&mut self, kind: FaultKind, cid: Cid, what: String) {
        if self.lost.insert(cid) {
            self.found.fault(kind, Some(cid), what);
        }
    }

    fn unreadable(&mut self, kind: FaultKind, cid: Cid, error: StoreError, _way: Way) -> Result<(), Ended> {
        if self.lost.insert(cid) { self.fault(kind, Some(cid), error) } else { Ok(()) }
    }

    fn error(&mut self, kind: FaultKind, error: StoreError) -> Result<(), Ended> {
        if kind == FaultKind::Listing {
            self.listing_breaks_left = self.listing_breaks_left.saturating_sub(1);
        }
        self.fault(kind, None, error)
    }

    fn is_worth_reading(&self, cid: &Cid) -> bool {
        !self.has_searched_raw || !is_checkable(cid)
    }

    fn is_worth_listing(&self) -> bool {
        self.listing_breaks_left > 0
    }

    fn tell(&mut self) -> Result<(), Cancelled> {
        Cancelled::check((self.progress)(self.done))
    }
}
