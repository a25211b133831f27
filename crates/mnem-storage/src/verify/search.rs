//! The search itself: every block once, from the heads first.

use std::{collections::HashSet, mem, rc::Rc};

use mnem_store_traits::{Bytes, Cid, ErrorKind, FetchAhead, Store, StoreError, is_checkable, is_opaque, links};

use super::{Fault, FaultKind, VerifyError, VerifyReport, indexes};
use crate::{
    Progress, Stage,
    listed::ListedBlocks,
    progress::{self, Cancelled, OnProgress},
};

/// Looks at everything that the contract shows of `store`, and adds it to what was found before.
pub(super) fn search(
    store: &dyn Store,
    found: Findings,
    count: bool,
    progress: OnProgress<'_>,
) -> Result<VerifyReport, VerifyError> {
    let mut search = Search {
        store,
        found,
        done: Progress::of(Stage::Blocks),
        progress,
        reached: HashSet::new(),
        uncounted: HashSet::new(),
    };
    let ended = search.everything(count);
    let report = search.found.report;
    tracing::debug!(blocks = report.blocks, faults = report.fault_count, "verified a store");
    match ended {
        Ok(()) => Ok(report),
        Err(Ended::Cancelled) => Err(VerifyError::Stopped(report.into())),
        Err(Ended::Failed(error)) => Err(error.into()),
    }
}

/// Why the search ended early.
pub(super) type Ended = progress::Ended<StoreError>;

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// A report in the making.
pub(crate) struct Findings {
    pub(crate) report: VerifyReport,
    faults_max: usize,
}

impl Findings {
    pub(crate) fn new(faults_max: usize) -> Self {
        Self { report: VerifyReport::default(), faults_max }
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, cid: Option<Cid>, what: String) {
        self.report.fault_count += 1;
        if self.report.faults.len() < self.faults_max {
            self.report.faults.push(Fault { kind, cid, what });
        }
    }

    /// Takes an error of the store as a fault of `kind`, unless the store is closed and all further calls are in vain.
    pub(crate) fn error(&mut self, kind: FaultKind, cid: Option<Cid>, error: StoreError) -> Result<(), StoreError> {
        if error.kind() == ErrorKind::Closed {
            return Err(error);
        }
        self.fault(kind, cid, error.in_full().to_string());
        Ok(())
    }
}

struct Search<'a> {
    store: &'a dyn Store,
    found: Findings,
    done: Progress,
    progress: OnProgress<'a>,
    /// Every CID that the heads reach, present or not.
    reached: HashSet<Cid>,
    /// Those of them that failed to read and may not be there: counted if they are listed.
    uncounted: HashSet<Cid>,
}

/// A block that something reached by the heads links to.
struct Pending {
    cid: Cid,
    linked_from: Option<Rc<Cid>>,
}

impl Search<'_> {
    fn everything(&mut self, count: bool) -> Result<(), Ended> {
        let total_blocks = if count { self.count()? } else { None };
        self.done = Progress { total_blocks, ..Progress::of(Stage::Blocks) };
        self.tell()?;
        self.follow_heads()?;
        self.read_the_others()?;
        self.read_side_tables()?;
        self.check_indexes()
    }

    fn check_indexes(&mut self) -> Result<(), Ended> {
        let mut done = Progress::of(Stage::Indexes);
        let progress = &mut *self.progress;
        indexes::check(self.store, &mut self.found, &mut || {
            done.add(0);
            Ok(Cancelled::check(progress(done))?)
        })
    }

    fn tell(&mut self) -> Result<(), Ended> {
        Ok(Cancelled::check((self.progress)(self.done))?)
    }

    /// How many blocks are listed; `None` where that cannot be told, which is a fault once they are read.
    fn count(&mut self) -> Result<Option<u64>, Ended> {
        self.done = Progress::of(Stage::Counting);
        let Ok(listing) = self.store.cids() else { return Ok(None) };
        for cid in listing {
            if cid.is_err() {
                return Ok(None);
            }
            self.done.add(0);
            self.tell()?;
        }
        Ok(Some(self.done.blocks))
    }

    /// Follows the links from the heads, in no promised order.
    fn follow_heads(&mut self) -> Result<(), Ended> {
        let heads = match self.store.heads() {
            Ok(heads) => heads,
            Err(error) => return Ok(self.found.error(FaultKind::Heads, None, error)?),
        };
        self.found.report.heads = heads.len() as u64;
        let mut pending: Vec<Pending> = Vec::new();
        for head in heads.into_iter().rev() {
            self.reached.insert(head);
            pending.push(Pending { cid: head, linked_from: None });
        }
        let mut ahead = FetchAhead::new();
        while let Some(Pending { cid, linked_from }) = pending.pop() {
            match ahead.get(self.store, &cid, pending.iter().rev().map(|pending| pending.cid)) {
                Ok(Some(data)) => {
                    self.found.report.reached += 1;
                    self.found.report.opaque_reached += u64::from(is_opaque(&cid));
                    let parent = Rc::new(cid);
                    for link in self.block(cid, &data)?.into_iter().rev() {
                        if self.reached.insert(link) {
                            pending.push(Pending { cid: link, linked_from: Some(Rc::clone(&parent)) });
                        }
                    }
                }
                Ok(None) => self.missing(cid, linked_from.as_deref()),
                Err(error) if error.kind() == ErrorKind::Corrupt => self.unreadable(cid, error)?,
                Err(error) => {
                    self.uncounted.insert(cid);
                    self.found.error(FaultKind::Unreadable, Some(cid), error)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the blocks that no head reaches.
    fn read_the_others(&mut self) -> Result<(), Ended> {
        let listing = match self.store.cids() {
            Ok(listing) => listing,
            Err(error) => return Ok(self.found.error(FaultKind::Listing, None, error)?),
        };
        let mut reached = mem::take(&mut self.reached);
        reached.retain(|cid| !self.uncounted.contains(cid));
        let others = listing.filter(move |cid| !cid.as_ref().is_ok_and(|cid| reached.contains(cid)));
        for listed in ListedBlocks::new(self.store, Box::new(others)) {
            let (cid, data) = match listed {
                Ok(block) => block,
                Err(error) => {
                    self.found.error(FaultKind::Listing, None, error)?;
                    continue;
                }
            };
            // Its fault is told already.
            if self.uncounted.remove(&cid) {
                self.found.report.blocks += 1;
                continue;
            }
            match data {
                Ok(Some(data)) => drop(self.block(cid, &data)?),
                Ok(None) => {
                    let what = format!("block {cid} is listed and cannot be found by its CID");
                    self.found.fault(FaultKind::Unreadable, Some(cid), what);
                }
                Err(error) => self.unreadable(cid, error)?,
            }
        }
        Ok(())
    }

    /// Counts a block that could be read, and finds its links.
    fn block(&mut self, cid: Cid, data: &Bytes) -> Result<Vec<Cid>, Ended> {
        let block_bytes = data.len() as u64;
        self.found.report.blocks += 1;
        self.found.report.bytes += block_bytes;
        self.found.report.unchecked += u64::from(!is_checkable(&cid));
        self.found.report.opaque += u64::from(is_opaque(&cid));
        let links = links(&cid, data).unwrap_or_else(|error| {
            self.found.fault(FaultKind::Malformed, Some(cid), error.in_full().to_string());
            Vec::new()
        });
        self.found.report.links += links.len() as u64;
        self.done.add(block_bytes);
        self.tell()?;
        Ok(links)
    }

    fn missing(&mut self, cid: Cid, linked_from: Option<&Cid>) {
        match linked_from {
            None => self.found.fault(FaultKind::MissingHead, Some(cid), format!("head {cid} has no block")),
            Some(parent) => {
                let what = format!("block {cid} is missing; {parent} links to it");
                self.found.fault(FaultKind::MissingLink, Some(cid), what);
            }
        }
    }

    fn unreadable(&mut self, cid: Cid, error: StoreError) -> Result<(), Ended> {
        self.found.report.blocks += 1;
        let kind = if error.kind() == ErrorKind::Corrupt { FaultKind::Corrupt } else { FaultKind::Unreadable };
        self.found.error(kind, Some(cid), error)?;
        self.done.add(0);
        self.tell()
    }

    fn read_side_tables(&mut self) -> Result<(), Ended> {
        let names = match self.store.side_tables() {
            Ok(names) => names,
            Err(error) => return Ok(self.found.error(FaultKind::SideTable, None, error)?),
        };
        self.done = Progress::of(Stage::Tables);
        for name in names {
            match self.read_side_table(&name) {
                Err(Ended::Failed(error)) => self.found.error(FaultKind::SideTable, None, error)?,
                other => other?,
            }
        }
        Ok(())
    }

    /// Reads every row. The error is that the table cannot be listed.
    fn read_side_table(&mut self, name: &str) -> Result<(), Ended> {
        let table = self.store.side_table(name)?;
        for key in table.keys(&[])? {
            let key = match key {
                Ok(key) => key,
                // The listing may go on behind it.
                Err(error) => {
                    self.found.error(FaultKind::SideTable, None, error)?;
                    continue;
                }
            };
            match table.get(&key) {
                Ok(value) => {
                    self.found.report.rows += 1;
                    self.done.add(value.map_or(0, |value| value.len() as u64));
                    self.tell()?;
                }
                Err(error) => self.found.error(FaultKind::SideTable, None, error)?,
            }
        }
        Ok(())
    }
}
