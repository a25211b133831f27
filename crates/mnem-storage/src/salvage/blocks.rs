//! Blocks and heads: those that are listed, then those that links lead to.

use std::{collections::HashSet, mem};

use mnem_store_traits::{Bytes, Cid, Store, StoreError, WriteBatch, is_checkable, links};

use super::SalvageReport;
use crate::{
    CopyError, FaultKind, Progress, Stage,
    copy::{Ended, OfAStore as _},
    limits::{COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX},
    progress::{Cancelled, OnProgress},
    scan::{self, Sink, Way},
    verify::Findings,
};

/// A salvage under way.
pub(super) struct Salvage<'a> {
    pub(super) from: &'a dyn Store,
    pub(super) to: &'a dyn Store,
    pub(super) found: Findings,
    pub(super) report: SalvageReport,
    pub(super) done: Progress,
    progress: OnProgress<'a>,
    batch: WriteBatch,
    batch_items: usize,
    batch_bytes: u64,
    /// Blocks that are known to be lost, each told once.
    lost: HashSet<Cid>,
}

/// The heads of the source, if they could be read.
pub(super) struct Heads(Option<Vec<Cid>>);

impl<'a> Salvage<'a> {
    pub(super) fn new(from: &'a dyn Store, to: &'a dyn Store, found: Findings, progress: OnProgress<'a>) -> Self {
        Self {
            from,
            to,
            found,
            report: SalvageReport::default(),
            done: Progress::of(Stage::Blocks),
            progress,
            batch: WriteBatch::new(),
            batch_items: 0,
            batch_bytes: 0,
            lost: HashSet::new(),
        }
    }

    /// Copies the blocks, and returns the heads.
    pub(super) fn blocks(&mut self) -> Result<Heads, Ended> {
        self.tell()?;
        let copied = scan::listed(self.from, HashSet::new(), self);
        self.flush()?;
        copied?;
        let heads = scan::heads(self.from, self)?;
        let followed = self.linked(heads.as_deref());
        self.flush()?;
        followed.map(|()| Heads(heads))
    }

    /// Follows the links of what came over, from the heads or else from all blocks, and copies what is found on the way.
    fn linked(&mut self, heads: Option<&[Cid]>) -> Result<(), Ended> {
        let (from, to) = (self.from, self.to);
        let mut seen = HashSet::new();
        let mut follow = |root: Cid| scan::follow(from, &[root], &mut seen, self);
        match heads {
            Some(heads) => heads.iter().copied().try_for_each(follow),
            None => to.cids().of_target()?.try_for_each(|cid| follow(cid.of_target()?)),
        }
    }

    /// Sets the heads whose blocks came over.
    pub(super) fn heads(&mut self, heads: &Heads) -> Result<(), Ended> {
        let mut there = Vec::new();
        for head in heads.0.iter().flatten() {
            if self.to.has(head).of_target()? {
                there.push(*head);
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

    fn take(&mut self, cid: Cid, data: Bytes) -> Result<(), Ended> {
        let block_bytes = data.len() as u64;
        if block_bytes > self.to.capabilities().block_bytes_max {
            self.absent(
                FaultKind::Unreadable,
                cid,
                format!("block {cid} has {block_bytes} bytes, more than the target takes"),
            );
            return Ok(());
        }
        if self.batch_items >= COPY_BATCH_ITEMS_MAX || self.batch_bytes + block_bytes > COPY_BATCH_BYTES_MAX {
            self.flush()?;
        }
        if is_checkable(&cid) {
            self.batch.put(cid, data)
        } else {
            self.batch.put_trusted(cid, data)
        };
        self.batch_items += 1;
        self.batch_bytes += block_bytes;
        self.report.blocks += 1;
        self.report.bytes += block_bytes;
        self.report.unchecked += u64::from(!is_checkable(&cid));
        self.done.add(block_bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CopyError> {
        if mem::take(&mut self.batch_items) == 0 {
            return Ok(());
        }
        self.batch_bytes = 0;
        self.to.commit(&mem::take(&mut self.batch)).of_target()
    }

    /// Takes an error of the source as a fault, unless the source was closed.
    pub(super) fn fault(&mut self, kind: FaultKind, cid: Option<Cid>, error: StoreError) -> Result<(), Ended> {
        Ok(self.found.error(kind, cid, error).of_source()?)
    }
}

/// Copies.
impl Sink for Salvage<'_> {
    type Ended = Ended;
    const READS_ALL: bool = false;

    /// A block that came over, or is lost.
    fn known(&mut self, cid: &Cid) -> Result<Option<Vec<Cid>>, Ended> {
        if let Some(data) = self.to.get(cid).of_target()? {
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
        self.fault(kind, None, error)
    }

    fn tell(&mut self) -> Result<(), Cancelled> {
        Cancelled::check((self.progress)(self.done))
    }
}
