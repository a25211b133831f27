//! The table in memory becomes a run on disk, and runs become fewer.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::{Cause, StoreError};

use super::{
    files::Files,
    manifest::{Covered, Extent, Manifest},
    memtable::Memtable,
    merge::Merge,
    page::NoAnswer,
    rows::{self, Tables},
    run::Run,
    run_writer::RunWriter,
    state::State,
};
use crate::{
    error::at,
    handle::{Bounds, Handle, Segment, View},
    limits::{CLOSING_SHARE, FAN_IN},
    tables::Layout,
};

/// Writes the newest part of the index as a run if there is much of it; `closing`: if there is some. All commits are durable as they are, so
/// a failure fails no call.
pub(crate) fn tend(handle: &Handle, closing: bool) {
    if handle.gate.poisoned().is_some() {
        return;
    }
    let plan = {
        let mut view = handle.view_mut();
        // Of a plan that ended in a panic: without it the next run would lack its entries.
        view.index.take_back_frozen();
        if !is_due(&view, closing) {
            return;
        }
        Plan::new(handle, &mut view)
    };
    match plan.write(handle) {
        Ok(run) => plan.install(handle, run),
        Err(failure) => plan.give_up(handle, failure),
    }
}

fn is_due(view: &View, closing: bool) -> bool {
    let share = if closing { CLOSING_SHARE } else { 1 };
    let Bounds { entries, tail_bytes } = view.bounds;
    view.position.seq > view.covered.seq
        && (view.index.recent.len() > entries / share || view.tail_bytes() > tail_bytes / share as u64)
}

/// One step of maintenance: merges a table with some runs into a new run, and writes the manifest that names it.
struct Plan {
    table: Arc<Memtable>,
    /// The newest runs.
    merged: Vec<Arc<Run>>,
    /// All older ones.
    kept: Vec<Arc<Run>>,
    /// The rows, if they are not in a file yet.
    tables: Option<Arc<Tables>>,
    manifest: Manifest,
    covered: Covered,
}

/// Why nothing came of a plan.
enum Failure {
    /// The files that were written are no use.
    Undone(StoreError),
    /// A sync of the folder failed: which manifest is there after a power cut is open.
    Unknown(StoreError),
    /// A run that was to be merged is damaged.
    Damaged(u64),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Undone(error)
    }
}

impl From<NoAnswer> for Failure {
    fn from(error: NoAnswer) -> Self {
        match error {
            NoAnswer::Io { path, error } => Self::Undone(at("read", &path)(error)),
            NoAnswer::Damaged { run, .. } => Self::Damaged(run),
        }
    }
}

/// How many of the newest runs are merged with a table, by their entries: while a level and those below it have [`FAN_IN`] parts or more,
/// these become one. A part of level k has up to `base` times [`FAN_IN`]^k entries.
fn runs_to_merge(base: u64, table: u64, runs: &[u64]) -> usize {
    let level =
        |entries: u64| entries.div_ceil(base).saturating_sub(1).checked_ilog(FAN_IN).map_or(0, |level| level + 1);
    let (mut taken, mut entries) = (0, table);
    loop {
        let rest = runs.get(taken..).unwrap_or_default();
        let up_to = |highest: u32| rest.iter().take_while(|entries| level(**entries) <= highest).count();
        let more = (level(entries)..=u64::BITS).map(up_to).find(|more| *more as u64 + 1 >= FAN_IN);
        let Some(more) = more else { return taken };
        entries += rest.iter().take(more).sum::<u64>();
        taken += more;
    }
}

impl Plan {
    fn new(handle: &Handle, view: &mut View) -> Self {
        let table = Arc::new(std::mem::take(&mut view.index.recent));
        view.index.frozen = Some(table.clone());
        let sizes: Vec<u64> = view.index.runs.iter().map(|run| run.header.entries).collect();
        let base = 2 * handle.bounds.entries.max(1) as u64;
        let (merged, kept) = view.index.runs.split_at(runs_to_merge(base, table.len() as u64, &sizes));
        let generation = view.generation + 1;
        let tables = (view.rows_seq > view.covered.seq && !view.tables.is_empty()).then(|| view.tables.clone());
        let rows = if tables.is_some() { Some(generation) } else { view.rows_file.filter(|_| !view.tables.is_empty()) };
        let (numbers, segments) = view
            .segments_to_end()
            .into_iter()
            .map(|Segment { number, end, others, .. }| (number, Extent { end, others }))
            .unzip();
        let runs = [generation].into_iter().chain(kept.iter().map(|run| run.header.number)).collect();
        let covered = Covered { position: view.position, segments, heads: view.heads.clone(), runs, rows };
        let manifest =
            Manifest { store: handle.keys.store, generation, segments: numbers, covered: Some(covered.clone()) };
        Self { table, merged: merged.to_vec(), kept: kept.to_vec(), tables, manifest, covered }
    }

    fn number(&self) -> u64 {
        self.manifest.generation
    }

    /// Writes the files, and gives the manifest its name. Returns the new run.
    fn write(&self, handle: &Handle) -> Result<Run, Failure> {
        let Handle { files, layout, keys, .. } = handle;
        let path = layout.run(self.number());
        // A file of this name was left by a writer that was killed.
        files.remove(&path).map_err(at("remove", &path))?;
        let file = files.create(&path).map_err(at("create", &path))?;
        let merged = || self.merged.iter().map(|run| &**run);
        let entries = self.table.len() as u64 + merged().map(|run| run.header.entries).sum::<u64>();
        let mut writer = RunWriter::new(keys, &*file, self.number(), entries);
        let mut merge = Merge::new(&self.table, merged())?;
        while let Some(entry) = merge.next()? {
            writer.push(entry).map_err(at("write", &path))?;
        }
        let from = self.kept.first().map_or(0, |run| run.header.to);
        writer.finish(from, self.covered.position.seq).map_err(at("write", &path))?;
        let run = Run::open(keys, self.number(), &path, file, handle.budget.clone())?;
        if let Some(tables) = &self.tables {
            let bytes = rows::encode(keys, self.number(), self.covered.position.seq, tables);
            write_file(&**files, &layout.rows(self.number()), &bytes)?;
        }
        let new = layout.new_manifest();
        write_file(&**files, &new, &self.manifest.encode())?;
        let sync_root = || {
            let root = layout.root();
            files.sync_folder(root).map_err(|error| Failure::Unknown(at("sync folder", root)(error)))
        };
        // The manifest names no file that a power cut can take away.
        sync_root()?;
        files.rename(&new, &layout.manifest()).map_err(at("rename", &new))?;
        sync_root()?;
        Ok(run)
    }

    /// Shows the run to all.
    fn install(self, handle: &Handle, run: Run) {
        let named = named(&handle.layout, &self.covered);
        let mut view = handle.view_mut();
        view.generation = self.number();
        view.state = State { generation: self.number(), ..view.state };
        let before = std::mem::replace(&mut view.named, named);
        // Otherwise a run turned out to be damaged meanwhile, and the whole index is in memory.
        let is_current = view.index.frozen.as_ref().is_some_and(|frozen| Arc::ptr_eq(frozen, &self.table));
        if is_current {
            view.index.frozen = None;
            view.index.runs = Arc::new([Arc::new(run)].into_iter().chain(self.kept).collect());
            view.covered = self.covered.position;
            view.rows_file = self.covered.rows;
            view.bounds = handle.bounds;
        }
        let unnamed: Vec<PathBuf> = before.difference(&view.named).cloned().collect();
        drop(view);
        remove(&*handle.files, &unnamed);
    }

    /// Takes the table back.
    fn give_up(self, handle: &Handle, failure: Failure) {
        let mut view = handle.view_mut();
        if view.index.frozen.as_ref().is_some_and(|frozen| Arc::ptr_eq(frozen, &self.table)) {
            view.index.take_back_frozen();
        }
        // Not at every commit again.
        let Bounds { entries, tail_bytes } = view.bounds;
        view.bounds = Bounds { entries: entries * 2, tail_bytes: tail_bytes * 2 };
        drop(view);
        match failure {
            Failure::Unknown(error) => handle.gate.poison(Cause::new(error)),
            Failure::Undone(error) => {
                tracing::warn!(store = %handle.path.display(), %error, "the index could not be written");
                remove(&*handle.files, &[handle.layout.run(self.number()), handle.layout.rows(self.number())]);
            }
            Failure::Damaged(run) => {
                remove(&*handle.files, &[handle.layout.run(self.number())]);
                if let Err(error) = handle.rebuild(run) {
                    tracing::warn!(store = %handle.path.display(), %error, "the index could not be rebuilt");
                }
            }
        }
    }
}

/// The files that a manifest with this index names.
pub(crate) fn named(layout: &Layout, covered: &Covered) -> BTreeSet<PathBuf> {
    let runs = covered.runs.iter().map(|run| layout.run(*run));
    runs.chain(covered.rows.map(|rows| layout.rows(rows))).collect()
}

/// Removes files that nothing needs. One that stays is removed by the next writer.
pub(crate) fn remove(files: &dyn Files, paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = files.remove(path) {
            tracing::debug!(file = %path.display(), %error, "an unused index file stays");
        }
    }
}

/// Writes and syncs a file that no name leads to yet.
fn write_file(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    files.remove(path).map_err(at("remove", path))?;
    let file = files.create(path).map_err(at("create", path))?;
    file.write_all_at(bytes, 0).map_err(at("write", path))?;
    file.sync_data().map_err(at("sync", path))
}
