//! Looking for damage.

pub(crate) mod indexes;
mod search;

use mnem_store_traits::{
    Cid, ErrorKind, Store, StoreError,
    driver::{Location, Stray},
};
use serde::Serialize;

pub(crate) use self::search::Findings;
use self::search::search;
use crate::{OpenOptions, Progress, Stage, StoreCause, progress::OnProgress, report};

/// How to verify.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a call is made with them"]
pub struct VerifyOptions {
    faults_max: usize,
    count: bool,
    open: OpenOptions,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The structure of the store's own files is damaged: the numbers are of what can be read all the same, and more may be there.
    pub structure_damaged: bool,
    /// Blocks in the store.
    pub blocks: u64,
    /// Bytes of those that could be read.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the heads reach.
    pub reached: u64,
    /// Blocks whose hash this build cannot compute: not checked, and no fault.
    pub unchecked: u64,
    /// Blocks that may link to others and were not searched for links: of a [codec that is not
    /// followed](crate::LinkSupport). No fault.
    pub opaque: u64,
    /// How many of them the heads reach. Unless this is 0, the heads may reach more than `reached` says.
    pub opaque_reached: u64,
    /// Links in all valid blocks of followed codecs.
    pub links: u64,
    /// Op heads.
    pub heads: u64,
    /// Rows of side tables.
    pub rows: u64,
    /// Indexes of k-NN edges that were checked.
    pub knn_indexes: u64,
    /// Indexes of a later format: not checked, and no fault.
    pub knn_unchecked: u64,
    /// Indexes of which there are parts only, ascending: their writers are at work or were stopped. No fault.
    #[serde(serialize_with = "report::cids")]
    pub knn_unfinished: Vec<Cid>,
    /// Entries among the store's files that are not its own: no fault. In JSON, paths in which what is not UTF-8 is replaced.
    #[serde(rename = "foreign", serialize_with = "report::strays")]
    pub strays: Vec<Stray>,
    /// Every fault, whether or not it is in `faults`.
    pub fault_count: u64,
    /// The faults, up to [`VerifyOptions::faults_max`].
    pub faults: Vec<Fault>,
}

/// Why a store was not verified to the end.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It could not be looked at. Says what the store's error says.
    #[error(transparent)]
    Store(StoreCause),
    /// The callback for progress asked for the end. What had been looked at by then: it says nothing of the rest.
    #[error("the verification was stopped after {} blocks, with {} faults found", .0.blocks, .0.fault_count)]
    Stopped(Box<VerifyReport>),
}

impl VerifyError {
    /// The store's error, where there is one.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Stopped(_) => None,
        }
    }

    /// What went wrong, to branch on; `None` if nothing did, and the caller stopped it.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.store_error().map(StoreError::kind)
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// Its class.
    pub kind: FaultKind,
    /// The block or index concerned, where there is one.
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
    /// A block is DAG-CBOR, DAG-PB or DAG-JSON by its CID and not by its bytes.
    Malformed,
    /// A block is there by its name and cannot be read.
    Unreadable,
    /// The list of blocks could not be read to its end.
    Listing,
    /// A side table, or a row of it, could not be read.
    SideTable,
    /// An index of k-NN edges cannot be read, or is not the one that its CID names.
    KnnIndex,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { faults_max: 10_000, count: false, open: OpenOptions::new() }
    }
}

impl VerifyOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many faults the report keeps; it only counts the others. Default: 10,000.
    pub fn faults_max(mut self, faults: usize) -> Self {
        self.faults_max = faults;
        self
    }

    /// Whether to count the blocks first, so that [`Progress::total_blocks`] is known while they are read: one more
    /// listing. Default: no.
    pub fn count(mut self, yes: bool) -> Self {
        self.count = yes;
        self
    }

    /// How [`verify_at`] opens the store: with these locks, this cache and these drivers, but always read-only and with
    /// the check of its structure.
    pub fn open(mut self, options: OpenOptions) -> Self {
        self.open = options;
        self
    }
}

/// Verifies the store at `at`: the structure of its files, then all that [`verify`](fn@verify) looks at. Changes nothing on disk.
///
/// Damage is a [`Fault`] in the report, and the search goes on. Also where the structure is damaged: then the store is opened
/// [leniently](OpenOptions::lenient), and what is found is what can still be read. That nothing else is there is not proven then, nor,
/// where parts of a file lead to each other, that the search ends: a callback that looks at the clock ends it between two blocks.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if mnem_storage::DRIVERS.is_empty() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory");
/// use mnem_storage::{VerifyOptions, unwatched, verify_at};
///
/// mnem_storage::open_or_init(&path)?.close()?;
/// let report = verify_at(&path, &VerifyOptions::new(), &mut unwatched)?;
/// assert_eq!(report.fault_count, 0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// - [`VerifyError::Store`]: what keeps the store from being looked at, as [`OpenOptions::open`]: it is locked, no store, of an unknown format, in
///   need of recovery, the process may not read one of its files or folders, or the medium failed.
/// - [`VerifyError::Stopped`]: the callback wished it.
pub fn verify_at(
    at: impl Into<Location>,
    options: &VerifyOptions,
    progress: OnProgress<'_>,
) -> Result<VerifyReport, VerifyError> {
    let mut found = Findings::for_verify(options.faults_max);
    if progress(Progress::of(Stage::Structure)).is_break() {
        return Err(VerifyError::Stopped(found.report.into()));
    }
    let (structure, opened) = options.open.open_for_inspection(&at.into());
    let is_damaged = structure.is_some();
    if let Some(error) = structure {
        found.error(FaultKind::Structure, None, error)?;
        found.report.structure_damaged = true;
    }
    let opened = match opened {
        Ok(opened) => opened,
        // Nothing more can be told.
        Err(_) if is_damaged => return Ok(found.report),
        Err(error) => return Err(error.into()),
    };
    match opened.strays() {
        Ok(strays) => found.report.strays = strays,
        Err(error) => found.error(FaultKind::Structure, None, error)?,
    }
    search(&*opened.into_store(), found, options.count, progress)
}

/// Verifies an open store through its contract.
///
/// - Every block is read and hashed, once; one whose hash this build cannot compute is counted as unchecked.
/// - Every block of a followed codec (DAG-CBOR, DAG-PB, DAG-JSON) is decoded strictly.
/// - What the heads reach is complete: each head has its block, each link leads to a block. Blocks that no head
///   reaches may have links to nowhere. A link to an identity CID is a link like any other: its block is there if it
///   was stored. What blocks of other codecs link to is not known, and
///   [`opaque_reached`](VerifyReport::opaque_reached) counts those that may link to something.
/// - Every row of every side table can be read.
/// - Every index of k-NN edges can be read, and its edges have the CID that is its key. Edges that make no index, as another program may have
///   stored them, are no fault if they are those of the CID.
///
/// It does not stop at a fault. Memory: one CID for each block that the heads reach, and up to 4 MiB and one block that are
/// read ahead; then 16 bytes for each node of an index. A store that is written to
/// meanwhile is seen in part as it was and in part as it is: its own writers never make that a fault, garbage collection may.
///
/// ```
/// use mnem_storage::{FaultKind, MemoryStore, OpHeadsStore, RAW, VerifyOptions, cid_of, unwatched, verify};
///
/// let store = MemoryStore::new();
/// store.update(&cid_of(RAW, b"nobody put this"), &[])?;
/// let report = verify(&store, &VerifyOptions::new(), &mut unwatched)?;
/// assert_eq!(report.faults[0].kind, FaultKind::MissingHead);
/// println!("{}", report.faults[0].what);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VerifyError::Store`] with [`StoreError::Closed`], or with the error of a file or folder that the process may not read: all else that the store
/// reports is a fault. [`VerifyError::Stopped`], as the callback wished.
pub fn verify(
    store: &dyn Store,
    options: &VerifyOptions,
    progress: OnProgress<'_>,
) -> Result<VerifyReport, VerifyError> {
    search(store, Findings::for_verify(options.faults_max), options.count, progress)
}
