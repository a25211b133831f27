//! Commits: one write and one sync for all waiting callers.

use std::{
    collections::{BTreeSet, HashSet},
    io,
    path::Path,
    sync::Arc,
};

use mnem_car::SectionOffsets;
use mnem_store_traits::{Bytes, Cause, Cid, HeadChange, Outcome, RAW, StoreError, backend::Group, cid_of};

use super::{
    descriptor::Descriptor,
    files::{File, Lock},
    keys::Mac,
    maintenance,
    output::Output,
    record::{DELETE_BYTES_MAX, HEAD_BYTES_MAX, Kill, ROW_BYTES_MAX, Record, Row},
    replay::{Commit, Position},
    state::State,
    switch::is_unopened,
};
use crate::{
    error::{BACKEND, at, failed},
    handle::{Depth, Handle, hold},
    limits::{COMMIT_BYTES_MAX, GROUP_BYTES, SEGMENT_NUMBER_MAX, WORK_RECORD_BYTES_MAX},
    view::file_of,
};

/// The state of the writer, which holds the lock.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Held as long as the handle is open.
    pub(crate) _lock: Box<dyn Lock>,
    pub(crate) file: Arc<dyn File>,
    /// The same file, for readers.
    pub(crate) shown: Arc<dyn File>,
    /// Where the next commit begins.
    pub(crate) position: Position,
    pub(crate) state_file: Arc<dyn File>,
    /// A segment of at least this length takes no further commit.
    pub(crate) segment_bytes: u32,
    /// Whether a thread writes and merges index runs.
    pub(crate) index_thread: bool,
}

/// The work of one call, to be done completely or not at all.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) puts: Vec<(Cid, Bytes)>,
    pub(crate) required: Vec<Cid>,
    pub(crate) head: Option<HeadChange>,
    pub(crate) deletes: Vec<Cid>,
    /// Table, key and value; `None` deletes the row.
    pub(crate) rows: Vec<(String, Bytes, Option<Bytes>)>,
}

/// The work of one call, and the name of the call for errors.
#[derive(Debug)]
pub(crate) struct Job {
    operation: &'static str,
    work: Work,
}

/// Callers that share a commit.
pub(crate) type Queue = Group<Job, Result<(), StoreError>>;

/// The content of one commit, for one or several jobs.
#[derive(Default)]
pub(super) struct Batch<'a> {
    puts: Vec<&'a (Cid, Bytes)>,
    put: HashSet<&'a Cid>,
    put_bytes: u64,
    heads: Option<BTreeSet<Cid>>,
    deletes: Vec<Kill>,
    rows: Vec<&'a (String, Bytes, Option<Bytes>)>,
}

impl Work {
    /// The number of bytes that it adds to the segment.
    fn bytes(&self) -> u64 {
        let puts = self.puts.iter().map(|(_, data)| data.len());
        let values = self.rows.iter().map(|(_, _, value)| value.as_ref().map_or(0, Bytes::len));
        let sections = puts.chain(values).map(|bytes| (bytes + SectionOffsets::START_BYTES_MAX) as u64);
        sections.sum::<u64>() + self.record_bytes(0)
    }

    /// The maximum length of the record in bytes, with this many heads.
    fn record_bytes(&self, heads: usize) -> u64 {
        let (heads, deletes, rows) = (heads as u64, self.deletes.len() as u64, self.rows.len() as u64);
        heads * HEAD_BYTES_MAX + deletes * DELETE_BYTES_MAX + rows * ROW_BYTES_MAX
    }
}

impl<'a> Batch<'a> {
    /// Only these blocks, none of which is in the store.
    ///
    /// # Errors
    /// They are more than one commit holds.
    pub(super) fn of_puts(puts: Vec<&'a (Cid, Bytes)>) -> Result<Self, StoreError> {
        let put_bytes = puts.iter().map(|(_, data)| (data.len() + SectionOffsets::START_BYTES_MAX) as u64).sum();
        check_commit_bytes(put_bytes)?;
        Ok(Self { puts, put_bytes, ..Self::default() })
    }

    fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.heads.is_none() && self.deletes.is_empty() && self.rows.is_empty()
    }
}

/// Does the work durably. One of the waiting threads commits the work of all of them with one sync.
pub(crate) fn submit(handle: &Handle, operation: &'static str, work: Work) -> Result<(), StoreError> {
    handle.gate.check_writable(operation)?;
    let done = handle.queue.submit(Job { operation, work }, joining, |jobs| match hold(&handle.writer).as_mut() {
        Some(writer) => {
            let results = land(handle, writer, jobs);
            maintenance::tend(handle, writer.index_thread);
            results
        }
        None => jobs.iter().map(|job| Err(handle.gate.closed(job.operation))).collect(),
    });
    done.unwrap_or_else(|| {
        let source = Cause::new("the thread that committed this panicked");
        handle.gate.poison(source.clone());
        let operation = operation.to_owned();
        Err(StoreError::Backend { backend: BACKEND, operation, outcome: Outcome::Unknown, source })
    })
}

/// How many of the waiting jobs join the first one, up to a limit in bytes. Deletes go alone, because they must look up
/// which blocks exist.
fn joining(first: &Job, waiting: &mut dyn Iterator<Item = &Job>) -> usize {
    let is_alone = |job: &Job| !job.work.deletes.is_empty();
    if is_alone(first) {
        return 0;
    }
    let mut bytes = first.work.bytes();
    let fits = |job: &&Job| {
        bytes += job.work.bytes();
        !is_alone(job) && bytes <= GROUP_BYTES
    };
    waiting.take_while(fits).count()
}

/// Commits the work of all jobs. Returns the result of each.
fn land(handle: &Handle, writer: &mut Writer, jobs: &[Job]) -> Vec<Result<(), StoreError>> {
    let mut batch = Batch::default();
    let mut prepared = Vec::with_capacity(jobs.len());
    for Job { operation, work } in jobs {
        // The handle may have been poisoned while this job waited.
        prepared.push(handle.gate.check_writable(operation).and_then(|()| prepare(handle, &mut batch, work)));
    }
    // No more jobs join.
    batch.put = HashSet::new();
    match if batch.is_empty() { Ok(()) } else { write(handle, writer, batch) } {
        Ok(()) => prepared,
        Err(error) => prepared.into_iter().map(|prepared| unsettled(prepared, &error)).collect(),
    }
}

/// The result of a job after the commit of its batch failed. A refused job was not in it, but the heads that refused it
/// may be those of another job of the batch.
fn unsettled(prepared: Result<(), StoreError>, error: &StoreError) -> Result<(), StoreError> {
    match prepared {
        Ok(()) => Err(error.clone()),
        Err(StoreError::HeadsMoved { .. }) => Err(StoreError::Backend {
            backend: BACKEND,
            operation: "commit".into(),
            outcome: Outcome::NotApplied,
            source: Cause::new(error.clone()),
        }),
        Err(refusal) => Err(refusal),
    }
}

/// Adds the job's work to the batch. On an error, the batch is unchanged.
fn prepare<'a>(handle: &Handle, batch: &mut Batch<'a>, work: &'a Work) -> Result<(), StoreError> {
    let mut new = HashSet::new();
    let mut in_order = Vec::new();
    for put in &work.puts {
        let cid = &put.0;
        if !batch.put.contains(cid) && !new.contains(cid) && !handle.has(cid)? {
            new.insert(cid);
            in_order.push(put);
        }
    }
    for cid in &work.required {
        let is_there = batch.put.contains(cid) || new.contains(cid) || handle.has(cid)?;
        if !is_there {
            return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
        }
    }
    let heads = match &work.head {
        None => None,
        Some(change) => {
            let before = batch.heads.clone().unwrap_or_else(|| handle.view().heads.clone());
            Some(change.apply(&before)?).filter(|after| *after != before)
        }
    };
    let bytes = batch.put_bytes + work.bytes();
    let record_bytes = work.record_bytes(heads.as_ref().map_or(0, BTreeSet::len));
    if record_bytes > WORK_RECORD_BYTES_MAX {
        let reason = "too many heads or rows for one commit; split the write".to_owned();
        return Err(StoreError::InvalidArgument { operation: "commit", reason });
    }
    check_commit_bytes(bytes)?;
    let deletes = kills(handle, &work.deletes)?;
    batch.put_bytes = bytes;
    if batch.put.is_empty() {
        batch.put = new;
    } else {
        batch.put.extend(new);
    }
    if batch.puts.is_empty() {
        batch.puts = in_order;
    } else {
        batch.puts.extend(in_order);
    }
    batch.heads = heads.or(batch.heads.take());
    batch.deletes.extend(deletes);
    batch.rows.extend(&work.rows);
    Ok(())
}

/// Refuses more than one commit holds. The rest, up to 4 GiB, is reserved for the record.
fn check_commit_bytes(bytes: u64) -> Result<(), StoreError> {
    if bytes > COMMIT_BYTES_MAX {
        let reason = format!("it has {bytes} bytes, more than the {COMMIT_BYTES_MAX} of one commit");
        return Err(StoreError::InvalidArgument { operation: "commit", reason });
    }
    Ok(())
}

/// The places of those blocks that are in the store, including damaged ones whose CID cannot be read.
///
/// # Errors
/// A place cannot be read, so it may belong to another block.
fn kills(handle: &Handle, cids: &[Cid]) -> Result<Vec<Kill>, StoreError> {
    let mut killed = HashSet::new();
    let mut kills = Vec::new();
    for cid in cids.iter().filter(|cid| killed.insert(**cid)) {
        for place in handle.places(cid)? {
            let found = handle.ask(|| {
                let file = file_of(&handle.view().segments, place.segment()).cloned();
                Ok(file.map(|file| handle.read_section(&*file, place, Depth::Start)).transpose()?.flatten())
            })?;
            let is_another = found.is_some_and(|found| {
                found.section.cid != *cid && handle.keys.fingerprint(&found.section.cid) == handle.keys.fingerprint(cid)
            });
            if !is_another {
                kills.push(Kill { segment: place.segment(), offset: place.offset() as u32, cid: *cid });
            }
        }
    }
    Ok(kills)
}

pub(super) fn write(handle: &Handle, writer: &mut Writer, batch: Batch<'_>) -> Result<(), StoreError> {
    if writer.position.end > 0 && writer.position.end + batch.put_bytes > writer.segment_bytes.into() {
        begin_segment(handle, writer)?;
    }
    let end = writer.position.end;
    let landed = match append(handle, writer, batch, false) {
        Ok(landed) => landed,
        Err(error) => {
            // Without its record, no part of the commit can become valid. Truncate, so that the next commit begins
            // here; durably, because bytes after the last commit of a segment are damage once the next one begins.
            if let Err(error) = writer.file.set_len(end).and_then(|()| writer.file.sync_data()) {
                handle.gate.poison(Cause::new(error));
            }
            return Err(error);
        }
    };
    publish(handle, writer, landed)
}

/// A commit that is written but not synced yet.
struct Landed {
    commit: Commit,
    mac: Mac,
    end: u64,
}

fn append(handle: &Handle, writer: &Writer, batch: Batch<'_>, closed: bool) -> Result<Landed, StoreError> {
    let Position { segment, end, mac, seq, .. } = writer.position;
    let begin = match end {
        0 => Descriptor { segment, previous: mac, ..Descriptor::default() }.begin_segment(&handle.keys),
        _ => Vec::new(),
    };
    let file = (handle.layout.segment(segment), writer.file.clone());
    let mut output = Output::new(&handle.keys, segment, file, (end, begin), &mac);
    let from = output.at() as u32;
    let mut sections = Vec::with_capacity(batch.puts.len());
    for (cid, data) in &batch.puts {
        sections.push(output.section(cid, data)?);
    }
    let puts = sections.len() as u32;
    let mut rows = Vec::with_capacity(batch.rows.len());
    for (table, key, value) in batch.rows {
        let value = match value {
            None => None,
            Some(value) => {
                let section = output.section(&cid_of(RAW, value), value)?;
                sections.push(section);
                Some(section.place().offset() as u32)
            }
        };
        rows.push(Row { table: table.clone(), key: key.to_vec(), value });
    }
    let record = Record {
        seq: seq + 1,
        at: output.at() as u32,
        from,
        puts,
        synced_to: end as u32,
        heads: batch.heads.map(|heads| heads.into_iter().collect()),
        deletes: batch.deletes,
        rows,
        closed,
    };
    let mac = output.record(&record);
    let end = output.at();
    if end > u32::MAX.into() {
        let reason = "its blocks, heads and deletes exceed the limit of one commit".to_owned();
        return Err(StoreError::InvalidArgument { operation: "commit", reason });
    }
    output.flush()?;
    Ok(Landed { commit: Commit { record, sections }, mac, end })
}

/// Syncs the written commit and makes it visible. From the sync on, it is committed.
fn publish(handle: &Handle, writer: &mut Writer, landed: Landed) -> Result<(), StoreError> {
    let Landed { commit, mac, end } = landed;
    let path = handle.layout.segment(writer.position.segment);
    writer.file.sync_data().map_err(|error| sync_failed(handle, &path, Outcome::Unknown, error))?;
    let first = writer.position.end == 0;
    writer.position = Position {
        segment: writer.position.segment,
        end,
        mac,
        seq: commit.record.seq,
        last_from: if first { 0 } else { commit.record.from.into() },
        closed: commit.record.closed,
    };
    let mut view = handle.view_mut();
    if view.position.segment < writer.position.segment {
        view.begin_segment(writer.position.segment, writer.shown.clone());
    }
    view.take(commit, &handle.keys, writer.position.segment);
    view.position = writer.position;
    view.state = State { seq: writer.position.seq, segment: writer.position.segment, end: end as u32, ..view.state };
    let state = view.state;
    drop(view);
    write_state(handle, &*writer.state_file, &state)
}

/// Writes `state`, so that readers in other processes see what is durable. If this fails, they may not see it.
pub(crate) fn write_state(handle: &Handle, file: &dyn File, state: &State) -> Result<(), StoreError> {
    file.write_all_at(&state.encode(&handle.keys), 0).map_err(|error| {
        let error = failed("write", &handle.layout.state(), Outcome::Unknown)(error);
        handle.gate.poison(Cause::new(error.clone()));
        error
    })
}

/// Continues in a new segment. Its first bytes are written with its first commit.
fn begin_segment(handle: &Handle, writer: &mut Writer) -> Result<(), StoreError> {
    let number = writer.position.segment + 1;
    if number > SEGMENT_NUMBER_MAX {
        let reason = format!("the store has {SEGMENT_NUMBER_MAX} segments, the maximum");
        return Err(StoreError::InvalidArgument { operation: "commit", reason });
    }
    // Its end must be durable before the next segment begins: a recovery may have truncated it.
    let full = handle.layout.segment(writer.position.segment);
    writer.file.sync_data().map_err(|error| sync_failed(handle, &full, Outcome::NotApplied, error))?;
    let path = handle.layout.segment(number);
    // An existing file belongs to a failed commit. Replace it, because an earlier sync of its name may have failed.
    handle.files.remove(&path).map_err(at("remove", &path))?;
    let file = handle.files.create(&path).map_err(at("create", &path))?;
    let shown = handle.segments.take(&path, file.clone()).map_err(at("look at", &path))?;
    let root = handle.layout.root();
    handle.files.sync_folder(root).map_err(|error| match is_unopened(&error) {
        true => at("sync folder", root)(error),
        false => sync_failed(handle, root, Outcome::NotApplied, error),
    })?;
    (writer.file, writer.shown) = (file, shown);
    writer.position = Position { segment: number, end: 0, last_from: 0, closed: false, ..writer.position };
    Ok(())
}

/// Poisons the handle: a second sync may succeed without writing the data that the first one could not write.
fn sync_failed(handle: &Handle, path: &Path, outcome: Outcome, error: io::Error) -> StoreError {
    let error = failed("sync", path, outcome)(error);
    handle.gate.poison(Cause::new(error.clone()));
    error
}

/// Appends a record that says that everything before it is synced, and writes the newest part of the index. The next
/// opening then reads little, and the next writer repeats only this short record instead of the last commit.
pub(crate) fn close(handle: &Handle, writer: &mut Writer) -> Result<(), StoreError> {
    let closed = append_close(handle, writer);
    maintenance::tend_at_close(handle);
    closed
}

fn append_close(handle: &Handle, writer: &mut Writer) -> Result<(), StoreError> {
    if writer.position.end == 0 || writer.position.closed || handle.gate.poisoned().is_some() {
        return Ok(());
    }
    let end = writer.position.end;
    match append(handle, writer, Batch::default(), true) {
        Ok(landed) => publish(handle, writer, landed),
        Err(error) => {
            // All commits are durable already.
            let _ = writer.file.set_len(end);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use mnem_store_traits::{Blockstore, OpHeadsStore, cid_of};

    use super::*;
    use crate::OpenOptions;

    /// A full disk.
    #[derive(Debug)]
    struct Full(Arc<dyn File>);

    impl File for Full {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0.read_at(buffer, offset)
        }

        fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn set_len(&self, bytes: u64) -> io::Result<()> {
            self.0.set_len(bytes)
        }

        fn file_bytes(&self) -> io::Result<u64> {
            self.0.file_bytes()
        }

        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }
    }

    /// A swap is refused because of the head of another call in the same commit, which then fails.
    #[test]
    fn no_head_that_never_was_refuses_a_swap() {
        let folder = tempfile::tempdir().unwrap();
        let store = OpenOptions::new().create(true).open(folder.path().join("a.carlog")).unwrap();
        let [first, second] = [b"one", b"two"].map(|data| cid_of(RAW, data));
        let queue = &store.handle.queue;
        let until = |waiting| {
            while queue.waiting() < waiting {
                thread::yield_now();
            }
        };
        let swapped = thread::scope(|scope| {
            let mut writer = hold(&store.handle.writer);
            // Leads, and finds nothing to do once it has the writer. The others wait for it, and share a commit.
            let is_leading = scope.spawn(|| store.delete(&first));
            while !format!("{queue:?}").contains("has_leader: true") {
                thread::yield_now();
            }
            let updating = scope.spawn(|| store.update(&first, &[]));
            until(1);
            let swapping = scope.spawn(|| store.swap(&[], &second));
            until(2);
            let writing = writer.as_mut().unwrap();
            writing.file = Arc::new(Full(writing.file.clone()));
            drop(writer);
            is_leading.join().unwrap().unwrap();
            assert_eq!(updating.join().unwrap().unwrap_err().outcome(), Outcome::NotApplied);
            swapping.join().unwrap()
        });
        assert!(matches!(swapped, Err(StoreError::Backend { outcome: Outcome::NotApplied, .. })), "{swapped:?}");
        assert!(store.heads().unwrap().is_empty());
    }
}
