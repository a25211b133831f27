//! Compaction: writes the log again without deleted blocks and replaced rows, and replaces the old log through the
//! manifest.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use mnem_car::SectionOffsets;
use mnem_store_traits::{
    Bytes, Cause, Outcome, StoreError,
    backend::{HashCheck, check_hash, check_read},
    driver::Reclaimed,
    is_checkable,
};

use super::{
    descriptor::Descriptor,
    files::File,
    keys::Mac,
    maintenance::{tend_now, write_run},
    manifest::{Covered, Manifest},
    open_segments::damaged_if_gone,
    output::Output,
    place::Place,
    record::{ROW_BYTES_MAX, Record, Row},
    replay::{self, Commit, Position, bytes_of},
    rows,
    sections::Sections,
    state::State,
    switch::{self, NotReplaced, named, remove, remove_log, write_file},
    writer::{Writer, write_state},
};
use crate::{
    error::{BACKEND, at, damaged},
    handle::{Depth, Handle, hold},
    info::{self, Survey},
    limits::{
        COMMITS_LEFT, COPIED_BYTES, COPIED_RUNS, RECORD_BYTES_MAX, RECORDS_SHARE, SEGMENT_NUMBER_MAX,
        WORK_RECORD_BYTES_MAX,
    },
    source::{Source, unread},
    view::{Segment, View, file_of},
};

/// Writes the log again without deleted blocks and replaced rows. Commits wait meanwhile; reads and listings continue.
///
/// # Errors
/// Nothing was changed, unless the outcome is unknown. In that case the handle is poisoned, and a power cut may leave
/// either log; both have the same content.
pub(crate) fn compact(handle: &Handle) -> Result<Reclaimed, StoreError> {
    handle.gate.check_writable("compact")?;
    let mut writer = hold(&handle.writer);
    let Some(writer) = writer.as_mut() else { return Err(handle.gate.closed("compact")) };
    // The index thread replaces the manifest too. While commits wait, it does not start again.
    handle.tending.finish();
    handle.gate.check_writable("compact")?;
    let survey = info::survey(handle)?;
    let before = survey.info.file_bytes;
    if !is_worth_it(&survey) {
        return Ok(Reclaimed::nothing(before, "no blocks were deleted"));
    }
    let log = write_log(handle, writer, survey.info.blocks)?;
    switch(handle, writer, log)?;
    tend_now(handle);
    // The log is replaced, so nothing may fail any more.
    let after = info::written_bytes(handle);
    tracing::debug!(store = %handle.path.display(), before, after, "compacted");
    Ok(Reclaimed::new(before, after))
}

/// Whether the new log would be smaller: without deleted blocks and rows, or with fewer commit records.
fn is_worth_it(survey: &Survey) -> bool {
    let commits = COMMITS_LEFT + 2 * (survey.log_bytes / COPIED_BYTES);
    survey.info.free_bytes > 0 || (survey.commits > commits && survey.record_bytes * RECORDS_SHARE > survey.log_bytes)
}

/// A new log in progress, beside the current one.
struct NewLog<'a> {
    handle: &'a Handle,
    source: Source<'a>,
    /// All files created for it.
    files: Vec<PathBuf>,
    view: View,
    file: Arc<dyn File>,
    output: Output<'a>,
    /// The commit in progress.
    commit: Commit,
    record_bytes: u64,
    copied: Copied,
    /// The last commit of the old log that was proved as a whole: its segment and its offset.
    proved: Option<(u32, u64)>,
    /// Whether the segment has a commit yet.
    has_commit: bool,
    /// Length from which a segment takes no further section.
    segment_bytes: u64,
    /// Number of entries from which the index in memory is written as a run.
    table_entries: u64,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Copied {
    blocks: u64,
    rows: u64,
}

/// A complete log that no manifest names yet.
struct Written {
    files: Vec<PathBuf>,
    view: View,
    file: Arc<dyn File>,
}

/// Writes and syncs the new log and its index. It must hold as many blocks as the log in use.
fn write_log(handle: &Handle, writer: &Writer, blocks: u64) -> Result<Written, StoreError> {
    let mut files = Vec::new();
    let written = NewLog::begin(handle, writer, &mut files).and_then(|mut log| {
        let written = log.copy(blocks).map_err(damaged_if_gone).and_then(|()| log.end());
        files.append(&mut log.files);
        written.map(|()| (log.view, log.file))
    });
    match written {
        Ok((view, file)) => Ok(Written { files, view, file }),
        Err(error) => {
            remove(&*handle.files, &files);
            Err(error)
        }
    }
}

/// Creates the file of a segment. Its beginning is synced before anything else is written. So whatever a crash leaves
/// of it is known not to belong to the old log.
fn begin_segment(
    handle: &Handle,
    descriptor: &Descriptor,
    files: &mut Vec<PathBuf>,
) -> Result<(Arc<dyn File>, u64), StoreError> {
    let number = descriptor.segment;
    if number > SEGMENT_NUMBER_MAX {
        let reason = format!("the store has reached the maximum of {SEGMENT_NUMBER_MAX} segments: copy it instead");
        return Err(StoreError::InvalidArgument { operation: "compact", reason });
    }
    let path = handle.layout.segment(number);
    handle.files.remove(&path).map_err(at("remove", &path))?;
    files.push(path.clone());
    let file = handle.files.create(&path).map_err(at("create", &path))?;
    let begin = descriptor.begin_segment(&handle.keys);
    file.write_all_at(&begin, 0).map_err(at("write", &path))?;
    file.sync_data().map_err(at("sync", &path))?;
    Ok((file, begin.len() as u64))
}

impl<'a> NewLog<'a> {
    fn begin(handle: &'a Handle, writer: &Writer, files: &mut Vec<PathBuf>) -> Result<Self, StoreError> {
        let (segment, replaces) = (writer.position.segment + 1, writer.position.seq);
        let descriptor = Descriptor { segment, compacted: true, replaces, ..Descriptor::default() };
        let (file, end) = begin_segment(handle, &descriptor, files)?;
        let mut old = handle.view_mut();
        let path = handle.layout.segment(segment);
        let shown = handle.segments.take(&path, file.clone()).map_err(at("look at", &path))?;
        let first = Segment { number: segment, file: shown, end: 0, others: 0 };
        let mut view = View::new(first, old.take_number(), handle.bounds);
        let entries = old.index.entries();
        drop(old);
        view.position = Position { segment, end, seq: replaces, last_from: end, ..Position::default() };
        let output = Output::new(&handle.keys, segment, (path, file.clone()), (end, Vec::new()), &Mac::default());
        Ok(Self {
            handle,
            source: handle.source(),
            files: Vec::new(),
            view,
            file,
            output,
            commit: Commit { record: Record::default(), sections: Vec::new() },
            record_bytes: 0,
            copied: Copied::default(),
            proved: None,
            has_commit: false,
            // Leaves room for the record below 4 GiB, the limit of offsets.
            segment_bytes: u64::from(writer.segment_bytes).min(u64::from(u32::MAX) - RECORD_BYTES_MAX),
            table_entries: (handle.bounds.entries as u64).max(entries / COPIED_RUNS),
        })
    }

    /// Copies the live sections: blocks that the index has at exactly this place, and values of rows.
    fn copy(&mut self, blocks: u64) -> Result<(), StoreError> {
        let handle = self.handle;
        let (segments, epoch, rows) = {
            let view = handle.view();
            let rows = view.tables.iter().flat_map(|(table, rows)| rows.iter().map(move |row| (table, row)));
            let rows = rows.map(|(table, (key, value))| (value.place.to_mark(), (table.clone(), key.clone())));
            (view.segments_to_end(), view.epoch.clone(), rows.collect::<HashMap<_, _>>())
        };
        let expected = Copied { blocks, rows: rows.len() as u64 };
        let mut sections = Sections::new(&handle.keys, segments.clone());
        while let Some((segment, page)) = sections.next_page(&handle.keys, &handle.layout)? {
            let are_blocks = handle.are_blocks(&epoch, segment, &page)?;
            for (section, is_block) in page.iter().zip(are_blocks) {
                let place = Place::new(segment, section);
                let row = rows.get(&place.to_mark());
                if row.is_some() || is_block {
                    let file = file_of(&segments, segment).ok_or_else(|| self.unreadable(segment, section))?;
                    let found = handle.read_section(&**file, place, Depth::Whole)?;
                    let data = found.ok_or_else(|| self.unreadable(segment, section))?.data();
                    self.check(segment, section, &data, row.is_none())?;
                    if !is_checkable(&section.cid) {
                        self.check_commit(section, &**file, sections.commit_of(section.offset))?;
                    }
                    self.put(section, &data, row)?;
                }
            }
        }
        // The old log is about to go. What the index and this log do not agree on must not go with it.
        if self.copied != expected {
            let why = format!("its log has {:?}, but its index has {expected:?}", self.copied);
            return Err(damaged(handle.layout.root(), why));
        }
        Ok(())
    }

    fn unreadable(&self, segment: u32, section: &SectionOffsets) -> StoreError {
        damaged(&self.handle.layout.segment(segment), format!("no block begins at byte {}", section.offset))
    }

    /// A damaged block is not copied, because the MACs of the new log would make it look intact.
    fn check(&self, segment: u32, section: &SectionOffsets, data: &Bytes, is_block: bool) -> Result<(), StoreError> {
        if is_block {
            return check_read(BACKEND, &section.cid, data);
        }
        match check_hash(&section.cid, data) {
            HashCheck::Match => Ok(()),
            _ => {
                let path = self.handle.layout.segment(segment);
                Err(damaged(&path, format!("a row of a side table at byte {}", section.offset)))
            }
        }
    }

    /// The hash of a block cannot be computed, but its commit can be proved as a whole.
    ///
    /// If another block of the commit is damaged, which must be a deleted one (a live one stops the compaction), nothing
    /// can prove this block, and it is copied unchanged.
    fn check_commit(&mut self, section: &SectionOffsets, file: &dyn File, commit: Position) -> Result<(), StoreError> {
        let Position { segment, end, .. } = commit;
        if self.proved == Some((segment, end)) {
            return Ok(());
        }
        let handle = self.handle;
        let path = handle.layout.segment(segment);
        match bytes_of(&handle.keys, file, &commit).map_err(|error| unread(&handle.layout, segment, error))? {
            replay::Bytes::Whole => {}
            replay::Bytes::DamagedBlock(offset) => {
                let block = section.cid;
                tracing::warn!(segment = %path.display(), offset, %block, "a damaged block leaves another unproved");
            }
            replay::Bytes::Changed => {
                let why = format!(
                    "the commit at byte {end} is incomplete, and this build cannot check block {} in it",
                    section.cid
                );
                return Err(damaged(&path, why));
            }
        }
        self.proved = Some((segment, end));
        Ok(())
    }

    fn put(&mut self, section: &SectionOffsets, data: &Bytes, row: Option<&(String, Bytes)>) -> Result<(), StoreError> {
        let bytes = section.end() - section.offset;
        let commit_bytes = self.output.at() - self.view.position.end;
        let is_full = self.output.at() + bytes > self.segment_bytes;
        if !self.commit.sections.is_empty()
            && (is_full || commit_bytes >= COPIED_BYTES || self.record_bytes > WORK_RECORD_BYTES_MAX / 2)
        {
            self.end_commit(false)?;
        }
        if is_full && self.has_commit {
            self.next_segment()?;
        }
        let stored = self.output.section(&section.cid, data)?;
        if let Some((table, key)) = row {
            let value = Some(stored.place().offset() as u32);
            self.commit.record.rows.push(Row { table: table.clone(), key: key.to_vec(), value });
            self.record_bytes += ROW_BYTES_MAX;
            self.copied.rows += 1;
        } else {
            self.copied.blocks += 1;
        }
        self.commit.sections.push(stored);
        Ok(())
    }

    /// Ends a commit. The last one contains the heads, and records that everything before it is synced; this is true
    /// once a manifest names it.
    fn end_commit(&mut self, is_last: bool) -> Result<(), StoreError> {
        let Commit { mut record, sections } =
            std::mem::replace(&mut self.commit, Commit { record: Record::default(), sections: Vec::new() });
        let Position { segment, end, seq, .. } = self.view.position;
        record.seq = seq + 1;
        (record.from, record.at) = (end as u32, self.output.at() as u32);
        record.puts = (sections.len() - record.rows.len()) as u32;
        // Nothing of this log is synced yet, so remains of it must not look like acknowledged bytes.
        record.synced_to = 0;
        record.heads = is_last.then(|| self.handle.view().heads.iter().copied().collect());
        record.closed = is_last;
        let mac = self.output.record(&record);
        self.output.flush()?;
        (self.record_bytes, self.has_commit) = (0, true);
        let closed = record.closed;
        self.view.take(Commit { record, sections }, &self.handle.keys, segment);
        let end = self.output.at();
        self.view.position = Position { segment, end, mac, seq: seq + 1, last_from: end, closed };
        if self.view.index.recent.len() as u64 > self.table_entries || is_last {
            self.write_run()?;
        }
        Ok(())
    }

    fn next_segment(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let Position { segment, mac, .. } = self.view.position;
        let descriptor = Descriptor { segment: segment + 1, previous: mac, compacted: true, replaces: 0 };
        let (file, end) = begin_segment(self.handle, &descriptor, &mut self.files)?;
        let path = self.handle.layout.segment(segment + 1);
        let shown = self.handle.segments.take(&path, file.clone()).map_err(at("look at", &path))?;
        self.view.begin_segment(segment + 1, shown);
        (self.view.position.end, self.has_commit) = (end, false);
        self.output = Output::new(&self.handle.keys, segment + 1, (path, file.clone()), (end, Vec::new()), &mac);
        self.file = file;
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        let path = self.handle.layout.segment(self.view.position.segment);
        self.file.sync_data().map_err(at("sync", &path))
    }

    /// Writes the index in memory as a run.
    fn write_run(&mut self) -> Result<(), StoreError> {
        // The first run covers everything up to its last commit.
        let from = self.view.index.runs.first().map_or(0, |run| run.header.to);
        let number = self.handle.view_mut().take_number();
        self.files.push(self.handle.layout.run(number));
        let table = std::mem::take(&mut self.view.index.recent);
        let run = write_run(&self.source, number, from..self.view.position.seq, &table)?;
        let runs = [Arc::new(run)].into_iter().chain(self.view.index.runs.iter().cloned());
        self.view.index.runs = Arc::new(runs.collect());
        Ok(())
    }

    /// Ends the log, and writes the other files that a manifest names.
    fn end(&mut self) -> Result<(), StoreError> {
        self.end_commit(true)?;
        self.sync()?;
        let rows = if self.view.tables.is_empty() { None } else { Some(self.handle.view_mut().take_number()) };
        if let Some(number) = rows {
            let bytes = rows::encode(&self.handle.keys, number, self.view.position.seq, &self.view.tables);
            let path = self.handle.layout.rows(number);
            self.files.push(path.clone());
            write_file(&*self.handle.files, &path, &bytes)?;
        }
        let view = &mut self.view;
        let covered = Covered {
            position: view.position,
            segments: view.extents().1,
            heads: view.heads.clone(),
            runs: view.index.runs.iter().map(|run| run.header.number).collect(),
            rows,
        };
        view.named = named(&self.handle.layout, &covered);
        (view.covered_seq, view.named_to) = (view.position.seq, view.position.segment);
        view.covered = Some(Arc::new(covered));
        Ok(())
    }
}

/// Replaces the old log by the new one, makes it visible, and removes the old one.
fn switch(handle: &Handle, writer: &mut Writer, log: Written) -> Result<(), StoreError> {
    let Written { files: mut made, mut view, file } = log;
    let (files, layout) = (&*handle.files, &handle.layout);
    made.push(layout.new_manifest());
    let generation = handle.view_mut().take_number();
    let covered = view.covered.as_deref().cloned();
    let manifest = Manifest { store: handle.keys.store, generation, segments: view.extents().0, covered };
    let replaced = switch::prepare(files, layout, &manifest).and_then(|()| switch::install(files, layout));
    replaced.map_err(|error| not_replaced(handle, &made, error))?;
    let Position { segment, end, seq, .. } = view.position;
    let state = State { generation, seq, segment, end: end as u32 };
    // The last segment of a view is there: it holds the last commit.
    let shown = file_of(&view.segments, segment).cloned().unwrap_or_else(|| file.clone());
    (writer.position, writer.file, writer.shown) = (view.position, file, shown);
    (view.generation, view.state) = (generation, state);
    let removed: Vec<PathBuf> = {
        let mut shown = handle.view_mut();
        view.next_number = shown.next_number;
        // The first segment is removed first, because the rest without it is not taken for a log.
        let segments = shown.segments.iter().map(|segment| layout.segment(segment.number));
        let removed = segments.chain(shown.named.difference(&view.named).cloned()).collect();
        shown.show(view);
        removed
    };
    write_state(handle, &*writer.state_file, &state)?;
    remove_log(files, &removed);
    Ok(())
}

/// The old log is still in use, unless the last sync failed. Then a power cut may leave either log, so both stay.
fn not_replaced(handle: &Handle, made: &[PathBuf], error: NotReplaced) -> StoreError {
    let error = match error {
        NotReplaced::Undone(error) => error,
        NotReplaced::Unsynced(error) => {
            handle.gate.poison(Cause::new(error.clone()));
            error
        }
    };
    if error.outcome() == Outcome::NotApplied {
        remove(&*handle.files, made);
    }
    error
}
