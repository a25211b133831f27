//! Checking a store for damage.

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

/// Options for a verification.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a call is made with them"]
pub struct VerifyOptions {
    faults_max: usize,
    count: bool,
    open: OpenOptions,
}

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Whether the structure of the store's own files is damaged. Then the numbers cover only what can still be read,
    /// and there may be more.
    pub structure_damaged: bool,
    /// Blocks in the store.
    pub blocks: u64,
    /// Bytes of those that could be read.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the heads reach.
    pub reached: u64,
    /// Blocks whose hash this build cannot compute: not checked, and not a fault.
    pub unchecked: u64,
    /// Blocks that may link to others and were not searched for links, because of a
    /// [codec that is not followed](crate::LinkSupport). Not a fault.
    pub opaque: u64,
    /// The number of them that the heads reach. Unless this is 0, the heads may reach more than `reached` says.
    pub opaque_reached: u64,
    /// Links in all valid blocks of followed codecs.
    pub links: u64,
    /// Op heads.
    pub heads: u64,
    /// Rows of side tables.
    pub rows: u64,
    /// Indexes of nearest neighbours that were checked.
    pub knn_indexes: u64,
    /// Indexes of a later format: not checked, and not a fault.
    pub knn_unchecked: u64,
    /// Indexes of which there are only parts, ascending: their writers are active or were stopped. Not a fault.
    #[serde(serialize_with = "report::cids")]
    pub knn_unfinished: Vec<Cid>,
    /// Entries among the store's files that do not belong to it: not a fault. In JSON, bytes of paths that are not
    /// UTF-8 are replaced.
    #[serde(rename = "foreign", serialize_with = "report::strays")]
    pub strays: Vec<Stray>,
    /// The number of all faults, including those not in `faults`.
    pub fault_count: u64,
    /// The faults, up to [`VerifyOptions::faults_max`].
    pub faults: Vec<Fault>,
}

/// The reason why a verification ended early.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store could not be read. Prints like the store's error.
    #[error(transparent)]
    Store(StoreCause),
    /// The callback stopped the verification. Holds the result up to then, which says nothing about the rest.
    #[error("the verification stopped after {} blocks, with {} faults found", .0.blocks, .0.fault_count)]
    Stopped(Box<VerifyReport>),
}

impl VerifyError {
    /// The store's error, if any.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Stopped(_) => None,
        }
    }

    /// The kind of the store's error, to branch on; `None` if the callback stopped the verification.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.store_error().map(StoreError::kind)
    }
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

/// One problem found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// Its class.
    pub kind: FaultKind,
    /// The block or index concerned, if any.
    #[serde(serialize_with = "report::maybe_cid")]
    pub cid: Option<Cid>,
    /// The problem, in words that name the thing.
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
    /// The CID says DAG-CBOR, DAG-PB or DAG-JSON, and the bytes are not valid in that codec.
    Malformed,
    /// A block is listed and cannot be read.
    Unreadable,
    /// The listing of blocks could not be read to its end.
    Listing,
    /// A side table, or one of its rows, could not be read.
    SideTable,
    /// An index of nearest neighbours cannot be read, or does not match its CID.
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

    /// The number of faults that the report lists; it only counts the others. Default: 10,000.
    pub fn faults_max(mut self, faults: usize) -> Self {
        self.faults_max = faults;
        self
    }

    /// Counts the blocks first, so that [`Progress::total_blocks`] is known while they are read. Costs one more
    /// listing. Default: no.
    pub fn count(mut self, yes: bool) -> Self {
        self.count = yes;
        self
    }

    /// How [`verify_at`] opens the store: with these locks, this cache and these drivers, but always read-only and with
    /// a check of its structure.
    pub fn open(mut self, options: OpenOptions) -> Self {
        self.open = options;
        self
    }
}

/// Verifies the store at `at`: first the structure of its files, then everything that [`verify`](fn@verify) checks.
/// Changes nothing on disk.
///
/// Damage is a [`Fault`] in the report, and the verification continues. If the structure is damaged, the store is
/// opened [leniently](OpenOptions::lenient), and the report covers what can still be read. Then nothing proves that
/// there is no more. If parts of a file refer to each other in a circle, nothing proves that the verification ends; use
/// a callback with a time limit, which ends it between two blocks.
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
/// - [`VerifyError::Store`]: the store cannot be read, as for [`OpenOptions::open`]. It is locked, not a store, of an
///   unknown format or in need of recovery; the process may not read one of its files or folders; or the medium failed.
/// - [`VerifyError::Stopped`]: the callback stopped it.
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
        // Nothing more can be read.
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
/// - Every block is read and hashed once. A block whose hash this build cannot compute is counted as unchecked.
/// - Every block of a followed codec (DAG-CBOR, DAG-PB, DAG-JSON) is decoded strictly.
/// - What the heads reach is complete: each head has its block, and each link leads to a block. Blocks that no head
///   reaches may have broken links. A link to an identity CID is a link like any other: its block is present if it was
///   stored. Links in blocks of other codecs are not known; [`opaque_reached`](VerifyReport::opaque_reached) counts the
///   blocks that may have some.
/// - Every row of every side table can be read.
/// - Every index of nearest neighbours can be read, and its edges have the CID that is its key. Edges that do not form
///   a valid index, as another program may have stored them, are not a fault if they match the CID.
///
/// It does not stop at a fault. It holds in memory one CID for each block that the heads reach, up to 4 MiB and one
/// block of read-ahead, and then 16 bytes for each node of an index. If the store is written to meanwhile, the
/// verification sees a part of it as it was and a part as it is. Its writers never make that a fault; garbage
/// collection may.
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
/// [`VerifyError::Store`] with [`StoreError::Closed`], or with the error of a file or folder that the process may not
/// read; every other error of the store is a fault. [`VerifyError::Stopped`]: the callback stopped it.
pub fn verify(
    store: &dyn Store,
    options: &VerifyOptions,
    progress: OnProgress<'_>,
) -> Result<VerifyReport, VerifyError> {
    search(store, Findings::for_verify(options.faults_max), options.count, progress)
}
