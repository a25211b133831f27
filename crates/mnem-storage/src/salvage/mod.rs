//! Copying everything readable from a damaged store.

mod blocks;
mod raw;
mod rows;

use std::{path::Path, sync::Arc};

use mnem_store_traits::{
    Cid, ErrorKind, Store, StoreError,
    driver::{Driver, Location, RawScan},
};
use serde::Serialize;

use self::blocks::Salvage;
pub use self::raw::is_salvageable;
use crate::{
    CopyError, Fault, FaultKind, OpenOptions, Progress, Stage, TableCopied,
    copy::{Ended, OfAStore as _},
    limits::RAW_LISTING_BREAKS_MAX,
    progress::OnProgress,
    report,
    verify::Findings,
};

/// Options for a salvage.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a call is made with them"]
pub struct SalvageOptions {
    faults_max: usize,
    open: OpenOptions,
}

impl Default for SalvageOptions {
    fn default() -> Self {
        Self { faults_max: 10_000, open: OpenOptions::new() }
    }
}

impl SalvageOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of faults that the report lists; it only counts the others. Default: 10,000.
    pub fn faults_max(mut self, faults: usize) -> Self {
        self.faults_max = faults;
        self
    }

    /// How [`salvage_at`] opens the damaged store: with these locks, this cache and these drivers, but always
    /// read-only.
    pub fn open(mut self, options: OpenOptions) -> Self {
        self.open = options;
        self
    }
}

/// The result of a salvage: what was copied, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Whether the structure of the source's own files is damaged. Then more may be lost than the faults name.
    pub structure_damaged: bool,
    /// Blocks that were copied.
    pub blocks: u64,
    /// Bytes of those blocks.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// The number of them that were found only by following links.
    pub walked: u64,
    /// The number of them that no listing had and that were found in the raw files, by [`Driver::scan_raw`]. Some may
    /// have been deleted from the store before it was damaged.
    pub raw: u64,
    /// Blocks whose hash this build cannot compute: copied as they were read, right or wrong.
    pub unchecked: u64,
    /// Side tables of which a row was copied, ascending by name. Their values cannot be checked.
    pub tables: Vec<TableCopied>,
    /// Heads that were copied, ascending: those whose blocks were.
    #[serde(serialize_with = "report::cids")]
    pub heads: Vec<Cid>,
    /// Whether the structure leads to no heads, so that `heads` come from the newest commit record with heads in the
    /// raw files ([`RawScan::recorded_heads`]). The records of later commits may be lost.
    pub heads_from_raw: bool,
    /// If `heads` is empty or from a commit record: other CIDs that the raw files name as heads and whose blocks were
    /// copied, ascending. Each is or was a head, of the last commit or an earlier one. None is set in the target.
    #[serde(serialize_with = "report::cids")]
    pub head_candidates: Vec<Cid>,
    /// The number of all things that could not be read, including those not in `faults`.
    pub fault_count: u64,
    /// The things that could not be read, up to [`SalvageOptions::faults_max`].
    pub faults: Vec<Fault>,
}

/// Copies everything readable of the damaged store at `from` to `to`, a new and empty store. Never writes to `from`.
///
/// The source is opened with a check of its structure. If the structure is damaged, the source is opened
/// [leniently](OpenOptions::lenient), and the report says so. Then it continues as [`salvage`](fn@salvage).
///
/// If the structure is damaged, or the source cannot be opened, its raw files are scanned as well
/// ([`Driver::scan_raw`], which not every backend has): for blocks that no listing had, each of which matches the hash
/// in its CID, and for CIDs that were heads once. The same happens if a block in a folder of files cannot be read, or
/// its listing breaks off. If the structure leads to no head, the heads of the newest commit that the raw files prove
/// become the heads, as far as their blocks were copied. Rows of side tables are copied only if the structure leads to
/// them, because the raw files do not say which table a row belongs to.
///
/// ```
/// # #[cfg(feature = "simple")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory.simple");
/// use mnem_storage::{Bytes, MemoryStore, BlockstoreExt, RAW, SalvageOptions, salvage_at, unwatched};
///
/// mnem_storage::open_or_init(&path)?.put_as(RAW, Bytes::from_static(b"a note"))?;
/// std::fs::remove_file(path.join("format"))?;
/// std::fs::remove_file(path.join("op_heads"))?;
///
/// let rescued = MemoryStore::new();
/// let report = salvage_at(&path, &rescued, &SalvageOptions::new(), &mut unwatched)?;
/// assert_eq!(report.blocks, 1);
/// for fault in &report.faults {
///     println!("{}", fault.what); // the structure, and the heads
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "simple"))]
/// # fn main() {}
/// ```
///
/// # Errors
/// As [`salvage`](fn@salvage), and [`CopyError::Source`] with the reason why the source cannot be opened even
/// leniently.
pub fn salvage_at(
    from: impl Into<Location>,
    to: &dyn Store,
    options: &SalvageOptions,
    progress: OnProgress<'_>,
) -> Result<SalvageReport, CopyError> {
    let mut found = Findings::new(options.faults_max);
    check_empty(to)?;
    if progress(Progress::of(Stage::Structure)).is_break() {
        return Err(CopyError::Stopped { blocks: 0, new: 0 });
    }
    let from = from.into();
    let mut source = Source::open(&from, &options.open, &mut found)?;
    let mut salvage = Salvage::new(to, found, progress);
    if !source.scans.is_empty() {
        salvage.listing_breaks_left = RAW_LISTING_BREAKS_MAX;
    }
    let ended = salvage.everything(source.store.as_deref(), &mut source.scans);
    let report = finish(salvage, ended)?;
    match source.refused {
        Some(error) if report.blocks == 0 => Err(CopyError::Source(error.into())),
        _ => Ok(report),
    }
}

/// The source of the blocks.
struct Source {
    store: Option<Arc<dyn Store>>,
    /// The reason why there is no store.
    refused: Option<StoreError>,
    /// The scans of its raw files.
    scans: Vec<Box<dyn RawScan>>,
}

impl Source {
    fn open(at: &Location, options: &OpenOptions, found: &mut Findings) -> Result<Self, CopyError> {
        let (structure, opened) = options.open_for_inspection(at);
        let is_damaged = structure.is_some();
        let mut damaged = |error| {
            found.report.structure_damaged = true;
            found.error(FaultKind::Structure, None, error).of_source()
        };
        if let Some(error) = structure {
            damaged(error)?;
        }
        let store = match opened {
            Ok(store) => store,
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotAStore) => {
                if !is_damaged {
                    damaged(error.clone())?;
                }
                let scans = scans(at, options, options.drivers_to_ask(), found)?;
                return Ok(Self { store: None, refused: Some(error), scans });
            }
            Err(error) => return Err(CopyError::Source(error.into())),
        };
        if at.as_path().is_some_and(Path::is_dir) && !is_damaged {
            // With this option, one unreadable folder does not end the listing.
            let store = options.for_what_is_left().open_managed(at).of_source()?;
            let scans = scans(at, options, [store.driver()].into_iter(), found)?;
            return Ok(Self { store: Some(store.into_store()), refused: None, scans });
        }
        let scans = scans(at, options, is_damaged.then(|| store.driver()).into_iter(), found)?;
        Ok(Self { store: Some(store.into_store()), refused: None, scans })
    }
}

/// The scans of these drivers over the raw files at a place.
fn scans(
    at: &Location,
    options: &OpenOptions,
    drivers: impl Iterator<Item = &'static dyn Driver>,
    found: &mut Findings,
) -> Result<Vec<Box<dyn RawScan>>, CopyError> {
    let mut scans = Vec::new();
    for driver in drivers {
        match driver.scan_raw(at, options.common()) {
            Ok(scan) => scans.extend(scan),
            Err(error) => found.error(FaultKind::Structure, None, error).of_source()?,
        }
    }
    Ok(scans)
}

/// Copies everything readable of an open store to an empty one.
///
/// - Every listed block that can be read and matches the hash in its CID. Then, by following links from the heads (from
///   all blocks if the heads cannot be read), every unlisted block that can be found by its CID.
/// - The heads whose blocks were copied.
/// - Every row of a side table that can be read and that the target accepts; of indexes of nearest neighbours, only
///   complete ones.
///
/// A thing that cannot be read is a [`Fault`] in the report, and the copy continues. It is not a proven copy: nothing
/// is compared afterwards, because a damaged store does not say what it should hold. [`verify`](crate::verify()) of the
/// target says what its heads lack.
///
/// It holds in memory one CID for each block that was followed or lost, one batch of about 16 MiB, and up to 4 MiB and
/// one block of read-ahead.
///
/// # Errors
/// - [`CopyError::Target`] with [`StoreError::InvalidArgument`]: the target is not empty. Nothing was written.
/// - [`CopyError::Target`]: the target failed. The copied blocks remain, perhaps without their heads.
/// - [`CopyError::Source`] with [`StoreError::Closed`]; every other error of the source is a fault.
/// - [`CopyError::Stopped`]: the callback stopped it. The target has no heads yet, or all.
pub fn salvage(
    from: &dyn Store,
    to: &dyn Store,
    options: &SalvageOptions,
    progress: OnProgress<'_>,
) -> Result<SalvageReport, CopyError> {
    check_empty(to)?;
    let mut salvage = Salvage::new(to, Findings::new(options.faults_max), progress);
    let ended = salvage.everything(Some(from), &mut []);
    finish(salvage, ended)
}

impl Salvage<'_> {
    /// The listed blocks, then those in the raw files, then those that links lead to, then the heads.
    fn everything(&mut self, store: Option<&dyn Store>, scans: &mut [Box<dyn RawScan>]) -> Result<(), Ended> {
        if let Some(store) = store {
            self.listed(store)?;
        }
        // Damage inside the files of a folder shows only when they are read.
        if self.found.report.fault_count > 0 {
            for scan in scans {
                self.raw(&mut **scan)?;
            }
        }
        if let Some(store) = store {
            self.linked(store)?;
            self.tables(store)?;
        }
        self.heads()?;
        if !self.report.heads.is_empty() && !self.report.heads_from_raw {
            self.report.head_candidates.clear();
        }
        let Self { report, .. } = self;
        report.head_candidates.retain(|head| report.heads.binary_search(head).is_err());
        Ok(())
    }
}

fn finish(salvage: Salvage<'_>, ended: Result<(), Ended>) -> Result<SalvageReport, CopyError> {
    let Salvage { found, mut report, .. } = salvage;
    match ended {
        Ok(()) => {}
        Err(Ended::Failed(error)) => return Err(error),
        Err(Ended::Cancelled) => return Err(CopyError::Stopped { blocks: report.blocks, new: report.blocks }),
    }
    report.structure_damaged = found.report.structure_damaged;
    report.fault_count = found.report.fault_count;
    report.faults = found.report.faults;
    tracing::debug!(blocks = report.blocks, raw = report.raw, faults = report.fault_count, "salvaged a store");
    Ok(report)
}

/// Later, salvaged blocks cannot be told from others, so the target must be empty.
fn check_empty(to: &dyn Store) -> Result<(), CopyError> {
    let holds = if to.cids().of_target()?.next().transpose().of_target()?.is_some() {
        "blocks"
    } else if !to.heads().of_target()?.is_empty() {
        "heads"
    } else if !to.side_tables().of_target()?.is_empty() {
        "side tables"
    } else {
        return Ok(());
    };
    let reason = format!("the target already holds {holds}; salvage into a new store");
    Err(CopyError::Target(StoreError::InvalidArgument { operation: "salvage", reason }.into()))
}
