//! Copying a store into another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::ControlFlow,
    sync::Arc,
};

use mnem_ann_persist as knn;
use mnem_store_traits::{
    Bytes, Cause, Cid, ErrorKind, Outcome, SideTable, Store, StoreError, WriteBatch, cid_from_bytes, is_checkable,
    limits::TABLE_VALUE_BYTES_MAX,
};
use serde::Serialize;

use crate::{
    Progress, Stage,
    limits::{COPY_BATCH_BYTES_MAX, COPY_BATCH_ITEMS_MAX, UNCHECKED_LISTED_MAX},
    report,
};

/// What a copy did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// Blocks in the source, and now in the target.
    pub blocks: u64,
    /// Bytes of those blocks.
    #[serde(rename = "block_bytes")]
    pub bytes: u64,
    /// Blocks that the target did not hold before.
    pub new: u64,
    /// Blocks that it did hold: always `blocks` − `new`.
    pub present: u64,
    /// Blocks whose hash this build cannot compute: copied as stored.
    pub unchecked: u64,
    /// The first of them, as many as are listed.
    #[serde(serialize_with = "report::cids")]
    pub unchecked_cids: Vec<Cid>,
    /// Side tables, ascending by name.
    pub tables: Vec<TableCopied>,
    /// The heads of both stores, ascending.
    #[serde(serialize_with = "report::cids")]
    pub heads: Vec<Cid>,
}

/// A side table that was copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableCopied {
    /// Its name.
    pub name: String,
    /// Keys copied.
    pub keys: u64,
    /// Bytes of their values.
    #[serde(rename = "value_bytes")]
    pub bytes: u64,
}

/// Why a copy ended before the end, and which of the two stores was at fault. Of a fault it says what the store's error says.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source could not be read.
    #[error(transparent)]
    Source(Box<StoreError>),
    /// The target refused or failed, is damaged, or does not hold the same as the source.
    #[error(transparent)]
    Target(Box<StoreError>),
    /// The callback for progress asked for the end. The heads of the target are as they were, unless the copy was being proved by then.
    #[error("the copy was stopped: {blocks} blocks were copied or found in the target, {new} of them new")]
    Stopped {
        /// Blocks of the source that were written, or found in the target.
        blocks: u64,
        /// How many of them were written.
        new: u64,
    },
}

impl CopyError {
    /// The error of the store at fault, where one is.
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Source(error) | Self::Target(error) => Some(error),
            Self::Stopped { .. } => None,
        }
    }

    /// What went wrong, to branch on; `None` if nothing did, and the caller stopped it.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.store_error().map(StoreError::kind)
    }
}

/// Says whose error it is.
pub(crate) trait OfAStore<T> {
    fn of_source(self) -> Result<T, CopyError>;
    fn of_target(self) -> Result<T, CopyError>;
}

impl<T> OfAStore<T> for Result<T, StoreError> {
    fn of_source(self) -> Result<T, CopyError> {
        self.map_err(|error| CopyError::Source(error.into()))
    }

    fn of_target(self) -> Result<T, CopyError> {
        self.map_err(|error| CopyError::Target(error.into()))
    }
}

/// Copies every block, side table and head of `from` into `to`, and proves that both then hold the same CIDs and the same heads.
///
/// The target must be empty or hold a part of the source: no block, row key or head that the source has not. So a copy that was
/// interrupted is finished by running it again, and two different stores are never mixed. Blocks that the target holds are read, since a name
/// proves nothing about the bytes, and not written again.
///
/// In this order: the target is looked through; blocks, side tables and heads (one commit each, ascending) are written; the proof. Until the
/// heads are there the target is incomplete, its side tables too. Blocks are hashed as they are read and again as they are written. Those
/// whose hash this build cannot compute are copied as stored, and listed in the report. Rows of side tables are copied as they are, but for indexes of
/// nearest neighbours in rows of more than 16 MiB, which only files of the published program have: those become parts ([`knn::store`]).
///
/// The source may be written to meanwhile: its heads are read first, so what they reach is copied. But then the proof may fail, since the
/// two differ.
///
/// Memory: one batch of about 16 MiB, and one page of names of each store; an index that becomes parts, whole.
///
/// ```
/// use mnem_storage::{BlockstoreExt, Bytes, MemoryStore, OpHeadsStore, RAW, copy, unwatched};
///
/// let (from, to) = (MemoryStore::new(), MemoryStore::new());
/// let op = from.put_as(RAW, Bytes::from_static(b"an operation"))?;
/// from.update(&op, &[])?;
/// let report = copy(&from, &to, &mut unwatched)?;
/// assert_eq!((report.blocks, report.new), (1, 1));
/// assert_eq!(to.heads()?, [op]);
/// assert_eq!(copy(&from, &to, &mut unwatched)?.new, 0); // again: all is there
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`CopyError::Stopped`], as the callback wished; else [`CopyError`] says which store is at fault, and in it:
/// - [`StoreError::InvalidArgument`]: the target holds what the source does not. Nothing was written.
/// - [`StoreError::Unsupported`]: the source has side tables, and the target cannot. Nothing was written.
/// - [`StoreError::Corrupt`]: a block of that store is damaged; [`verify`](crate::verify()) lists all of them. One of the target is healed by
///   deleting it and copying again.
/// - [`StoreError::Backend`], "target store failed to hold the same as the source": the proof found a difference; the cause says which.
/// - Otherwise those of the two stores. Whatever was copied remains, and the heads of the target are complete or untouched, or, after a failure
///   between two heads, some of them are missing.
pub fn copy(
    from: &dyn Store,
    to: &dyn Store,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<CopyReport, CopyError> {
    let heads = from.heads().of_source()?;
    let tables = from.side_tables().of_source()?;
    let mut report = CopyReport { heads, ..CopyReport::default() };
    let copied = copy_all(from, to, &tables, &mut report, progress);
    copied.map_err(|ended| match ended {
        Ended::Failed(error) => error,
        Ended::Asked => CopyError::Stopped { blocks: report.blocks, new: report.new },
    })?;
    tracing::debug!(blocks = report.blocks, new = report.new, "copied a store");
    Ok(report)
}

/// Why a copy does not go on.
#[derive(Debug)]
pub(crate) enum Ended {
    Failed(CopyError),
    Asked,
}

impl From<CopyError> for Ended {
    fn from(error: CopyError) -> Self {
        Self::Failed(error)
    }
}

pub(crate) fn go_on(asked: ControlFlow<()>) -> Result<(), Ended> {
    if asked.is_break() { Err(Ended::Asked) } else { Ok(()) }
}

fn copy_all(
    from: &dyn Store,
    to: &dyn Store,
    tables: &[String],
    report: &mut CopyReport,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Ended> {
    check_target(from, to, &report.heads, tables, progress)?;
    copy_blocks(from, to, report, progress)?;
    copy_tables(from, to, tables, report, progress)?;
    set_heads(to, &report.heads)?;
    prove(from, to, report, progress)
}

fn check_target(
    from: &dyn Store,
    to: &dyn Store,
    heads: &[Cid],
    tables: &[String],
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Ended> {
    for head in to.heads().of_target()? {
        if heads.binary_search(&head).is_err() {
            return Err(not_a_part(format!("head {head}")).into());
        }
    }
    let mut done = Progress::of(Stage::Target);
    for cid in to.cids().of_target()? {
        let cid = cid.of_target()?;
        if !from.has(&cid).of_source()? {
            return Err(not_a_part(format!("block {cid}")).into());
        }
        done.add(0);
        go_on(progress(done))?;
    }
    for name in to.side_tables().of_target()? {
        let (source, target) = (from.side_table(&name), to.side_table(&name).of_target()?);
        let source = if tables.contains(&name) { Some(source.of_source()?) } else { None };
        let mut last_known = None;
        for key in target.keys(&[]).of_target()? {
            let key = key.of_target()?;
            // What an earlier copy made parts of has no part in the source.
            let index = if name == knn::TABLE { knn::index_of_key(&key) } else { None };
            let known = match &source {
                Some(_) if index.is_some() && index == last_known => true,
                Some(source) => has_key(&**source, &key, index)?,
                None => false,
            };
            last_known = index;
            if !known {
                return Err(not_a_part(format!("key {} of side table {name}", hex(&key))).into());
            }
        }
    }
    match tables.first() {
        Some(name) => Ok(to.side_table(name).map(drop).of_target()?),
        None => Ok(()),
    }
}

fn has_key(source: &dyn SideTable, key: &[u8], index: Option<Cid>) -> Result<bool, CopyError> {
    let index = index.map(|cid| cid.to_bytes());
    for key in [Some(key), index.as_deref()].into_iter().flatten() {
        if source.get(key).of_source()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn not_a_part(what: String) -> CopyError {
    let reason = format!("the target holds {what}, which the source does not; copy into a new store");
    CopyError::Target(StoreError::InvalidArgument { operation: "copy", reason }.into())
}

/// The blocks of one commit to the target.
#[derive(Default)]
struct Batch {
    writes: WriteBatch,
    items: usize,
    bytes: u64,
}

fn copy_blocks(
    from: &dyn Store,
    to: &dyn Store,
    report: &mut CopyReport,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Ended> {
    let mut done = Progress::of(Stage::Blocks);
    go_on(progress(done))?;
    let mut batch = Batch::default();
    let mut asked = ControlFlow::Continue(());
    for cid in from.cids().of_source()? {
        let cid = cid.of_source()?;
        // Deleted since it was listed: whether that matters is for the proof to say.
        let Some(data) = from.get(&cid).of_source()? else { continue };
        let block_bytes = data.len() as u64;
        let full = batch.bytes + block_bytes > COPY_BATCH_BYTES_MAX && batch.bytes > 0;
        if full || batch.items >= COPY_BATCH_ITEMS_MAX {
            to.commit(mem::take(&mut batch).writes).of_target()?;
        }
        batch.take(to, cid, data, report)?;
        done.add(block_bytes);
        asked = progress(done);
        if asked.is_break() {
            break;
        }
    }
    // Also if the end was asked for: what has been counted is there then.
    if batch.items > 0 {
        to.commit(batch.writes).of_target()?;
    }
    go_on(asked)
}

impl Batch {
    fn take(&mut self, to: &dyn Store, cid: Cid, data: Bytes, report: &mut CopyReport) -> Result<(), CopyError> {
        let block_bytes = data.len() as u64;
        report.blocks += 1;
        report.bytes += block_bytes;
        let writes = mem::take(&mut self.writes);
        self.items += 1;
        self.writes = if is_present(to, &cid, &data)? {
            report.present += 1;
            writes.require(cid)
        } else {
            report.new += 1;
            self.bytes += block_bytes;
            if is_checkable(&cid) { writes.put(cid, data) } else { writes.put_trusted(cid, data) }
        };
        if !is_checkable(&cid) {
            report.unchecked += 1;
            if report.unchecked_cids.len() < UNCHECKED_LISTED_MAX {
                report.unchecked_cids.push(cid);
            }
        }
        Ok(())
    }
}

/// Whether the target holds the block. Reads it: the name alone would count a damaged block as copied.
fn is_present(to: &dyn Store, cid: &Cid, data: &Bytes) -> Result<bool, CopyError> {
    match to.get(cid).of_target()? {
        None => Ok(false),
        Some(there) if there == *data => Ok(true),
        // Only where no hash can be computed: else the store has found it.
        Some(_) => Err(differs(format!("block {cid}, whose hash function is unknown here, has other bytes there"))),
    }
}

fn copy_tables(
    from: &dyn Store,
    to: &dyn Store,
    tables: &[String],
    report: &mut CopyReport,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Ended> {
    let mut done = Progress::of(Stage::Tables);
    for name in tables {
        let source = from.side_table(name).of_source()?;
        let target = to.side_table(name).of_target()?;
        let mut copied = TableCopied { name: name.clone(), keys: 0, bytes: 0 };
        copy_rows(name, &*source, &target, &mut |value_bytes| {
            copied.keys += 1;
            copied.bytes += value_bytes;
            done.add(value_bytes);
            progress(done)
        })?;
        report.tables.push(copied);
    }
    Ok(())
}

fn copy_rows(
    name: &str,
    source: &dyn SideTable,
    target: &Arc<dyn SideTable>,
    row: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<(), Ended> {
    if name != knn::TABLE {
        return copy_rows_where(name, source, &**target, row, &mut |_| Ok(true));
    }
    let mut kept = Kept::default();
    // What makes an index real is its manifest, which is behind its parts then, whatever interrupts the copy.
    let (here, there) = (source, &**target);
    copy_rows_where(name, here, there, row, &mut |key| Ok(is_part(key) && !kept.holds(source, target, key)?))?;
    copy_rows_where(name, here, there, row, &mut |key| Ok(!is_part(key) && !kept.holds(source, target, key)?))
}

/// Whether a key of the edge table is that of a page or a chunk.
fn is_part(key: &[u8]) -> bool {
    knn::index_of_key(key).is_some_and(|cid| cid.to_bytes() != key)
}

/// Which indexes the target holds already, whole, in the other format: that stays, and nothing of the source's is put beside it.
#[derive(Default)]
struct Kept(BTreeMap<Cid, bool>);

impl Kept {
    fn holds(&mut self, source: &dyn SideTable, target: &Arc<dyn SideTable>, key: &[u8]) -> Result<bool, CopyError> {
        let Some(cid) = knn::index_of_key(key) else { return Ok(false) };
        if let Some(kept) = self.0.get(&cid) {
            return Ok(*kept);
        }
        let (here, there) = (knn::format_of(source, &cid).of_source()?, knn::format_of(&**target, &cid).of_target()?);
        // What is not whole there is copied again.
        let kept = here != there && is_whole(target, &cid)?;
        self.0.insert(cid, kept);
        Ok(kept)
    }
}

/// Whether the target holds the index and can read all of it.
fn is_whole(target: &Arc<dyn SideTable>, cid: &Cid) -> Result<bool, CopyError> {
    let checked = match knn::open(Arc::clone(target), cid) {
        Ok(Some(reader)) => reader.check().map(|()| true),
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    };
    match checked {
        Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::UnsupportedFormat) => Ok(false),
        checked => checked.of_target(),
    }
}

/// Copies the rows whose keys are wanted.
fn copy_rows_where(
    name: &str,
    source: &dyn SideTable,
    target: &dyn SideTable,
    row: &mut dyn FnMut(u64) -> ControlFlow<()>,
    wanted: &mut dyn FnMut(&[u8]) -> Result<bool, CopyError>,
) -> Result<(), Ended> {
    let mut puts: Vec<(Bytes, Bytes)> = Vec::new();
    let mut bytes = 0;
    for key in source.keys(&[]).of_source()? {
        let key = key.of_source()?;
        if !wanted(&key)? {
            continue;
        }
        let Some(value) = source.get(&key).of_source()? else { continue };
        let value_bytes = value.len() as u64;
        if puts.len() >= COPY_BATCH_ITEMS_MAX || (bytes + value_bytes > COPY_BATCH_BYTES_MAX && !puts.is_empty()) {
            target.write(&mem::take(&mut puts), &[]).of_target()?;
            bytes = 0;
        }
        go_on(row(value_bytes))?;
        if name == knn::TABLE && value.len() > TABLE_VALUE_BYTES_MAX {
            drop(value);
            copy_in_parts(source, target, &key)?;
        } else {
            bytes += value_bytes;
            puts.push((key, value));
        }
    }
    if puts.is_empty() { Ok(()) } else { Ok(target.write(&puts, &[]).of_target()?) }
}

/// An index in one row that is larger than values are here, as the published program stores large ones. In parts it fits, under the same CID.
pub(crate) fn copy_in_parts(source: &dyn SideTable, target: &dyn SideTable, key: &Bytes) -> Result<(), CopyError> {
    let cid = cid_from_bytes(key).map_err(|error| StoreError::Damaged {
        backend: "source",
        what: format!("key {} of side table {}", hex(key), knn::TABLE),
        source: Cause::new(error),
    });
    // Gone since its row was read: as if it had never been listed.
    let Some(index) = knn::load(source, &cid.of_source()?).of_source()? else { return Ok(()) };
    knn::store(target, &index).map(drop).of_target()
}

fn set_heads(to: &dyn Store, heads: &[Cid]) -> Result<(), CopyError> {
    let present: BTreeSet<Cid> = to.heads().of_target()?.into_iter().collect();
    for head in heads.iter().filter(|head| !present.contains(head)) {
        let batch = WriteBatch::new().update(*head, []);
        // A head whose block the source does not hold is copied as such a head: a copy judges nothing.
        let batch = if to.has(head).of_target()? { batch.require(*head) } else { batch };
        to.commit(batch).of_target()?;
    }
    Ok(())
}

/// Compares the listings, each name looked up in the other store, so that no more than a page of names is held.
fn prove(
    from: &dyn Store,
    to: &dyn Store,
    report: &CopyReport,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(), Ended> {
    let mut done = Progress { total_blocks: report.blocks.checked_mul(2), ..Progress::of(Stage::Proof) };
    go_on(progress(done))?;
    let mut count = || {
        done.blocks += 1;
        go_on(progress(done))
    };
    let (mut source, mut target) = (0, 0);
    for cid in from.cids().of_source()? {
        let cid = cid.of_source()?;
        if !to.has(&cid).of_target()? {
            return Err(differs(format!("the target lacks block {cid}")).into());
        }
        source += 1;
        count()?;
    }
    for cid in to.cids().of_target()? {
        let cid = cid.of_target()?;
        if !from.has(&cid).of_source()? {
            return Err(differs(format!("the source lacks block {cid}")).into());
        }
        target += 1;
        count()?;
    }
    if source != target || source != report.blocks {
        let blocks = report.blocks;
        return Err(
            differs(format!("{blocks} blocks were copied, the source has {source}, the target {target}")).into()
        );
    }
    if from.heads().of_source()? != report.heads || to.heads().of_target()? != report.heads {
        return Err(differs("the heads are not the same".to_owned()).into());
    }
    Ok(())
}

fn differs(what: String) -> CopyError {
    let error = StoreError::Backend {
        backend: "target",
        operation: "hold the same as the source".to_owned(),
        outcome: Outcome::Unknown,
        source: Cause::new(format!("{what}; was one of them written to meanwhile?")),
    };
    CopyError::Target(error.into())
}

pub(crate) fn hex(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use mnem_store_traits::{KeyIter, MemoryStore, RAW, StoreError, cid_of};

    use super::*;

    /// A table that remembers the keys in the order in which they came, and may be unable to read the parts of indexes.
    #[derive(Debug)]
    struct Watched {
        table: Arc<dyn SideTable>,
        came: Mutex<Vec<Bytes>>,
        parts_fail: bool,
    }

    impl Watched {
        fn new(table: Arc<dyn SideTable>, parts_fail: bool) -> Arc<Self> {
            Arc::new(Self { table, came: Mutex::default(), parts_fail })
        }
    }

    impl SideTable for Watched {
        fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
            if self.parts_fail && is_part(key) {
                return Err(StoreError::Backend {
                    backend: "watched",
                    operation: "read a part".into(),
                    outcome: Outcome::NotApplied,
                    source: Cause::new(std::io::Error::other("planted")),
                });
            }
            self.table.get(key)
        }
        fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
            self.table.keys(prefix)
        }
        fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
            self.came.lock().unwrap().extend(puts.iter().map(|(key, _)| key.clone()));
            self.table.write(puts, deletes)
        }
    }

    fn index() -> knn::KnnEdgeIndex {
        let node = |n: u8| knn::NodeId([n; 16]);
        let edges = vec![knn::KnnEdge { src: node(1), dst: node(2), weight: 0.5 }];
        knn::KnnEdgeIndex::new(cid_of(RAW, b"root"), 1, knn::DistanceMetric::Cosine, edges).unwrap()
    }

    fn table() -> Arc<dyn SideTable> {
        MemoryStore::new().side_table(knn::TABLE).unwrap()
    }

    #[test]
    fn an_index_becomes_real_by_the_last_of_its_rows() {
        let (source, target) = (table(), Watched::new(table(), false));
        let cid = knn::store(&*source, &index()).unwrap();
        copy_rows(knn::TABLE, &*source, &(Arc::clone(&target) as _), &mut |_| ControlFlow::Continue(())).unwrap();
        let came = target.came.lock().unwrap();
        assert!(came.len() > 1, "parts and a manifest");
        assert_eq!(came.last().unwrap(), &cid.to_bytes());
        assert_eq!(knn::load(&*target.table, &cid).unwrap(), Some(index()));
    }

    #[test]
    fn a_target_that_cannot_be_read_is_not_taken_for_one_that_lacks_the_index() {
        let (source, there) = (table(), table());
        knn::store_row(&*source, &index()).unwrap();
        knn::store(&*there, &index()).unwrap();
        let target = Watched::new(Arc::clone(&there), true);
        let error = copy_rows(knn::TABLE, &*source, &(Arc::clone(&target) as _), &mut |_| ControlFlow::Continue(()))
            .unwrap_err();
        let Ended::Failed(CopyError::Target(error)) = error else { panic!("another error: {error:?}") };
        assert_eq!(error.kind(), ErrorKind::Backend);
        assert!(target.came.lock().unwrap().is_empty());
        // One that lacks a part is copied again.
        let part = there.keys(&[]).unwrap().map(Result::unwrap).find(|key| is_part(key)).unwrap();
        there.write(&[], &[part]).unwrap();
        copy_rows(knn::TABLE, &*source, &there, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(knn::load(&*there, &knn::list(&*there).unwrap().next().unwrap().unwrap()).unwrap(), Some(index()));
    }
}
