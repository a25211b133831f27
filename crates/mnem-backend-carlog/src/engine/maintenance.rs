//! Writes the table in memory as a run on disk, and merges runs.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_store_traits::{Cause, StoreError};

use super::{
    files::File,
    manifest::{Covered, Manifest},
    memtable::Memtable,
    merge::Merge,
    page::NoAnswer,
    rows,
    run::Run,
    run_writer::RunWriter,
    state::State,
    switch::{self, NotReplaced, named, remove, write_file},
};
use crate::{
    error::{at, damaged},
    handle::{Handle, Shared},
    limits::{BEHIND, CLOSING_SHARE, ENTRIES_BETWEEN, FAN_IN, ROWS_BETWEEN},
    source::Source,
    view::{Bounds, View},
};

/// Called after a commit: starts writing the newest part of the index as a run if it has grown enough, and merging
/// runs. All commits are durable already, so a failure here fails no call.
///
/// Waits only if commits arrive much faster than runs are written. This bounds what must be read at an open after a
/// kill.
pub(crate) fn tend(handle: &Handle, by_thread: bool) {
    if handle.gate.poisoned().is_some() || !is_due(&handle.view()) {
        return;
    }
    if !by_thread {
        return tend_now(handle);
    }
    match handle.tending.start(handle.shared(), tend_now) {
        Ok(()) => handle.tending.wait_while(|| is_far_behind(&handle.view())),
        Err(error) => {
            tracing::warn!(%error, "cannot start the thread of the index");
            tend_now(handle);
        }
    }
}

/// Called after the log was read. If that made runs, a manifest must name them before anything else happens, or the log
/// would be read again.
pub(crate) fn tend_at_open(handle: &Handle, by_thread: bool) {
    let covered = handle.view().covered_to().seq;
    let is_unnamed = handle.view().index.runs.first().is_some_and(|run| run.header.to > covered);
    if !is_unnamed || flush(handle) {
        tend(handle, by_thread);
    }
}

/// Called before the handle ends, so that the next opening reads little.
pub(crate) fn tend_at_close(handle: &Handle) {
    handle.tending.finish();
    let is_worth_it = is_due_by(&handle.view(), CLOSING_SHARE);
    if handle.gate.poisoned().is_none() && is_worth_it && flush(handle) {
        tend_now(handle);
    }
}

/// Does all pending work.
pub(crate) fn tend_now(shared: &Shared) {
    while !shared.tending.is_stopping() && shared.gate.poisoned().is_none() {
        let is_going_on = if is_due(&shared.view()) { flush(shared) } else { merge(shared) };
        shared.tending.moved();
        if !is_going_on {
            break;
        }
    }
}

fn is_due(view: &View) -> bool {
    is_due_by(view, 1)
}

/// Whether the newest part of the index has reached `1 / share` of the size at which a run is written.
fn is_due_by(view: &View, share: usize) -> bool {
    let Bounds { entries, tail_bytes } = view.bounds;
    let from = view.recent_from();
    view.position.seq > from.seq
        && (view.index.recent.len() > entries / share || view.bytes_after(from) > tail_bytes / share as u64)
}

fn is_far_behind(view: &View) -> bool {
    let Bounds { entries, tail_bytes } = view.bounds;
    view.index.frozen.is_some()
        && (view.index.recent.len() / BEHIND > entries || view.bytes_after(view.frozen_to) / BEHIND as u64 > tail_bytes)
}

/// Why no run was written.
enum Failure {
    /// The files written so far are useless.
    Undone(StoreError),
    /// A sync of the folder failed. After a power cut, either manifest may be there.
    Unknown(StoreError),
    /// A run to be merged is damaged.
    Damaged(u64),
    /// The handle is closing.
    Stopped,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Undone(error)
    }
}

impl From<NotReplaced> for Failure {
    fn from(error: NotReplaced) -> Self {
        match error {
            NotReplaced::Undone(error) => Self::Undone(error),
            NotReplaced::Unsynced(error) => Self::Unknown(error),
        }
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

/// The newest part of the index while it is written as a run.
struct Flush {
    table: Arc<Memtable>,
    /// The commit before its first one.
    from: u64,
    /// Whether no file has the rows yet.
    writes_rows: bool,
    number: u64,
    covered: Covered,
}

/// Writes the newest part of the index as a run. Returns whether this succeeded.
fn flush(shared: &Shared) -> bool {
    let flush = Flush::new(shared);
    match flush.write(shared) {
        Ok(run) => flush.install(shared, run),
        Err(failure) => {
            flush.give_up(shared);
            failed(shared, &[shared.layout.run(flush.number), shared.layout.rows(flush.number)], failure);
            false
        }
    }
}

impl Flush {
    fn new(shared: &Shared) -> Self {
        let mut view = shared.view_mut();
        // Left by a flush that panicked. Without it, the run would lack these entries.
        view.index.take_back_frozen();
        let table = Arc::new(std::mem::take(&mut view.index.recent));
        view.index.frozen = Some(table.clone());
        view.frozen_to = view.position;
        let number = view.take_number();
        let writes_rows = view.rows_seq > view.covered_to().seq && !view.tables.is_empty();
        let rows_file = view.covered.as_ref().and_then(|covered| covered.rows);
        let rows = if writes_rows { Some(number) } else { rows_file.filter(|_| !view.tables.is_empty()) };
        let runs = [number].into_iter().chain(view.index.runs.iter().map(|run| run.header.number)).collect();
        let segments = view.extents().1;
        let covered = Covered { position: view.position, segments, heads: view.heads.clone(), runs, rows };
        let from = view.index.runs.first().map_or(0, |run| run.header.to);
        Self { table, from, writes_rows, number, covered }
    }

    /// Writes the files and replaces the manifest. Returns the new run.
    fn write(&self, shared: &Shared) -> Result<Run, Failure> {
        let to = self.covered.position.seq;
        let run = write_run(&shared.source(), self.number, self.from..to, &self.table)?;
        if self.writes_rows {
            let mut encoder = rows::Encoder::new(&shared.keys, self.number, to);
            // Commits may change the rows meanwhile. No copy is made of them, and no lock is held for long.
            while encoder.add(&shared.view().tables, ROWS_BETWEEN) {}
            let bytes = encoder.finish(&shared.keys);
            write_file(&*shared.files, &shared.layout.rows(self.number), &bytes)?;
        }
        write_manifest(shared, self.number, &self.covered)?;
        Ok(run)
    }

    /// Publishes the run. Returns whether it is used.
    fn install(self, shared: &Shared, run: Run) -> bool {
        let mut view = shared.view_mut();
        // If not, a run was found damaged meanwhile, and the whole index is in memory.
        let is_current = view.index.frozen.as_ref().is_some_and(|frozen| Arc::ptr_eq(frozen, &self.table));
        let covered = Arc::new(self.covered);
        if is_current {
            view.index.frozen = None;
            view.index.runs = Arc::new([Arc::new(run)].into_iter().chain(view.index.runs.iter().cloned()).collect());
            view.covered = Some(covered.clone());
            view.bounds = shared.bounds;
        }
        let unnamed = name(shared, &mut view, self.number, &covered);
        drop(view);
        remove(&*shared.files, &unnamed);
        is_current
    }

    /// Takes the table back.
    fn give_up(&self, shared: &Shared) {
        let mut view = shared.view_mut();
        if view.index.frozen.as_ref().is_some_and(|frozen| Arc::ptr_eq(frozen, &self.table)) {
            view.index.take_back_frozen();
        }
        // Do not try again at every commit.
        let Bounds { entries, tail_bytes } = view.bounds;
        view.bounds = Bounds { entries: entries.saturating_mul(2), tail_bytes: tail_bytes.saturating_mul(2) };
    }
}

/// Merges the newest runs if there are enough of about the same size. Returns whether this was done.
fn merge(shared: &Shared) -> bool {
    let (merged, number) = {
        let mut view = shared.view_mut();
        let sizes: Vec<u64> = view.index.runs.iter().map(|run| run.header.entries).collect();
        let count = runs_to_merge(2 * shared.bounds.entries.max(1) as u64, &sizes);
        if count == 0 || sizes.len() < view.merged_from {
            return false;
        }
        let merged: Vec<Arc<Run>> = view.index.runs.iter().take(count).cloned().collect();
        (merged, view.take_number())
    };
    match write_merged(shared, number, &merged).and_then(|run| install_merged(shared, &merged, run)) {
        Ok(is_current) => is_current,
        Err(failure) => {
            let mut view = shared.view_mut();
            view.merged_from = 2 * view.index.runs.len();
            drop(view);
            failed(shared, &[shared.layout.run(number)], failure);
            false
        }
    }
}

/// How many of the newest runs to merge, given their numbers of entries. When a level and all levels below it have
/// [`FAN_IN`] runs or more, these runs become one. A run of level k has up to `base` times [`FAN_IN`]^k entries.
fn runs_to_merge(base: u64, runs: &[u64]) -> usize {
    let level =
        |entries: u64| entries.div_ceil(base).saturating_sub(1).checked_ilog(FAN_IN).map_or(0, |level| level + 1);
    let (mut taken, mut entries) = (0, 0);
    loop {
        let rest = runs.get(taken..).unwrap_or_default();
        let up_to = |highest: u32| rest.iter().take_while(|entries| level(**entries) <= highest).count();
        let merged = u64::from(taken > 0);
        let more = (level(entries)..=u64::BITS).map(up_to).find(|more| *more as u64 + merged >= FAN_IN);
        let Some(more) = more else { return taken };
        entries += rest.iter().take(more).sum::<u64>();
        taken += more;
    }
}

/// Writes the run of a merge. Commits continue meanwhile; their entries are written as runs in between.
fn write_merged(shared: &Shared, number: u64, merged: &[Arc<Run>]) -> Result<Run, Failure> {
    let source = shared.source();
    let runs = || merged.iter().map(|run| &**run);
    let (path, file) = new_run(&source, number)?;
    let mut writer = RunWriter::new(&shared.keys, &*file, number, runs().map(|run| run.header.entries).sum());
    let mut merge = Merge::new(runs())?;
    let mut entries: u64 = 0;
    while let Some(entry) = merge.next()? {
        writer.push(entry).map_err(at("write", &path))?;
        entries += 1;
        if entries.is_multiple_of(ENTRIES_BETWEEN) {
            if shared.tending.is_stopping() || shared.gate.poisoned().is_some() {
                return Err(Failure::Stopped);
            }
            if is_due(&shared.view()) {
                flush(shared);
                shared.tending.moved();
            }
        }
    }
    let from = merged.last().map_or(0, |run| run.header.from);
    let to = merged.first().map_or(0, |run| run.header.to);
    writer.finish(from, to).map_err(at("write", &path))?;
    Ok(open_new(&source, number, &path, file.clone())?)
}

/// Replaces the merged runs by the new one. Returns whether they were still in use.
fn install_merged(shared: &Shared, merged: &[Arc<Run>], run: Run) -> Result<bool, Failure> {
    let run = Arc::new(run);
    let replaced = |view: &View| {
        let at = merged.first().and_then(|first| view.index.runs.iter().position(|run| Arc::ptr_eq(run, first)))?;
        let (newer, rest) = view.index.runs.split_at(at);
        Some(newer.iter().chain([&run]).chain(rest.iter().skip(merged.len())).cloned().collect::<Vec<_>>())
    };
    let (generation, covered) = {
        let mut view = shared.view_mut();
        let (Some(runs), Some(covered)) = (replaced(&view), view.covered.clone()) else {
            drop(view);
            remove(&*shared.files, &[shared.layout.run(run.header.number)]);
            return Ok(false);
        };
        let runs = runs.iter().map(|run| run.header.number).collect();
        (view.take_number(), Arc::new(Covered { runs, ..(*covered).clone() }))
    };
    write_manifest(shared, generation, &covered)?;
    let mut view = shared.view_mut();
    // `None` means that a run was found damaged meanwhile, and the whole index is in memory.
    let runs = replaced(&view);
    let is_current = runs.is_some();
    if let Some(runs) = runs {
        (view.index.runs, view.covered, view.merged_from) = (Arc::new(runs), Some(covered.clone()), 0);
    }
    let unnamed = name(shared, &mut view, generation, &covered);
    drop(view);
    remove(&*shared.files, &unnamed);
    Ok(is_current)
}

/// Records that a manifest was written. Returns the files that it no longer names.
fn name(shared: &Shared, view: &mut View, generation: u64, covered: &Covered) -> Vec<PathBuf> {
    view.generation = generation;
    view.state = State { generation, ..view.state };
    let before = std::mem::replace(&mut view.named, named(&shared.layout, covered));
    before.difference(&view.named).cloned().collect()
}

fn failed(shared: &Shared, written: &[PathBuf], failure: Failure) {
    match failure {
        // Either of two manifests may name them.
        Failure::Unknown(error) => return shared.gate.poison(Cause::new(error)),
        Failure::Undone(error) => {
            tracing::warn!(store = %shared.path.display(), %error, "the index could not be written");
        }
        Failure::Damaged(run) => {
            if let Err(error) = shared.rebuild(run) {
                tracing::warn!(store = %shared.path.display(), %error, "the index could not be rebuilt");
            }
        }
        Failure::Stopped => {}
    }
    remove(&*shared.files, written);
}

/// Writes a table as a run that no manifest names yet.
pub(crate) fn write_run(
    source: &Source<'_>,
    number: u64,
    commits: Range<u64>,
    table: &Memtable,
) -> Result<Run, StoreError> {
    let (path, file) = new_run(source, number)?;
    let mut writer = RunWriter::new(source.keys, &*file, number, table.len() as u64);
    table.iter().try_for_each(|entry| writer.push(entry)).map_err(at("write", &path))?;
    writer.finish(commits.start, commits.end).map_err(at("write", &path))?;
    open_new(source, number, &path, file)
}

fn new_run(source: &Source<'_>, number: u64) -> Result<(PathBuf, Arc<dyn File>), StoreError> {
    let path = source.layout.run(number);
    // A killed writer may have left a file of this name.
    source.files.remove(&path).map_err(at("remove", &path))?;
    let file = source.files.create(&path).map_err(at("create", &path))?;
    Ok((path, file))
}

fn open_new(source: &Source<'_>, number: u64, path: &Path, file: Arc<dyn File>) -> Result<Run, StoreError> {
    Run::open(source.keys, number, path, file, source.budget.clone()).map_err(|error| match error {
        NoAnswer::Io { path, error } => at("read", &path)(error),
        NoAnswer::Damaged { why, .. } => damaged(path, why),
    })
}

/// Replaces the manifest by one with this index of the same log.
fn write_manifest(shared: &Shared, generation: u64, covered: &Covered) -> Result<(), NotReplaced> {
    let Shared { files, layout, keys, .. } = shared;
    let last = covered.position.segment;
    let all = shared.view().segments.clone();
    let segments = all.iter().map(|segment| segment.number).filter(|number| *number <= last).collect();
    let manifest = Manifest { store: keys.store, generation, segments, covered: Some(covered.clone()) };
    switch::write_manifest(&**files, layout, &manifest)
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::Store as _;

    use super::*;
    use crate::OpenOptions;

    /// If it did, the next row would copy all tables.
    #[test]
    fn a_run_in_progress_does_not_hold_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        let store = OpenOptions::new().create(true).open(folder.path().join("a.carlog")).unwrap();
        store.side_table("t").unwrap().write(&[("key".into(), "value".into())], &[]).unwrap();
        let flush = Flush::new(&store.handle);
        assert!(flush.writes_rows);
        assert_eq!(Arc::strong_count(&store.handle.view().tables), 1);
        assert!(flush.write(&store.handle).is_ok_and(|run| flush.install(&store.handle, run)));
        assert!(store.handle.view().covered.as_ref().is_some_and(|covered| covered.rows.is_some()));
    }
}
