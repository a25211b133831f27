//! Blocks and heads: those that are listed, then those that links lead to.

use std::{collections::HashSet, mem};

use mnem_store_traits::{Bytes, Cid, ErrorKind, Store, StoreError, WriteBatch, is_checkable, links};

use super::SalvageReport;
use crate::{
    CopyError, FaultKind, Progress, Stage,
    copy::{Ended, OfAStore as _},
    limits::{COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX},
    progress::{Cancelled, OnProgress},
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
        let copied = self.listed();
        self.flush()?;
        copied?;
        let heads = match self.from.heads() {
            Ok(heads) => Some(heads),
            Err(error) => self.fault(FaultKind::Heads, None, error).map(|()| None)?,
        };
        let followed = self.linked(heads.as_deref());
        self.flush()?;
        followed.map(|()| Heads(heads))
    }

    /// Copies the blocks that are listed.
    fn listed(&mut self) -> Result<(), Ended> {
        let from = self.from;
        let listing = match from.cids() {
            Ok(listing) => listing,
            Err(error) => return self.fault(FaultKind::Listing, None, error),
        };
        for cid in listing {
            match cid {
                Ok(cid) => self.listed_block(&cid)?,
                Err(error) => self.fault(FaultKind::Listing, None, error)?,
            }
            self.tell()?;
        }
        Ok(())
    }

    fn listed_block(&mut self, cid: &Cid) -> Result<(), Ended> {
        match self.from.get(cid) {
            Ok(Some(data)) => self.take(*cid, data),
            Ok(None) => {
                self.lose(FaultKind::Unreadable, *cid, format!("block {cid} is listed and cannot be found by its CID"));
                Ok(())
            }
            Err(error) => self.unreadable(*cid, error),
        }
    }

    /// Follows the links of what came over, from the heads or else from all blocks, and copies what is found on the way.
    fn linked(&mut self, heads: Option<&[Cid]>) -> Result<(), Ended> {
        let to = self.to;
        let mut seen = HashSet::new();
        match heads {
            Some(heads) => heads.iter().try_for_each(|head| self.follow(*head, &mut seen)),
            None => to.cids().of_target()?.try_for_each(|cid| self.follow(cid.of_target()?, &mut seen)),
        }
    }

    fn follow(&mut self, root: Cid, seen: &mut HashSet<Cid>) -> Result<(), Ended> {
        let mut pending: Vec<(Cid, Option<Cid>)> = Vec::new();
        if seen.insert(root) {
            pending.push((root, None));
        }
        while let Some((cid, linked_from)) = pending.pop() {
            let Some(data) = self.linked_block(cid, linked_from)? else { continue };
            for link in links(&cid, &data).unwrap_or_default() {
                if seen.insert(link) {
                    pending.push((link, Some(cid)));
                }
            }
            self.tell()?;
        }
        Ok(())
    }

    /// A block that came over, or does so now.
    fn linked_block(&mut self, cid: Cid, linked_from: Option<Cid>) -> Result<Option<Bytes>, Ended> {
        if let Some(data) = self.to.get(&cid).of_target()? {
            return Ok(Some(data));
        }
        if self.lost.contains(&cid) {
            return Ok(None);
        }
        match self.from.get(&cid) {
            Ok(Some(data)) => {
                self.report.walked += 1;
                self.take(cid, data.clone())?;
                Ok(Some(data))
            }
            Ok(None) => {
                match linked_from {
                    None => self.lose(FaultKind::MissingHead, cid, format!("head {cid} has no block")),
                    Some(parent) => {
                        let what = format!("block {cid} is missing; {parent} links to it");
                        self.lose(FaultKind::MissingLink, cid, what);
                    }
                }
                Ok(None)
            }
            Err(error) => self.unreadable(cid, error).map(|()| None),
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
        let batch = WriteBatch::new().update_all(there.iter().copied(), []);
        self.to.commit(there.iter().copied().fold(batch, WriteBatch::require)).of_target()?;
        self.report.heads.extend(there);
        Ok(())
    }

    fn take(&mut self, cid: Cid, data: Bytes) -> Result<(), Ended> {
        let block_bytes = data.len() as u64;
        if block_bytes > self.to.capabilities().block_bytes_max {
            self.lose(
                FaultKind::Unreadable,
                cid,
                format!("block {cid} has {block_bytes} bytes, more than the target takes"),
            );
            return Ok(());
        }
        if self.batch_items >= COPY_BATCH_ITEMS_MAX || self.batch_bytes + block_bytes > COPY_BATCH_BYTES_MAX {
            self.flush()?;
        }
        let batch = mem::take(&mut self.batch);
        self.batch = if is_checkable(&cid) { batch.put(cid, data) } else { batch.put_trusted(cid, data) };
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
        self.to.commit(mem::take(&mut self.batch)).of_target()
    }

    fn unreadable(&mut self, cid: Cid, error: StoreError) -> Result<(), Ended> {
        let kind = if error.kind() == ErrorKind::Corrupt { FaultKind::Corrupt } else { FaultKind::Unreadable };
        if self.lost.insert(cid) { self.fault(kind, Some(cid), error) } else { Ok(()) }
    }

    fn lose(&mut self, kind: FaultKind, cid: Cid, what: String) {
        if self.lost.insert(cid) {
            self.found.fault(kind, Some(cid), what);
        }
    }

    /// Takes an error of the source as a fault, unless the source was closed.
    pub(super) fn fault(&mut self, kind: FaultKind, cid: Option<Cid>, error: StoreError) -> Result<(), Ended> {
        Ok(self.found.error(kind, cid, error).of_source()?)
    }

    pub(super) fn tell(&mut self) -> Result<(), Ended> {
        Ok(Cancelled::check((self.progress)(self.done))?)
    }
}
