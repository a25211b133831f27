//! Reads every block once, first those that the heads reach; then side tables and indexes.

use std::collections::HashSet;

use mnem_store_traits::{Bytes, Cid, ErrorKind, Store, StoreError, is_checkable, is_opaque, links};

use super::{Fault, FaultKind, VerifyError, VerifyReport, indexes};
use crate::{
    Progress, Stage,
    denied::is_denied,
    progress::{self, Cancelled, OnProgress},
    scan::{self, Sink, Way},
};

/// Checks everything that the contract shows of `store`, and adds it to earlier findings.
pub(super) fn search(
    store: &dyn Store,
    found: Findings,
    count: bool,
    progress: OnProgress<'_>,
) -> Result<VerifyReport, VerifyError> {
    let mut search = Search { store, found, done: Progress::of(Stage::Blocks), progress, uncounted: HashSet::new() };
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

/// A report in progress.
pub(crate) struct Findings {
    pub(crate) report: VerifyReport,
    faults_max: usize,
    /// Whether the search ends if access is denied, because then nothing is known about the thing.
    denied_ends: bool,
}

impl Findings {
    pub(crate) fn new(faults_max: usize) -> Self {
        Self { report: VerifyReport::default(), faults_max, denied_ends: false }
    }

    /// As [`new`](Self::new), for a search that reports nothing about things to which access was denied.
    pub(super) fn for_verify(faults_max: usize) -> Self {
        Self { denied_ends: true, ..Self::new(faults_max) }
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, cid: Option<Cid>, what: String) {
        self.report.fault_count += 1;
        if self.report.faults.len() < self.faults_max {
            self.report.faults.push(Fault { kind, cid, what });
        }
    }

    /// Withdraws the one fault of each of these blocks, because they were found elsewhere.
    pub(crate) fn retract(&mut self, blocks: &HashSet<Cid>) {
        self.report.fault_count -= blocks.len() as u64;
        self.report.faults.retain(|fault| !fault.cid.is_some_and(|cid| blocks.contains(&cid)));
    }

    /// Records an error of the store as a fault of `kind`, unless the store is closed and all further calls would fail,
    /// or access was denied.
    pub(crate) fn error(&mut self, kind: FaultKind, cid: Option<Cid>, error: StoreError) -> Result<(), StoreError> {
        if error.kind() == ErrorKind::Closed || (self.denied_ends && is_denied(&error)) {
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
    /// Blocks that the heads reach and that could not be read. They may be absent, so they are counted only if they are
    /// listed.
    uncounted: HashSet<Cid>,
}

impl Search<'_> {
    fn everything(&mut self, count: bool) -> Result<(), Ended> {
        let total_blocks = if count { self.count()? } else { None };
        self.done = Progress { total_blocks, ..Progress::of(Stage::Blocks) };
        self.tell()?;
        self.blocks()?;
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

    /// The number of listed blocks. `None` if the listing fails, which becomes a fault when the blocks are read.
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

    /// Reads the blocks that the heads reach, then all others.
    fn blocks(&mut self) -> Result<(), Ended> {
        let mut reached = HashSet::new();
        if let Some(heads) = scan::heads(self.store, self)? {
            self.found.report.heads = heads.len() as u64;
            scan::follow(self.store, &heads, &mut reached, self)?;
        }
        reached.retain(|cid| !self.uncounted.contains(cid));
        scan::listed(self.store, reached, self)
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

    /// Reads every row. Returns an error if the table cannot be listed.
    fn read_side_table(&mut self, name: &str) -> Result<(), Ended> {
        let table = self.store.side_table(name)?;
        for key in table.keys(&[])? {
            let key = match key {
                Ok(key) => key,
                // The listing may continue after it.
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

/// Counts the blocks that it receives.
impl Sink for Search<'_> {
    type Ended = Ended;
    const READS_ALL: bool = true;

    fn told(&mut self, cid: &Cid) -> bool {
        let told = self.uncounted.remove(cid);
        self.found.report.blocks += u64::from(told);
        told
    }

    fn block(&mut self, cid: Cid, data: Bytes, way: Way) -> Result<Vec<Cid>, Ended> {
        let block_bytes = data.len() as u64;
        let (is_opaque, is_reached) = (is_opaque(&cid), way == Way::Linked);
        let report = &mut self.found.report;
        report.blocks += 1;
        report.bytes += block_bytes;
        report.unchecked += u64::from(!is_checkable(&cid));
        report.opaque += u64::from(is_opaque);
        report.reached += u64::from(is_reached);
        report.opaque_reached += u64::from(is_opaque && is_reached);
        let mut links = links(&cid, &data).unwrap_or_else(|error| {
            self.found.fault(FaultKind::Malformed, Some(cid), error.in_full().to_string());
            Vec::new()
        });
        self.found.report.links += links.len() as u64;
        self.done.add(block_bytes);
        links.reverse();
        Ok(links)
    }

    fn absent(&mut self, kind: FaultKind, cid: Cid, what: String) {
        self.found.fault(kind, Some(cid), what);
    }

    fn unreadable(&mut self, kind: FaultKind, cid: Cid, error: StoreError, way: Way) -> Result<(), Ended> {
        if way == Way::Linked && kind == FaultKind::Unreadable {
            self.uncounted.insert(cid);
        } else {
            self.found.report.blocks += 1;
            self.done.add(0);
        }
        Ok(self.found.error(kind, Some(cid), error)?)
    }

    fn error(&mut self, kind: FaultKind, error: StoreError) -> Result<(), Ended> {
        Ok(self.found.error(kind, None, error)?)
    }

    fn tell(&mut self) -> Result<(), Cancelled> {
        Cancelled::check((self.progress)(self.done))
    }
}
