//! Opening a store: the files are found, the log is read, and what was cut off is cleared away by the one that may write.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use mnem_store_traits::{
    Outcome, StoreError,
    driver::{FileIdentity, PlaceLacks},
};

use crate::{
    CarlogStore, OpenOptions, create,
    engine::{
        files::{File, Files, Lock},
        keys::{FORMAT_NAME, FORMAT_VERSION, Keys, NoKeys},
        manifest::Manifest,
        replay::{Position, Tail, Unread, classify_next, follows, replay},
        state::{STATE_BYTES, State},
        writer::Writer,
    },
    error::{already_there, at, damaged, failed, not_a_store},
    handle::{Handle, Segment, View},
    limits::{FORMAT_BYTES_MAX, LOCK_PAUSE, MANIFEST_BYTES_MAX},
    tables::Layout,
};

/// All that a new handle needs.
pub(crate) struct Opened {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) layout: Layout,
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) keys: Keys,
    pub(crate) read_only: bool,
    pub(crate) view: View,
    pub(crate) writer: Option<Writer>,
}

pub(crate) fn open(options: &OpenOptions, files: Arc<dyn Files>, path: &Path) -> Result<CarlogStore, StoreError> {
    if options.create && options.read_only {
        let reason = "a store cannot be created read-only".to_owned();
        return Err(StoreError::InvalidArgument { operation: "open", reason });
    }
    if path.as_os_str().is_empty() {
        return Err(StoreError::InvalidArgument { operation: "open", reason: "the path is empty".into() });
    }
    let given = path;
    let path = std::path::absolute(given).map_err(at("find", given))?;
    let layout = Layout::new(create::find_root(options, &*files, &path)?);
    if options.read_only {
        let keys = read_keys(&*files, &layout)?.ok_or_else(|| not_a_store(&path, "it has no `format` file"))?;
        let mut view = View::default();
        let state = read_state(&*files, &layout, &keys)?;
        follow(&*files, &layout, &keys, &mut view, state)?;
        return finish(files, layout, path, keys, view, None);
    }
    // Before the lock, which the one who made it may hold, and after it, since it may have been made meanwhile.
    if options.create_new && read_keys(&*files, &layout)?.is_some() {
        return Err(already_there(given));
    }
    let lock = take_lock(options, &*files, &layout, &path)?;
    let (keys, created) = match read_keys(&*files, &layout)? {
        Some(_) if options.create_new => return Err(already_there(given)),
        Some(keys) => (keys, false),
        None if options.create => (create::create(&*files, &layout)?, true),
        None => return Err(not_a_store(&path, "it has no `format` file")),
    };
    sync_root(&*files, &layout, created)?;
    let (view, writer) = recover(options, &*files, &layout, &keys, lock)?;
    finish(files, layout, path, keys, view, Some(writer))
}

fn finish(
    files: Arc<dyn Files>,
    layout: Layout,
    path: PathBuf,
    keys: Keys,
    view: View,
    writer: Option<Writer>,
) -> Result<CarlogStore, StoreError> {
    let read_only = writer.is_none();
    let identity = files.identity(layout.root()).map_err(at("look at", layout.root()))?;
    tracing::debug!(store = %path.display(), read_only, blocks = view.index.len(), "opened");
    let opened = Opened { files, layout, path, identity, keys, read_only, view, writer };
    Ok(CarlogStore::new(Arc::new(Handle::new(opened))))
}

/// Makes the name of `format` durable before any commit: its creator may have been killed before its own sync.
fn sync_root(files: &dyn Files, layout: &Layout, created: bool) -> Result<(), StoreError> {
    let root = layout.root();
    let Err(error) = files.sync_folder(root) else { return Ok(()) };
    if !created {
        return Err(at("sync folder", root)(error));
    }
    // A second sync may succeed without writing anything. The next creation renames the file again.
    let removed = files.remove(&layout.format());
    let outcome = if removed.is_ok() { Outcome::NotApplied } else { Outcome::Unknown };
    Err(failed("sync folder", root, outcome)(error))
}

fn take_lock(
    options: &OpenOptions,
    files: &dyn Files,
    layout: &Layout,
    path: &Path,
) -> Result<Box<dyn Lock>, StoreError> {
    // `None`: beyond what an `Instant` can hold.
    let deadline = Instant::now().checked_add(options.lock_wait);
    loop {
        match files.lock(&layout.lock()) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if deadline.is_none_or(|deadline| Instant::now() < deadline) => thread::sleep(LOCK_PAUSE),
            Ok(None) => return Err(StoreError::Locked { location: path.into() }),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                let lacks = PlaceLacks::Locks { can_do_without: false, source: Some(error) };
                return Err(at("lock", &layout.lock())(lacks));
            }
            Err(error) => return Err(at("lock", &layout.lock())(error)),
        }
    }
}

/// `None`: there is no such file.
fn read_file(files: &dyn Files, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(file) = files.open(path, false).map_err(at("open", path))? else { return Ok(None) };
    let len = file.file_bytes().map_err(at("look at", path))?;
    if len > bytes_max {
        return Err(damaged(path, format!("it has {len} bytes, more than the {bytes_max} it may have")));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = file.read_at(&mut bytes, 0).map_err(at("read", path))?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

fn read_keys(files: &dyn Files, layout: &Layout) -> Result<Option<Keys>, StoreError> {
    let path = layout.format();
    let Some(bytes) = read_file(files, &path, FORMAT_BYTES_MAX)? else { return Ok(None) };
    Keys::decode(&bytes).map(Some).map_err(|error| match error {
        NoKeys::Foreign => not_a_store(layout.root(), "its `format` file is of another program"),
        NoKeys::Damaged(why) => damaged(&path, why),
        NoKeys::Version(version) => StoreError::UnsupportedFormat {
            found: format!("{FORMAT_NAME} {version}"),
            supported: format!("{FORMAT_NAME} {FORMAT_VERSION}"),
        },
    })
}

/// The file `state`. `None`: it is missing or invalid.
pub(crate) fn read_state(files: &dyn Files, layout: &Layout, keys: &Keys) -> Result<Option<State>, StoreError> {
    let path = layout.state();
    let Some(file) = files.open(&path, false).map_err(at("open", &path))? else { return Ok(None) };
    let mut bytes = [0; STATE_BYTES];
    file.read_at(&mut bytes, 0).map_err(at("read", &path))?;
    Ok(State::decode(&bytes, keys))
}

/// Takes in what was committed since the view was made. What is cut off at the end is passed over: another handle may be writing it.
pub(crate) fn follow(
    files: &dyn Files,
    layout: &Layout,
    keys: &Keys,
    view: &mut View,
    state: Option<State>,
) -> Result<(), StoreError> {
    let tail = read_log(files, layout, keys, view, acknowledged(state.as_ref()), false)?;
    check_tail(layout, view, state.as_ref(), &tail)?;
    if let Some(state) = state {
        view.state = state;
    }
    Ok(())
}

/// The last commit of which it is known that it was synced.
fn acknowledged(state: Option<&State>) -> u64 {
    state.map_or(0, |state| state.seq)
}

/// Reads the log on from where the view ends, segment by segment. Returns what follows in the last one.
fn read_log(
    files: &dyn Files,
    layout: &Layout,
    keys: &Keys,
    view: &mut View,
    acknowledged: u64,
    write: bool,
) -> Result<Tail, StoreError> {
    if view.segments.is_empty() {
        let first = read_manifest(files, layout, keys)?;
        let file = open_segment(files, layout, first, write)?.ok_or_else(|| missing(layout, first))?;
        view.segments.push(Segment { number: first, file, end: 0 });
        view.position = Position { segment: first, ..Position::default() };
    }
    loop {
        let mut position = view.position;
        let Some(file) = view.file(position.segment).cloned() else { return Err(missing(layout, position.segment)) };
        let number = position.segment;
        let read = replay(keys, &*file, &mut position, acknowledged, &mut |commit| view.take(commit, keys, number));
        let tail = read.map_err(|error| unread(layout, number, error))?;
        view.position = position;
        if let Some(segment) = view.segments.last_mut() {
            segment.end = position.end;
        }
        let next = position.segment + 1;
        let Some(file) = open_segment(files, layout, next, write)? else { return Ok(tail) };
        // A file without a whole beginning was made for a commit that was never finished.
        if !follows(keys, &*file, &position).map_err(|error| unread(layout, next, error))? {
            return match classify_next(keys, &*file, &position).map_err(|error| unread(layout, next, error))? {
                Tail::Damaged(why) => Err(damaged(&layout.segment(next), format!("its beginning is not whole: {why}"))),
                _ => Ok(tail),
            };
        }
        if tail != Tail::Nothing {
            let why = "the next segment begins after bytes that are not a commit";
            return Err(damaged(&layout.segment(position.segment), why));
        }
        view.segments.push(Segment { number: next, file, end: 0 });
        view.position = Position { segment: next, end: 0, last_from: 0, closed: false, ..position };
    }
}

fn unread(layout: &Layout, segment: u32, error: Unread) -> StoreError {
    match error {
        Unread::Io(error) => at("read", &layout.segment(segment))(error),
        Unread::Unsupported(found) => {
            StoreError::UnsupportedFormat { found, supported: format!("{FORMAT_NAME} {FORMAT_VERSION}") }
        }
    }
}

fn missing(layout: &Layout, segment: u32) -> StoreError {
    damaged(&layout.segment(segment), "the file is missing")
}

fn open_segment(
    files: &dyn Files,
    layout: &Layout,
    number: u32,
    write: bool,
) -> Result<Option<Arc<dyn File>>, StoreError> {
    let path = layout.segment(number);
    files.open(&path, write).map_err(at("open", &path))
}

/// The first segment.
fn read_manifest(files: &dyn Files, layout: &Layout, keys: &Keys) -> Result<u32, StoreError> {
    let path = layout.manifest();
    let bytes = read_file(files, &path, MANIFEST_BYTES_MAX)?.ok_or_else(|| damaged(&path, "the file is missing"))?;
    let manifest = Manifest::decode(&bytes).map_err(|why| damaged(&path, why))?;
    if manifest.store != keys.store {
        return Err(damaged(&path, "it is of another store"));
    }
    manifest.segments.first().copied().ok_or_else(|| damaged(&path, "it names no segment"))
}

/// Whether what was acknowledged is all there.
fn check_tail(layout: &Layout, view: &View, state: Option<&State>, tail: &Tail) -> Result<(), StoreError> {
    let position = &view.position;
    let path = layout.segment(position.segment);
    if let Tail::Damaged(why) = tail {
        return Err(damaged(&path, format!("the commit after byte {} is not whole: {why}", position.end)));
    }
    match state {
        Some(state) if state.seq > position.seq => {
            let (end, seq) = (position.end, state.seq - position.seq);
            Err(damaged(&path, format!("commits are missing after byte {end}: `state` tells of {seq} more")))
        }
        _ => Ok(()),
    }
}

/// Reads the log, and makes it one that can be written on: what was cut off is cut away, and the last commit is made durable.
fn recover(
    options: &OpenOptions,
    files: &dyn Files,
    layout: &Layout,
    keys: &Keys,
    lock: Box<dyn Lock>,
) -> Result<(View, Writer), StoreError> {
    let mut view = View::default();
    let state = read_state(files, layout, keys)?;
    let tail = read_log(files, layout, keys, &mut view, acknowledged(state.as_ref()), true)?;
    check_tail(layout, &view, state.as_ref(), &tail)?;
    let position = view.position;
    let path = layout.segment(position.segment);
    let Some(file) = view.file(position.segment).cloned() else { return Err(missing(layout, position.segment)) };
    if tail == Tail::Torn {
        let bytes = file.file_bytes().map_err(at("look at", &path))?.saturating_sub(position.end);
        file.set_len(position.end).map_err(at("cut", &path))?;
        file.sync_data().map_err(at("sync", &path))?;
        tracing::warn!(segment = %path.display(), bytes, "cut off a commit that was never finished");
    }
    if position.end > 0 {
        write_again(&*file, &path, position.last_from, position.end)?;
    }
    let state_path = layout.state();
    let state_file = match files.open(&state_path, true).map_err(at("open", &state_path))? {
        Some(file) => file,
        None => files.create(&state_path).map_err(at("create", &state_path))?,
    };
    view.state = State { generation: 1, seq: position.seq, segment: position.segment, end: position.end as u32 };
    state_file.write_all_at(&view.state.encode(keys), 0).map_err(at("write", &state_path))?;
    Ok((view, Writer { _lock: lock, file, position, state_file, segment_bytes: options.segment_bytes }))
}

/// Writes the last commit again, in place, and syncs it. It may be in the page cache alone: after a failed sync the
/// system regards its pages as clean. Earlier commits were synced when they were written. A clean close leaves a short
/// last commit.
fn write_again(file: &dyn File, path: &Path, from: u64, end: u64) -> Result<(), StoreError> {
    let mut offset = from;
    let mut bytes = vec![0; crate::limits::WRITE_BYTES];
    while offset < end {
        let len = usize::try_from(end - offset).unwrap_or(usize::MAX).min(bytes.len());
        let Some(part) = bytes.get_mut(..len) else { break };
        let read = file.read_at(part, offset).map_err(at("read", path))?;
        if read < len {
            return Err(damaged(path, "it became shorter while it was opened"));
        }
        file.write_all_at(part, offset).map_err(at("write", path))?;
        offset += len as u64;
    }
    file.sync_data().map_err(at("sync", path))
}
