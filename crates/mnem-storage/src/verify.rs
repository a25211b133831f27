//! Looking for damage.

use std::{
    collections::HashSet,
    error::Error,
    path::{Path, PathBuf},
    rc::Rc,
};

use mnem_store_traits::{Bytes, Cid, ErrorKind, Store, StoreError, is_checkable, links};
use serde::Serialize;

use crate::{OpenOptions, Progress, Stage, report};

/// How to verify.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Faults that are kept in the report; more are only counted. Default: 10,000.
    pub faults_max: usize,
    /// How to open the store: locks, cache and backend are heeded; it is always opened read-only, with the check of its structure.
    pub open: OpenOptions,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Blocks in the store.
    pub blocks: u64,
    /// Bytes of those that could be read.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the heads reach.
    pub reached: u64,
    /// Blocks whose hash this build cannot compute: not checked, and no fault.
    pub unchecked: u64,
    /// Links in all valid DAG-CBOR blocks.
    pub links: u64,
    /// Op heads.
    pub heads: u64,
    /// Rows of side tables.
    pub rows: u64,
    /// Entries among a simple store's files that are not its own: no fault.
    pub foreign: Vec<PathBuf>,
    /// Every fault, whether or not it is in `faults`.
    pub fault_count: u64,
    /// The faults, up to [`VerifyOptions::faults_max`].
    pub faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// Its class.
    pub kind: FaultKind,
    /// The block concerned, where there is one.
    #[serde(serialize_with = "report::maybe_cid")]
    pub cid: Option<Cid>,
    /// What is wrong, in words that name the thing.
    pub what: String,
}

/// The class of a [`Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The structure of the store's own files is damaged.
    Structure,
    /// The heads could not be read.
    Heads,
    /// A head has no block.
    MissingHead,
    /// A block that a head reaches links to a block that is not there.
    MissingLink,
    /// A block's bytes do not match its CID.
    Corrupt,
    /// A block is DAG-CBOR by its CID and not by its bytes.
    Malformed,
    /// A block is there by its name and cannot be read.
    Unreadable,
    /// The list of blocks could not be read to its end.
    Listing,
    /// A side table, or a row of it, could not be read.
    SideTable,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { faults_max: 10_000, open: OpenOptions::new() }
    }
}

impl VerifyOptions {
    /// The defaults, as they stand at the fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`faults_max`](Self::faults_max).
    #[must_use]
    pub fn faults_max(mut self, faults: usize) -> Self {
        self.faults_max = faults;
        self
    }

    /// Sets [`open`](Self::open).
    #[must_use]
    pub fn open(mut self, options: OpenOptions) -> Self {
        self.open = options;
        self
    }
}

/// Verifies the store at `path`: the structure of its files, then all that [`verify_store`] looks at. Changes nothing on disk.
///
/// Damage is a [`Fault`] in the report, and the search goes on; only when the store cannot be opened for its damage is that the one fault.
///
/// # Errors
/// What keeps the store from being looked at, as [`OpenOptions::open`]: it is locked, no store, of an unknown format, in need of recovery, or
/// the medium failed.
pub fn verify(
    path: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, StoreError> {
    progress(Progress::of(Stage::Structure));
    let mut found = Findings::new(options.faults_max);
    let open = options.open.clone().create(false).create_new(false).read_only(true).check(true);
    let opened = match open.open_kind(path) {
        Ok(opened) => opened,
        Err(error @ StoreError::Damaged { .. }) => {
            found.error(FaultKind::Structure, None, error)?;
            return Ok(found.report);
        }
        Err(error) => return Err(error),
    };
    match opened.foreign() {
        Ok(foreign) => found.report.foreign = foreign,
        Err(error) => found.error(FaultKind::Structure, None, error)?,
    }
    search(&*opened.into_store(), found, progress)
}

/// Verifies an open store through its contract.
///
/// - Every block is read and hashed, once; one whose hash this build cannot compute is counted as unchecked.
/// - Every DAG-CBOR block is decoded strictly.
/// - What the heads reach is complete: each head has its block, each link leads to a block. Blocks that no head reaches may have links to nowhere.
///   A link to an identity CID is a link like any other: its block is there if it was stored.
/// - Every row of every side table can be read.
///
/// It does not stop at a fault. Memory: one CID for each block that the heads reach, and one block. A store that is written to
/// meanwhile is seen in part as it was and in part as it is: its own writers never make that a fault, garbage collection may.
///
/// # Errors
/// [`StoreError::Closed`]. All else that the store reports is a fault.
pub fn verify_store(
    store: &dyn Store,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, StoreError> {
    search(store, Findings::new(options.faults_max), progress)
}

fn search(store: &dyn Store, found: Findings, progress: &mut dyn FnMut(Progress)) -> Result<VerifyReport, StoreError> {
    let mut search = Search { store, found, done: Progress::of(Stage::Blocks), progress, reached: HashSet::new() };
    (search.progress)(search.done);
    search.follow_heads()?;
    search.read_the_others()?;
    search.read_side_tables()?;
    let report = search.found.report;
    tracing::debug!(blocks = report.blocks, faults = report.fault_count, "verified a store");
    Ok(report)
}

/// A report in the making.
struct Findings {
    report: VerifyReport,
    faults_max: usize,
}

impl Findings {
    fn new(faults_max: usize) -> Self {
        Self { report: VerifyReport::default(), faults_max }
    }

    fn fault(&mut self, kind: FaultKind, cid: Option<Cid>, what: String) {
        self.report.fault_count += 1;
        if self.report.faults.len() < self.faults_max {
            self.report.faults.push(Fault { kind, cid, what });
        }
    }

    /// Takes an error of the store as a fault of `kind`, unless the store is closed and all further calls are in vain.
    fn error(&mut self, kind: FaultKind, cid: Option<Cid>, error: StoreError) -> Result<(), StoreError> {
        if error.kind() == ErrorKind::Closed {
            return Err(error);
        }
        self.fault(kind, cid, in_full(&error));
        Ok(())
    }
}

struct Search<'a> {
    store: &'a dyn Store,
    found: Findings,
    done: Progress,
    progress: &'a mut dyn FnMut(Progress),
    /// Every CID that the heads reach, present or not.
    reached: HashSet<Cid>,
}

/// A block that something reached by the heads links to.
struct Pending {
    cid: Cid,
    linked_from: Option<Rc<Cid>>,
}

impl Search<'_> {
    /// Follows the links from the heads, in no promised order.
    fn follow_heads(&mut self) -> Result<(), StoreError> {
        let heads = match self.store.heads() {
            Ok(heads) => heads,
            Err(error) => return self.found.error(FaultKind::Heads, None, error),
        };
        self.found.report.heads = heads.len() as u64;
        let mut pending: Vec<Pending> = Vec::new();
        for head in heads.into_iter().rev() {
            self.reached.insert(head);
            pending.push(Pending { cid: head, linked_from: None });
        }
        while let Some(Pending { cid, linked_from }) = pending.pop() {
            match self.store.get(&cid) {
                Ok(Some(data)) => {
                    self.found.report.reached += 1;
                    let parent = Rc::new(cid);
                    for link in self.block(cid, &data).into_iter().rev() {
                        if self.reached.insert(link) {
                            pending.push(Pending { cid: link, linked_from: Some(Rc::clone(&parent)) });
                        }
                    }
                }
                Ok(None) => self.missing(cid, linked_from.as_deref()),
                Err(error) => self.unreadable(cid, error)?,
            }
        }
        Ok(())
    }

    /// Reads the blocks that no head reaches.
    fn read_the_others(&mut self) -> Result<(), StoreError> {
        let listing = match self.store.cids() {
            Ok(listing) => listing,
            Err(error) => return self.found.error(FaultKind::Listing, None, error),
        };
        for cid in listing {
            let cid = match cid {
                Ok(cid) => cid,
                Err(error) => {
                    self.found.error(FaultKind::Listing, None, error)?;
                    continue;
                }
            };
            if self.reached.contains(&cid) {
                continue;
            }
            match self.store.get(&cid) {
                Ok(Some(data)) => drop(self.block(cid, &data)),
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
    fn block(&mut self, cid: Cid, data: &Bytes) -> Vec<Cid> {
        let block_bytes = data.len() as u64;
        self.found.report.blocks += 1;
        self.found.report.bytes += block_bytes;
        self.found.report.unchecked += u64::from(!is_checkable(&cid));
        self.done.add(block_bytes);
        (self.progress)(self.done);
        match links(&cid, data) {
            Ok(links) => {
                self.found.report.links += links.len() as u64;
                links
            }
            Err(error) => {
                self.found.fault(FaultKind::Malformed, Some(cid), in_full(&error));
                Vec::new()
            }
        }
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

    fn unreadable(&mut self, cid: Cid, error: StoreError) -> Result<(), StoreError> {
        self.found.report.blocks += 1;
        self.done.add(0);
        (self.progress)(self.done);
        let kind = if error.kind() == ErrorKind::Corrupt { FaultKind::Corrupt } else { FaultKind::Unreadable };
        self.found.error(kind, Some(cid), error)
    }

    fn read_side_tables(&mut self) -> Result<(), StoreError> {
        let names = match self.store.side_tables() {
            Ok(names) => names,
            Err(error) => return self.found.error(FaultKind::SideTable, None, error),
        };
        self.done = Progress::of(Stage::Tables);
        for name in names {
            if let Err(error) = self.read_side_table(&name) {
                self.found.error(FaultKind::SideTable, None, error)?;
            }
        }
        Ok(())
    }

    /// Reads every row. The error is one that ends the listing of this table.
    fn read_side_table(&mut self, name: &str) -> Result<(), StoreError> {
        let table = self.store.side_table(name)?;
        for key in table.keys(&[])? {
            match table.get(&key?) {
                Ok(value) => {
                    self.found.report.rows += 1;
                    self.done.add(value.map_or(0, |value| value.len() as u64));
                    (self.progress)(self.done);
                }
                Err(error) => self.found.error(FaultKind::SideTable, None, error)?,
            }
        }
        Ok(())
    }
}

/// An error with its causes, in one line.
fn in_full(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
