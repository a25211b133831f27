//! Importing an archive into a store.

use std::{collections::BTreeSet, io::Read, thread};

use mnem_car::{BLOCK_BYTES_MAX, CarError, CarWarning, Reader, Section};
use mnem_store_traits::{Cid, Store, StoreError, WriteBatch, backend::check_block, driver::ManagedStore};
use serde::Serialize;

use super::{
    complete,
    error::{ImportError, Kept},
    handover::Handover,
    landing::{Landing, Target},
};
use crate::{
    Progress, Stage, StoreCause,
    limits::{IMPORT_BATCH_BYTES_DEFAULT, UNCHECKED_LISTED_MAX},
    progress::{Cancelled, OnProgress},
    report,
};

/// Options for an import.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a call is made with them"]
pub struct ImportOptions {
    heads: bool,
    complete: bool,
    block_bytes_max: u64,
    batch_bytes: u64,
    keep_unknown_hashes: bool,
    allow_padding: bool,
    total_bytes: Option<u64>,
}

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The version of the archive: 1 or 2.
    pub version: u64,
    /// The roots named in its header, in its order.
    #[serde(serialize_with = "report::cids")]
    pub roots: Vec<Cid>,
    /// Blocks in the archive, including repetitions.
    pub blocks: u64,
    /// Bytes of those blocks.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the store did not hold before.
    pub new: u64,
    /// Blocks that it already held, and repetitions within the archive: always `blocks` − `new`.
    pub present: u64,
    /// Roots whose block is not in the archive, ascending. The store may still hold it.
    #[serde(serialize_with = "report::cids")]
    pub missing_roots: Vec<Cid>,
    /// Roots that became heads, in the order of the header, without those that already were heads.
    #[serde(serialize_with = "report::cids")]
    pub heads_set: Vec<Cid>,
    /// Blocks that the roots reach, all of them in the store. `None` unless [`ImportOptions::complete`] was set.
    pub reached: Option<u64>,
    /// The number of those that may link to others and were not searched for links. What they link to may be absent.
    pub opaque: Option<u64>,
    /// The size of the largest block. Other tools may refuse one above 2 MiB.
    pub largest_block_bytes: u64,
    /// Bytes of the archive up to the end of its last section: without the index of a CARv2 and padding.
    pub archive_bytes: u64,
    /// Blocks whose hash function this build cannot compute, stored as they are, including repetitions.
    pub unchecked: u64,
    /// Those blocks, in the order of the archive: the first 10,000 of them.
    #[serde(serialize_with = "report::cids")]
    pub unchecked_cids: Vec<Cid>,
    /// Zeros after the last section, if they were allowed.
    pub padding_bytes: u64,
    /// Oddities of an archive that still holds every section that it should.
    #[serde(serialize_with = "report::warnings")]
    pub warnings: Vec<CarWarning>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            heads: false,
            complete: false,
            block_bytes_max: BLOCK_BYTES_MAX,
            batch_bytes: IMPORT_BATCH_BYTES_DEFAULT,
            keep_unknown_hashes: false,
            allow_padding: false,
            total_bytes: None,
        }
    }
}

impl ImportOptions {
    /// The default memory of a batch: 192 MiB. Large batches pay, because rows that are sorted together are stored
    /// together.
    pub const BATCH_BYTES: u64 = IMPORT_BATCH_BYTES_DEFAULT;

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the roots of the archive heads, in addition to those of the store. Default: no.
    pub fn heads(mut self, yes: bool) -> Self {
        self.heads = yes;
        self
    }

    /// Makes them heads only if no block that they reach is missing from the store after the import. Implies
    /// [`heads`](Self::heads). Default: no.
    pub fn complete(mut self, yes: bool) -> Self {
        self.complete = yes;
        self
    }

    /// The largest accepted block, in bytes, but never more than the store accepts. Default: [`BLOCK_BYTES_MAX`].
    pub fn block_bytes_max(mut self, bytes: u64) -> Self {
        self.block_bytes_max = bytes;
        self
    }

    /// Memory for the blocks that are sorted together, in bytes, including their names. Two such batches are held at
    /// once: one is read and checked while the other is stored in short durable commits. Default:
    /// [`BATCH_BYTES`](Self::BATCH_BYTES).
    pub fn batch_bytes(mut self, bytes: u64) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Stores blocks whose hash function this build cannot compute, unchecked. Default: no; they are a fault of the
    /// archive.
    pub fn keep_unknown_hashes(mut self, yes: bool) -> Self {
        self.keep_unknown_hashes = yes;
        self
    }

    /// Accepts zeros after the last section. Default: no.
    pub fn allow_padding(mut self, yes: bool) -> Self {
        self.allow_padding = yes;
        self
    }

    /// The size of the archive if the caller knows it, for [`Progress::total_bytes`].
    pub fn total_bytes(mut self, bytes: Option<u64>) -> Self {
        self.total_bytes = bytes;
        self
    }
}

/// Reads a CARv1 or CARv2 from `input` and stores its blocks.
///
/// Every block is hashed before it is stored, even if the store already holds it. Blocks are gathered in batches of
/// `batch_bytes`, sorted, and stored by a second thread in durable commits of about 0.4 seconds. Memory is bounded by
/// two batches, one commit and one block. An archive that fits into one batch fills a new store as compactly as a copy
/// does. A block that the store holds is not written again, so an interrupted import continues where it stopped when it
/// is run again. The blocks of CIDv0 and identity CIDs are stored like any other.
///
/// If `progress` stops the import, gathered blocks are stored for 0.3 seconds more, and at least one commit of them.
///
/// The input is read to its end. An archive that is followed by sections that its header does not cover, by another
/// archive or by anything else is faulty. The table at [`Reader`] lists errors and warnings
/// ([`ImportReport::warnings`]).
///
/// A block whose hash function this build cannot compute is a fault too. With [`ImportOptions::keep_unknown_hashes`] it
/// is stored unchecked and listed in the report; if the store or the archive has other bytes under the same CID, the
/// import fails.
///
/// With [`ImportOptions::heads`], the roots become heads once all blocks are durable: in one commit that requires their
/// blocks, in addition to the existing heads. A root that is already a head stays one. If the block of any root is
/// neither in the archive nor in the store, no head changes ([`ImportError::MissingRoots`]). Links are not followed,
/// because an archive may hold a part of a graph on purpose. [`verify`](crate::verify()) follows them, and so does
/// [`ImportOptions::complete`], before any head changes ([`ImportError::Incomplete`]).
///
/// A lookup before each commit counts the new blocks. If others write to the same store meanwhile, both may count a
/// block as new.
///
/// # Errors
/// [`ImportError`]. Verified blocks before the fault are in the store, counted in [`ImportError::kept`]. Heads change
/// only after the last block. After [`ImportError::Heads`], all roots are heads or none: [`StoreError::outcome`] of its
/// cause says whether they may be.
pub fn import(
    store: &dyn Store,
    input: impl Read,
    options: &ImportOptions,
    progress: OnProgress<'_>,
) -> Result<ImportReport, ImportError> {
    let report = Import::all(Target::Store(store), input, options, progress)?;
    let ImportReport { blocks, new, .. } = report;
    tracing::debug!(blocks, new, "imported an archive");
    Ok(report)
}

/// As [`import`], into a store whose driver [adopts](crate::driver::Driver::adopts) archives: the blocks are stored in
/// the order of the archive, as its sections.
///
/// This takes less time and memory than an import. Reading the blocks in the order of the archive later reads the files
/// of the store from one end to the other. The blocks go into durable commits of up to 32 MiB, without repetitions and
/// without what the store holds. Checks, errors, the report and the state after a failure are those of an import.
///
/// ```
/// # #[cfg(feature = "carlog")] {
/// # use mnem_storage::{MemoryStore, BlockstoreExt, Bytes, OpHeadsStore, RAW};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("animals.carlog");
/// # let store = MemoryStore::new();
/// # let op = store.put_as(RAW, Bytes::from_static(b"an operation"))?;
/// # store.update(&op, &[])?;
/// # let mut archive = Vec::new();
/// # mnem_storage::car::export(&store, &mut archive, &Default::default(), &mut mnem_storage::unwatched)?;
/// use mnem_storage::{OpenOptions, car::{self, ImportOptions}, unwatched};
///
/// let store = OpenOptions::new().create(true).open_managed(&path)?;
/// let report = car::adopt(&*store, &archive[..], &ImportOptions::new().heads(true), &mut unwatched)?;
/// assert_eq!((report.new, store.heads()?), (1, vec![op]));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`import`]. If the driver does not adopt archives: [`StoreError::Unsupported`], before anything is read.
pub fn adopt(
    store: &dyn ManagedStore,
    input: impl Read,
    options: &ImportOptions,
    progress: OnProgress<'_>,
) -> Result<ImportReport, ImportError> {
    let refused = |source: StoreError| ImportError::Store { offset: 0, kept: Kept::default(), source: source.into() };
    store.adopt(&[]).map_err(refused)?;
    let report = Import::all(Target::Adopting(store), input, options, progress)?;
    let ImportReport { blocks, new, .. } = report;
    tracing::debug!(blocks, new, "adopted an archive");
    Ok(report)
}

struct Import<'a> {
    store: &'a dyn Store,
    kept: Kept,
    report: ImportReport,
}

/// A block that does not match its CID, or that this build cannot check.
struct Refused {
    section_offset: u64,
    offset: u64,
    source: StoreCause,
}

/// The reason why no more blocks are accepted.
enum Ended {
    Archive(CarError),
    Block(Refused),
    Cancelled,
}

impl From<CarError> for Ended {
    fn from(error: CarError) -> Self {
        Self::Archive(error)
    }
}

impl From<Cancelled> for Ended {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl<'a> Import<'a> {
    fn all(
        target: Target<'a>,
        input: impl Read,
        options: &ImportOptions,
        progress: OnProgress<'_>,
    ) -> Result<ImportReport, ImportError> {
        let mut import = Self { store: target.store(), kept: Kept::default(), report: ImportReport::default() };
        import.blocks(target, input, options, progress)?;
        if options.complete {
            let checked = complete::check(import.store, &import.report, import.kept, progress)?;
            (import.report.reached, import.report.opaque) = checked;
        }
        if options.heads || options.complete {
            import.set_heads()?;
        }
        Ok(import.report)
    }

    /// Stores the blocks of the archive.
    fn blocks(
        &mut self,
        target: Target<'_>,
        input: impl Read,
        options: &ImportOptions,
        progress: OnProgress<'_>,
    ) -> Result<(), ImportError> {
        let block_bytes_max = options.block_bytes_max.min(self.store.capabilities().block_bytes_max);
        let reader = Reader::new(input, block_bytes_max).map_err(|error| self.faulty(error))?;
        let mut reader = reader.allow_padding(options.allow_padding);
        self.report.version = reader.version();
        self.report.roots = reader.roots().to_vec();
        let runs = Handover::new();
        let (ended, landed) = thread::scope(|scope| {
            let landing = Landing::begin(scope, target, &runs, options.batch_bytes);
            let mut landing = landing.map_err(|source| ImportError::Thread { source })?;
            let mut done = Progress { total_bytes: options.total_bytes, ..Progress::of(Stage::Blocks) };
            let ended = self.sections(&mut reader, &mut landing, options, &mut done, progress);
            Ok((ended, landing.finish(&mut || progress(done))))
        })?;
        self.kept = landed.kept;
        self.report.new = landed.kept.new;
        self.report.present = landed.kept.blocks - landed.kept.new;
        // The store failed at an earlier place in the archive than the fault.
        if let Some((error, end)) = landed.failed {
            return Err(self.failed(error, end));
        }
        match ended {
            Err(Ended::Archive(error)) => return Err(self.faulty(error)),
            Err(Ended::Block(Refused { section_offset, offset, source })) => {
                return Err(ImportError::Block { section_offset, offset, kept: self.kept, source });
            }
            Ok(()) if !landed.left_off => {}
            Ok(()) | Err(Ended::Cancelled) => {
                return Err(ImportError::Stopped { offset: reader.offset(), kept: self.kept });
            }
        }
        self.report.padding_bytes = reader.padding_bytes();
        self.report.warnings = reader.warnings().to_vec();
        Ok(())
    }

    /// Reads and checks every block, and passes it on.
    fn sections(
        &mut self,
        reader: &mut Reader<impl Read>,
        landing: &mut Landing<'_>,
        options: &ImportOptions,
        done: &mut Progress,
        progress: OnProgress<'_>,
    ) -> Result<(), Ended> {
        let mut missing: BTreeSet<Cid> = reader.roots().iter().copied().collect();
        done.bytes = reader.offset();
        Cancelled::check(progress(*done))?;
        while let Some(section) = reader.next_section()? {
            match check(&section) {
                Err(Refused { source, .. }) if options.keep_unknown_hashes && is_of_hash(&source) => {
                    self.unchecked(section.cid);
                }
                checked => checked.map_err(Ended::Block)?,
            }
            missing.remove(&section.cid);
            let block_bytes = section.data.len() as u64;
            self.report.blocks += 1;
            self.report.bytes += block_bytes;
            self.report.largest_block_bytes = self.report.largest_block_bytes.max(block_bytes);
            let so_far = *done;
            landing.take(section.cid, section.data, reader.offset(), &mut || progress(so_far))?;
            done.blocks += 1;
            done.bytes = reader.offset();
            Cancelled::check(progress(*done))?;
        }
        self.report.archive_bytes = done.bytes;
        self.report.missing_roots = missing.into_iter().collect();
        Ok(())
    }

    fn unchecked(&mut self, cid: Cid) {
        self.report.unchecked += 1;
        if self.report.unchecked_cids.len() < UNCHECKED_LISTED_MAX {
            self.report.unchecked_cids.push(cid);
        }
    }

    fn faulty(&self, error: CarError) -> ImportError {
        let kept = self.kept;
        match error {
            CarError::Io { offset, source } => ImportError::Read { offset, kept, source },
            source => ImportError::Archive { source, kept },
        }
    }

    fn failed(&self, source: StoreError, offset: u64) -> ImportError {
        ImportError::Store { offset, kept: self.kept, source: source.into() }
    }

    fn set_heads(&mut self) -> Result<(), ImportError> {
        let offset = self.report.archive_bytes;
        let roots = &self.report.missing_roots;
        let present = if roots.is_empty() { Ok(Vec::new()) } else { self.store.has_many(roots) };
        let present = present.map_err(|source| self.failed(source, offset))?;
        let absent = roots.iter().zip(present).filter(|(_, is_present)| !is_present);
        let absent: Vec<Cid> = absent.map(|(root, _)| *root).collect();
        if !absent.is_empty() {
            return Err(ImportError::MissingRoots { roots: absent, kept: self.kept });
        }
        let mut heads: BTreeSet<Cid> =
            self.store.heads().map_err(|source| self.failed(source, offset))?.into_iter().collect();
        let new: Vec<Cid> = self.report.roots.iter().filter(|root| heads.insert(**root)).copied().collect();
        let Some(root) = new.first() else { return Ok(()) };
        let mut batch = WriteBatch::new();
        batch.require_all(new.iter().copied()).update_all(new.iter().copied(), []);
        self.store.commit(&batch).map_err(|source| ImportError::Heads {
            root: Box::new(*root),
            roots: new.len() as u64,
            kept: self.kept,
            source: source.into(),
        })?;
        self.report.heads_set = new;
        Ok(())
    }
}

fn check(section: &Section) -> Result<(), Refused> {
    check_block(&section.cid, &section.data).map_err(|source| {
        let offset = if is_of_hash(&source) { section.cid_offset } else { section.data_offset };
        Refused { section_offset: section.offset, offset, source: source.into() }
    })
}

fn is_of_hash(error: &StoreError) -> bool {
    matches!(error, StoreError::UnsupportedHash { .. })
}
