//! Reading an archive into a store.

use std::{collections::BTreeSet, io::Read, thread};

use mnem_car::{BLOCK_BYTES_MAX, CarError, CarWarning, Reader, Section};
use mnem_store_traits::{Cid, Store, StoreError, WriteBatch, backend::check_block};
use serde::Serialize;

use super::{
    complete,
    error::{ImportError, Kept},
    handover::Handover,
    landing::Landing,
};
use crate::{
    Progress, Stage, StoreCause,
    limits::{IMPORT_BATCH_BYTES_DEFAULT, UNCHECKED_LISTED_MAX},
    progress::{Cancelled, OnProgress},
    report,
};

/// How to import.
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

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// The version of the archive: 1 or 2.
    pub version: u64,
    /// The roots named in its header, in its order.
    #[serde(serialize_with = "report::cids")]
    pub roots: Vec<Cid>,
    /// Blocks in the archive, repetitions counted.
    pub blocks: u64,
    /// Bytes of those blocks.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the store did not hold before.
    pub new: u64,
    /// Blocks that it did hold, and repetitions inside of the archive: always `blocks` − `new`.
    pub present: u64,
    /// Roots whose block is not in the archive, ascending. The store may hold it all the same.
    #[serde(serialize_with = "report::cids")]
    pub missing_roots: Vec<Cid>,
    /// Roots that became heads, in the order of the header. Those that were heads already are not named.
    #[serde(serialize_with = "report::cids")]
    pub heads_set: Vec<Cid>,
    /// Blocks that the roots reach, all of them in the store. `None` unless [`ImportOptions::complete`] had the links
    /// followed.
    pub reached: Option<u64>,
    /// How many of those may link to others and were not searched for links: whether what they link to is there is
    /// unknown.
    pub opaque: Option<u64>,
    /// The largest block. Above 2 MiB other tools may refuse it.
    pub largest_block_bytes: u64,
    /// Bytes of the archive up to the end of its last section: without the index of a CARv2 and padding.
    pub archive_bytes: u64,
    /// Blocks whose hash function this build cannot compute, stored as they are, repetitions counted.
    pub unchecked: u64,
    /// Those blocks, in the order of the archive: the first 10,000 of them.
    #[serde(serialize_with = "report::cids")]
    pub unchecked_cids: Vec<Cid>,
    /// Zeros after the last section, where they were allowed.
    pub padding_bytes: u64,
    /// What is odd about the archive. It holds every section that it should all the same.
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
    /// Memory of a batch unless set: 192 MiB. Large batches pay: rows that are sorted together lie together.
    pub const BATCH_BYTES: u64 = IMPORT_BATCH_BYTES_DEFAULT;

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to make the roots of the archive heads, in addition to those that the store has. Default: no.
    pub fn heads(mut self, yes: bool) -> Self {
        self.heads = yes;
        self
    }

    /// Whether to make them heads only if no block that they reach is missing from the store after the import. Implies
    /// [`heads`](Self::heads). Default: no.
    pub fn complete(mut self, yes: bool) -> Self {
        self.complete = yes;
        self
    }

    /// Largest block that is taken, in bytes; never more than the store takes. Default: [`BLOCK_BYTES_MAX`].
    pub fn block_bytes_max(mut self, bytes: u64) -> Self {
        self.block_bytes_max = bytes;
        self
    }

    /// Memory for the blocks that are sorted together, in bytes, with what their names take up. Two such batches are held at once: one is read
    /// and checked while the other is stored, in durable commits that take a moment each. Default: [`BATCH_BYTES`](Self::BATCH_BYTES).
    pub fn batch_bytes(mut self, bytes: u64) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Whether to store blocks whose hash function this build cannot compute as they are, unchecked. Default: no; they are
    /// a fault of the archive.
    pub fn keep_unknown_hashes(mut self, yes: bool) -> Self {
        self.keep_unknown_hashes = yes;
        self
    }

    /// Whether to take zeros that follow the last section. Default: no.
    pub fn allow_padding(mut self, yes: bool) -> Self {
        self.allow_padding = yes;
        self
    }

    /// Size of the archive where the caller knows it: handed on in [`Progress::total_bytes`].
    pub fn total_bytes(mut self, bytes: Option<u64>) -> Self {
        self.total_bytes = bytes;
        self
    }
}

/// Reads a CARv1 or CARv2 from `input` and stores its blocks.
///
/// Every block is hashed before it is stored, also when the store holds it already. Blocks are gathered in batches of `batch_bytes`,
/// sorted, and stored by a thread of its own in durable commits of about 0.4 seconds; memory is bounded by two batches, one commit and one
/// block more. An archive that fits one batch fills a new store as compactly as a copy does. A block that the store holds is not written
/// again, so an interrupted import goes on where it stopped when it is run again. The blocks of CIDv0 and identity CIDs are stored like any
/// other.
///
/// Where `progress` asks for the end, what was gathered is stored for 0.3 seconds more, and at least one commit of it.
///
/// The input is read to its end. An archive that is followed by sections that its header does not cover, another
/// archive or anything else is faulty; the table at [`Reader`] says what is an error and what a warning
/// ([`ImportReport::warnings`]).
///
/// A block whose hash function this build cannot compute is a fault too, unless [`ImportOptions::keep_unknown_hashes`]
/// is set: it is then stored as it is and listed in the report. If the store, or the archive, has other bytes under the
/// same CID, the import fails.
///
/// With [`ImportOptions::heads`] the roots become heads once all blocks are durable: all in one commit, which requires
/// their blocks, in addition to the heads that are there. A root that is a head already is left as it is. If the block
/// of any root is neither in the archive nor in the store, no head changes ([`ImportError::MissingRoots`]). Links are
/// not followed: an archive may hold a part of a graph on purpose. [`verify`](crate::verify()) follows them,
/// and so does [`ImportOptions::complete`] before any head changes ([`ImportError::Incomplete`]).
///
/// What was new is counted by a look-up before each commit; where others write to the same store meanwhile, a block may be counted as
/// new by both.
///
/// # Errors
/// [`ImportError`]. Verified blocks before the fault are in the store, counted in [`ImportError::kept`]. Heads change only after the last
/// block. After [`ImportError::Heads`] the roots are heads, all or none: [`StoreError::outcome`] of its cause says
/// whether they may be.
pub fn import(
    store: &dyn Store,
    input: impl Read,
    options: &ImportOptions,
    progress: OnProgress<'_>,
) -> Result<ImportReport, ImportError> {
    let mut import = Import { store, kept: Kept::default(), report: ImportReport::default() };
    import.blocks(input, options, progress)?;
    if options.complete {
        (import.report.reached, import.report.opaque) = complete::check(store, &import.report, import.kept, progress)?;
    }
    if options.heads || options.complete {
        import.set_heads()?;
    }
    let ImportReport { blocks, new, .. } = import.report;
    tracing::debug!(blocks, new, "imported an archive");
    Ok(import.report)
}

struct Import<'a> {
    store: &'a dyn Store,
    kept: Kept,
    report: ImportReport,
}

/// A block that is not what its CID names, or that this build cannot check.
struct Refused {
    section_offset: u64,
    offset: u64,
    source: StoreCause,
}

/// Why no more blocks are taken.
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

impl Import<'_> {
    /// Stores the blocks of the archive.
    fn blocks(
        &mut self,
        input: impl Read,
        options: &ImportOptions,
        progress: OnProgress<'_>,
    ) -> Result<(), ImportError> {
        let store = self.store;
        let block_bytes_max = options.block_bytes_max.min(store.capabilities().block_bytes_max);
        let reader = Reader::new(input, block_bytes_max).map_err(|error| self.faulty(error))?;
        let mut reader = reader.allow_padding(options.allow_padding);
        self.report.version = reader.version();
        self.report.roots = reader.roots().to_vec();
        let runs = Handover::new();
        let (ended, landed) = thread::scope(|scope| {
            let landing = Landing::begin(scope, store, &runs, options.batch_bytes);
            let mut landing = landing.map_err(|source| ImportError::Thread { source })?;
            let mut done = Progress { total_bytes: options.total_bytes, ..Progress::of(Stage::Blocks) };
            let ended = self.sections(&mut reader, &mut landing, options, &mut done, progress);
            Ok((ended, landing.finish(&mut || progress(done))))
        })?;
        self.kept = landed.kept;
        self.report.new = landed.kept.new;
        self.report.present = landed.kept.blocks - landed.kept.new;
        // What the store failed at lies before what the archive was found faulty at.
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

    /// Reads and checks every block, and hands it over.
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
        let mut absent = Vec::new();
        for root in &self.report.missing_roots {
            if !self.store.has(root).map_err(|source| self.failed(source, offset))? {
                absent.push(*root);
            }
        }
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
