//! Opening a store: finds the files, reads the log, and, with permission to write, removes what a crash left.

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
        descriptor,
        files::{File, Files, Lock},
        keys::{FORMAT_NAME, FORMAT_VERSION, Keys, NoKeys},
        maintenance::tend_at_open,
        manifest::Manifest,
        open_segments::OpenSegments,
        page::Budget,
        replay::{Position, Tail, beginning},
        room::Room,
        state::State,
        switch::{NotReplaced, remove, remove_log, write_manifest},
        walk::Window,
        writer::Writer,
    },
    error::{already_there, at, damaged, failed, not_a_store},
    handle::Handle,
    limits::{FORMAT_BYTES_MAX, LOCK_PAUSE},
    source::{Reading, Source, read_file, unread},
    tables::{Layout, is_index, segment_number},
    view::{Bounds, View},
};

/// The parts of a new handle.
pub(crate) struct Opened {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) layout: Layout,
    pub(crate) path: PathBuf,
    pub(crate) identity: FileIdentity,
    pub(crate) keys: Keys,
    pub(crate) read_only: bool,
    pub(crate) view: View,
    pub(crate) writer: Option<Writer>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) segments: Arc<OpenSegments>,
    pub(crate) bounds: Bounds,
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
    let budget = Arc::new(Budget::new(options.index_memory));
    let segments = OpenSegments::new(files.clone(), options.open_segments);
    let files: Arc<dyn Files> = Arc::new(Room::new(files, segments.clone()));
    let (files_of, bounds) = (&*files, options.bounds);
    let source = |keys| Source { files: files_of, layout: &layout, keys, budget: &budget, segments: &segments, bounds };
    let (keys, view, writer) = if options.read_only {
        let keys = read_keys(&*files, &layout)?.ok_or_else(|| not_a_store(&path, "it has no `format` file"))?;
        let source = source(&keys);
        let state = source.read_state()?;
        let mut view = source.load()?;
        source.follow(&mut view, state)?;
        (keys, view, None)
    } else {
        let (keys, lock) = begin_writing(options, &*files, &layout, given, &path)?;
        let (view, writer) = recover(options, source(&keys), lock)?;
        (keys, view, Some(writer))
    };
    let read_only = options.read_only;
    let identity = files.identity(layout.root()).map_err(at("look at", layout.root()))?;
    tracing::debug!(store = %path.display(), read_only, entries = view.index.entries(), "opened");
    let opened = Opened { files, layout, path, identity, keys, read_only, view, writer, budget, segments, bounds };
    let handle = Handle::new(opened);
    if !read_only {
        tend_at_open(&handle, options.index_thread);
    }
    Ok(CarlogStore::new(Arc::new(handle)))
}

/// Takes the lock, and creates the store if necessary and allowed.
fn begin_writing(
    options: &OpenOptions,
    files: &dyn Files,
    layout: &Layout,
    given: &Path,
    path: &Path,
) -> Result<(Keys, Box<dyn Lock>), StoreError> {
    // Checked before taking the lock, which the creator may hold, and again after it.
    if options.create_new && read_keys(files, layout)?.is_some() {
        return Err(already_there(given));
    }
    let lock = take_lock(options, files, layout, path)?;
    let (keys, created) = match read_keys(files, layout)? {
        Some(_) if options.create_new => return Err(already_there(given)),
        Some(keys) => (keys, false),
        None if options.create => (create::create(files, layout)?, true),
        None => return Err(not_a_store(path, "it has no `format` file")),
    };
    sync_root(files, layout, created)?;
    Ok((keys, lock))
}

/// Makes the name of `format` durable before any commit. Its creator may have been killed before it synced the folder.
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
    // `None`: the deadline is beyond the range of `Instant`.
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

pub(crate) fn read_keys(files: &dyn Files, layout: &Layout) -> Result<Option<Keys>, StoreError> {
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

/// Reads the log and prepares it for writing: truncates an interrupted commit, and makes the last commit durable.
fn recover(options: &OpenOptions, source: Source<'_>, lock: Box<dyn Lock>) -> Result<(View, Writer), StoreError> {
    let Source { files, layout, keys, .. } = source;
    let state = source.read_state()?;
    let mut view = source.load()?;
    let named = view.named.clone();
    let tail = source.read_log(&mut view, Reading::of(state.as_ref(), true));
    let tail = tail.and_then(|tail| source.check_tail(&view, state.as_ref(), &tail).map(|()| tail));
    let tail = tail.and_then(|tail| source.check_no_gap(&mut view, |_| Ok(())).map(|()| tail));
    if tail.is_err() {
        // The store stays as it was.
        remove(files, &view.named.difference(&named).cloned().collect::<Vec<_>>());
    }
    let tail = tail?;
    let position = view.position;
    let path = layout.segment(position.segment);
    let missing = || damaged(&path, "the file is missing");
    let file = files.open(&path, true).map_err(at("open", &path))?.ok_or_else(missing)?;
    let shown = source.segments.take(&path, file.clone()).map_err(at("look at", &path))?;
    // So that the file is open once.
    view.show_file(position.segment, shown.clone());
    if tail == Tail::Torn {
        let bytes = file.file_bytes().map_err(at("look at", &path))?.saturating_sub(position.end);
        file.set_len(position.end).map_err(at("cut", &path))?;
        file.sync_data().map_err(at("sync", &path))?;
        tracing::warn!(segment = %path.display(), bytes, "removed an unfinished commit");
    }
    // A commit that the manifest covers was synced before the manifest was written.
    if position.end > 0 && position.seq > view.covered_to().seq {
        write_again(&*file, &path, position.last_from, position.end)?;
    }
    clear(&source, &mut view)?;
    let state_path = layout.state();
    let state_file = match files.open(&state_path, true).map_err(at("open", &state_path))? {
        Some(file) => file,
        None => files.create(&state_path).map_err(at("create", &state_path))?,
    };
    let Position { segment, end, seq, .. } = position;
    view.state = State { generation: view.generation, seq, segment, end: end as u32 };
    state_file.write_all_at(&view.state.encode(keys), 0).map_err(at("write", &state_path))?;
    let OpenOptions { segment_bytes, index_thread, .. } = *options;
    Ok((view, Writer { _lock: lock, file, shown, position, state_file, segment_bytes, index_thread }))
}

/// Removes files that no manifest names: index files, and segments of a compaction that was interrupted or of a log
/// that was replaced.
fn clear(source: &Source<'_>, view: &mut View) -> Result<(), StoreError> {
    let Source { files, layout, .. } = *source;
    let root = layout.root();
    let (first, last) = (view.first_segment().unwrap_or(0), view.position.segment);
    let (mut left, mut replaced) = (Vec::new(), Vec::new());
    for path in files.list(root).map_err(at("list", root))? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let segment = segment_number(name);
        if is_index(name) && !view.named.contains(&path) {
            left.push(path);
        } else if segment.is_some_and(|number| number < first) {
            replaced.push((segment, path));
        } else if let Some(number) = segment.filter(|number| *number > last)
            && is_unfinished(source, number, view.named_to).unwrap_or_else(|error| {
                tracing::debug!(file = %path.display(), %error, "cannot remove an unused file");
                false
            })
        {
            left.push(path);
        }
    }
    // Frees space for the manifest. The index files among them can be built again from either log.
    remove(files, &left);
    // A power cut must not bring back the beginning of a segment whose first commit failed, once a commit has landed in
    // the segment before.
    if left.iter().any(|path| path.extension().is_some_and(|extension| extension == "car")) {
        files.sync_folder(root).map_err(at("sync folder", root))?;
    }
    if !replaced.is_empty() {
        name_again(source, view)?;
        replaced.sort();
        remove_log(files, &replaced.into_iter().map(|(_, path)| path).collect::<Vec<_>>());
    }
    Ok(())
}

/// Whether a segment after the last one comes from an interrupted compaction, or has no commit at all.
fn is_unfinished(source: &Source<'_>, number: u32, named_to: u32) -> Result<bool, StoreError> {
    let path = source.layout.segment(number);
    let Some(file) = source.files.open(&path, false).map_err(at("open", &path))? else { return Ok(false) };
    let begin_bytes = descriptor::begin_bytes(source.keys);
    if file.file_bytes().map_err(at("look at", &path))? <= begin_bytes {
        return Ok(true);
    }
    let found = beginning(source.keys, &mut Window::new(&*file, begin_bytes));
    let found = found.map_err(|error| unread(source.layout, number, error))?;
    Ok(found.is_some_and(|found| found.compacted && number > named_to))
}

/// Writes the manifest again before the segments that it replaced are removed, and before a commit goes to the new log.
/// The sync of its name may have failed, and a second sync of the same name may succeed without writing anything. Then
/// a power cut could bring the old log back, without that commit.
fn name_again(source: &Source<'_>, view: &mut View) -> Result<(), StoreError> {
    let manifest = Manifest { generation: view.take_number(), ..source.read_manifest()? };
    match write_manifest(source.files, source.layout, &manifest) {
        Ok(()) => view.generation = manifest.generation,
        Err(NotReplaced::Unsynced(error) | NotReplaced::Undone(error)) => return Err(error),
    }
    Ok(())
}

/// Writes the bytes of the last commit again, in place, and syncs them. They may be only in the page cache: after a
/// failed sync, the system considers its pages clean. Earlier commits are synced. After a clean close, the last commit
/// is short.
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
