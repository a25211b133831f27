//! From a path to an open store: what lies there, making a new one, locks, checks, layout.

use std::{
    fs::File,
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Instant,
};

use mnem_store_traits::{
    Blockstore, OpHeadsStore, Outcome, StoreError,
    driver::{FileIdentity, identity},
};
use redb::{Database, StorageBackend, backends::FileBackend};

use crate::{
    Check, CommitDurability, OpenOptions, Verify,
    create::{create_file, initialise},
    engine::{
        attempt::{Attempt, Attempted, Staged, open_repaired},
        header::{Length, is_zeros},
        layout, lenient,
        locks::{WithoutLocks, file_id, insist},
        medium::{Locks, Medium, Seam},
        probe::{PathState, REDB_MAGIC, probe},
        publish::can_publish,
        session::{Db, Session},
    },
    error::{At, contain},
    handle::Handle,
    limits::{LOCK_PAUSE, RACES_MAX, next_pause},
    place::{NamedFile, Names, Place, System, folder_of, sync_name},
};
use mnem_store_traits::driver::Sharing;

/// The two views that [`open_or_init`] returns, and where the store lies.
type Views = (Arc<dyn Blockstore>, Arc<dyn OpHeadsStore>, PathBuf);

/// Opens the store at `path`, or makes one where there is nothing: its blocks, its heads, and where it lies.
///
/// Whoever wants `commit` opens a [`RedbStore`](crate::RedbStore) instead.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_or_init(path: impl AsRef<Path>) -> Result<Views, StoreError> {
    let store = OpenOptions::new().create(true).open(&path)?;
    Ok((Arc::new(store.blockstore()), Arc::new(store.op_heads()), path.as_ref().to_owned()))
}

/// Opens or makes the file at `path`.
pub(crate) fn open_path(path: &Path, options: &OpenOptions) -> Result<Handle, StoreError> {
    open_in(&(Arc::new(System) as _), path, options)
}

pub(crate) fn open_in(place: &Arc<dyn Place>, path: &Path, options: &OpenOptions) -> Result<Handle, StoreError> {
    let at = At { path, operation: "open" };
    check_options(options)?;
    let calls = &**place;
    let mut made = false;
    for _ in 0..RACES_MAX {
        match probe(at)? {
            PathState::Other(reason) => return Err(at.not_a_store(reason)),
            PathState::Nothing if options.create => made = create_file(calls, path, options)?,
            PathState::Empty if options.create && is_claim(calls, at)? => made = create_file(calls, path, options)?,
            PathState::Empty => return Err(at.not_a_store("the file is empty; remove it to make a store there")),
            PathState::Nothing => return Err(at.not_a_store("nothing is there; make one with create")),
            PathState::RedbFile if options.create_new && !made => return Err(at.already_there()),
            PathState::RedbFile => {
                let Some((medium, names, identity)) = open_file(place, at, options)? else {
                    made = false;
                    continue;
                };
                return Ok(open_with_retry(at, options, &medium)?.named(names, identity));
            }
        }
    }
    Err(at.not_a_store("the file keeps appearing and disappearing"))
}

/// Whether an empty file is a store that somebody is making, or was killed at: where files are published so.
pub(crate) fn is_claim(place: &dyn Place, at: At<'_>) -> Result<bool, StoreError> {
    let can = can_publish(place, &folder_of(at.path));
    can.map(|can| !can).map_err(|error| at.failed(Outcome::NotApplied, error))
}

/// The file as a medium, whether its name is durable, and which file it is; `None` if it is gone by now.
fn open_file(
    place: &Arc<dyn Place>,
    at: At<'_>,
    options: &OpenOptions,
) -> Result<Option<(Medium, Names, FileIdentity)>, StoreError> {
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let file = match File::options().read(true).write(!options.read_only).open(at.path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at.failed(Outcome::NotApplied, error)),
    };
    let identity = identity(&file.metadata().map_err(failed)?);
    let medium = file_medium(at, file, options)?;
    // Another process may have made the file a moment ago and not synced its name yet. What the handle claims depends
    // on the outcome only with that option; in a shared mode redb writes at once.
    let at_once = options.without_folder_sync || options.sharing != Sharing::ExclusiveWriter;
    let (medium, names) = match (options.read_only, at_once) {
        (true, _) => (medium, Names::Durable),
        (false, true) => (medium, sync_name(&**place, at, options)?),
        (false, false) => (Arc::new(NamedFile::new(medium, Arc::clone(place), at)?) as Medium, Names::Durable),
    };
    Ok(Some((medium, names, identity)))
}

/// The medium that a file is.
pub(crate) fn file_medium(at: At<'_>, file: File, options: &OpenOptions) -> Result<Medium, StoreError> {
    let id = file_id(&file).map_err(|error| at.failed(Outcome::NotApplied, error))?;
    let medium: Medium = Arc::new(FileBackend::new(file).map_err(|error| at.redb(error))?);
    Ok(if options.without_locks { Arc::new(WithoutLocks::new(medium, id)) } else { medium })
}

/// Opens or initialises a medium.
pub(crate) fn open_medium(medium: Medium, name: PathBuf, options: &OpenOptions) -> Result<Handle, StoreError> {
    let at = At { path: &name, operation: "open" };
    check_options(options)?;
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let medium = if options.without_locks { Arc::new(WithoutLocks::new(medium, None)) } else { medium };
    if medium.len().map_err(failed)? == 0 {
        if !options.create {
            return Err(at.not_a_store("it is empty; make a store with create"));
        }
        initialise(at, Arc::clone(&medium), options)?;
    }
    let mut begin = [0; REDB_MAGIC.len()];
    if medium.len().map_err(failed)? < begin.len() as u64 {
        return Err(at.not_a_store("it was not written by redb"));
    }
    medium.read(0, &mut begin).map_err(failed)?;
    if begin != REDB_MAGIC {
        return Err(at.not_a_store("it was not written by redb"));
    }
    open_with_retry(at, options, &medium)
}

fn check_options(options: &OpenOptions) -> Result<(), StoreError> {
    let invalid = |reason: &str| Err(StoreError::InvalidArgument { operation: "open", reason: reason.into() });
    if options.create && options.read_only {
        return invalid("a store cannot be created read-only");
    }
    let shared = options.sharing != Sharing::ExclusiveWriter;
    if options.check == Check::AsItIs && (shared || !options.read_only) {
        return invalid("a file is opened as it is for reading only, and in no shared mode");
    }
    if shared && options.without_locks {
        return invalid("a shared mode is not possible without locks: processes take turns by them");
    }
    if shared && options.durability == CommitDurability::None {
        return invalid("a shared mode has no commits that are not durable: other processes would not see them");
    }
    if shared && options.verify == Verify::OncePerHandle {
        return invalid(
            "a shared mode verifies every read: other processes may delete a block and put another one in its place",
        );
    }
    if shared && options.read_only && options.check == Check::Always {
        return invalid("a read-only handle in a shared mode cannot check the file: it may change meanwhile");
    }
    Ok(())
}

/// Tries until the locks are free or the time is up.
fn open_with_retry(at: At<'_>, options: &OpenOptions, medium: &Medium) -> Result<Handle, StoreError> {
    let deadline = Instant::now().checked_add(options.lock_wait);
    let mut pause = LOCK_PAUSE.0;
    loop {
        match open_once(at, options, Arc::clone(medium)) {
            Err(StoreError::Locked { .. }) if deadline.is_none_or(|at| Instant::now() < at) => {
                thread::sleep(pause);
                pause = next_pause(pause);
            }
            result => return result.map_err(|error| at.with_header(&**medium, error)),
        }
    }
}

fn open_once(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<Handle, StoreError> {
    if options.check == Check::AsItIs {
        return open_lenient(at, options, &medium, false).or_else(|error| match error {
            // One that begins and is not written to has a commit before the last.
            StoreError::Damaged { .. } => {
                let before = open_lenient(at, options, &medium, true).map_err(|_| error);
                before.inspect(|_| tracing::warn!(path = %at.path.display(), "the last commit cannot be found: this is the one before it"))
            }
            error => Err(error),
        });
    }
    if options.sharing != Sharing::ExclusiveWriter {
        settle_length(at, options, &medium)?;
    }
    let session = match (options.read_only, options.sharing) {
        (true, _) => open_read_only(at, options, medium)?,
        (false, Sharing::ExclusiveWriter) => open_alone(at, options, medium)?,
        (false, _) => open_shared(at, options, medium)?,
    };
    layout::recognise(at, options, session)
}

/// Refuses a file that was closed and has another length than its header says, and recovers one that a power cut left
/// with the wrong length: a shared mode can open neither.
///
/// Looks without a lock, since others may have the file open. While they have, it is never shorter than its header says.
/// A power cut can leave it shorter: the file system kept a new length, and not the header beside it. For the same
/// reason zeros may follow in a file that looks closed, after the first write of a handle that had it alone.
fn settle_length(at: At<'_>, options: &OpenOptions, medium: &Medium) -> Result<(), StoreError> {
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let deadline = Instant::now().checked_add(options.turn_wait());
    let mut pause = LOCK_PAUSE.0;
    loop {
        let length = Length::of(&**medium).map_err(failed)?;
        if !(length.changed() || length.is_cut()) || length != Length::of(&**medium).map_err(failed)? {
            return Ok(());
        }
        let is_over = deadline.is_some_and(|at| Instant::now() >= at);
        if length.changed() && !is_over && !is_changed_at_rest(medium).map_err(failed)? {
            // A writer is making it longer.
        } else if length.changed() && !has_zeros_at_end(medium, length).map_err(failed)? {
            return Err(at.damaged("a shared mode cannot open a file of the wrong length"));
        } else if options.read_only {
            return Err(StoreError::NeedsRecovery { location: at.path.into() });
        } else {
            match recover_alone(at, options, Arc::clone(medium)) {
                // Another process may be recovering it.
                Err(StoreError::Locked { .. }) if !is_over => {}
                recovered => return recovered,
            }
        }
        thread::sleep(pause);
        pause = next_pause(pause);
    }
}

/// Whether the file has another length than its header says while nobody writes to it. A writer makes it longer some
/// time before its header says so, in its turn, which excludes a lock of the whole file.
fn is_changed_at_rest(medium: &Medium) -> io::Result<bool> {
    let whole = (Bound::Unbounded, Bound::Unbounded);
    match medium.try_lock_shared_range(whole.0, whole.1) {
        Ok(false) => Ok(false),
        Ok(true) => {
            let changed = Length::of(&**medium).map(Length::changed);
            medium.unlock_range(whole.0, whole.1).map_err(|error| io::Error::other(error.to_string()))?;
            changed
        }
        // Without locks the length is all there is to judge by.
        Err(_) => Ok(true),
    }
}

/// Whether nothing but zeros was appended.
fn has_zeros_at_end(medium: &Medium, length: Length) -> io::Result<bool> {
    length.appended().map_or(Ok(false), |(said, appended)| is_zeros(&**medium, said, appended))
}

/// Repairs a file under exclusive locks, checks all of it, and closes it cleanly.
fn recover_alone(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<(), StoreError> {
    tracing::info!(path = %at.path.display(), "store was not closed and is too short: recovering it alone");
    let options = options.clone().sharing(Sharing::ExclusiveWriter).check(Check::Always);
    let session = open_alone(at, &options, medium)?;
    layout::recognise(at, &options, session)?.close()
}

/// Opens for writing, with everything staged until the file has been recognised.
fn open_alone(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<Session, StoreError> {
    open_staged(at, options, medium, Locks::PassThrough)
}

fn open_staged(at: At<'_>, options: &OpenOptions, medium: Medium, locks: Locks) -> Result<Session, StoreError> {
    let Staged { database, seam, was_closed } = open_repaired(at, options, medium, locks)?;
    Ok(Session { was_closed, ..Session::new(Db::Writable(database), seam) })
}

/// Opens for writing beside other processes. Nothing is staged: they have to see what this one does.
fn open_shared(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<Session, StoreError> {
    layout::peek(at, options, Arc::clone(&medium))?;
    let mut attempt = Attempt::first(options);
    loop {
        let seam = Seam::direct(Arc::clone(&medium), false);
        seam.set_lock_deadline(Instant::now().checked_add(options.turn_wait()));
        let attempted = attempt.run(at, options, &seam).map_err(|error| timed_out(at, error))?;
        seam.set_lock_deadline(None);
        match attempted {
            Attempted::Opened(database, _) => return Ok(Session::new(Db::Writable(database), seam)),
            Attempted::Suspect(error) if attempt == Attempt::Checked => return Err(error),
            Attempted::Unclean | Attempted::Suspect(_) => attempt = Attempt::Checked,
        }
    }
}

/// A lock that was not to be had in time is a locked store.
fn timed_out(at: At<'_>, error: StoreError) -> StoreError {
    let timed_out = matches!(&error, StoreError::Backend { source, .. }
        if source.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut));
    if timed_out { StoreError::Locked { location: at.path.into() } } else { error }
}

/// Opens without ever writing to the medium: as it is if it is clean and need not be checked, else repaired in memory.
fn open_read_only(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<Session, StoreError> {
    let alone = options.sharing == Sharing::ExclusiveWriter;
    if alone && Attempt::first(options) == Attempt::Checked {
        return open_staged(at, options, medium, Locks::AsReader);
    }
    let seam = Seam::direct(Arc::clone(&medium), false);
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes).set_concurrency_mode(crate::options::mode(options.sharing));
    let opened = contain(|| builder.open_read_only_with_backend(seam.clone()));
    let error = match opened {
        Ok(Ok(database)) => return Ok(Session::new(Db::ReadOnly(database), seam)),
        Ok(Err(error)) => at.redb(error),
        Err(panic) => {
            let _ = seam.shut();
            at.panicked(panic)
        }
    };
    match error {
        StoreError::NeedsRecovery { .. } | StoreError::Damaged { .. } if alone => {
            open_staged(at, &options.clone().check(Check::Always), medium, Locks::AsReader)
        }
        error => Err(error),
    }
}

/// Takes the lock of a reader over the whole file, for as long as the medium is open.
pub(crate) fn lock_as_reader(at: At<'_>, medium: &dyn StorageBackend) -> Result<(), StoreError> {
    let whole = (Bound::Unbounded, Bound::Unbounded);
    match insist(medium.try_lock_shared_range(whole.0, whole.1), whole.0, whole.1) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StoreError::Locked { location: at.path.into() }),
        Err(redb::BackendError::Io(error)) => Err(at.redb(redb::Error::Io(error))),
        Err(error) => Err(at.failed(Outcome::NotApplied, error.to_string())),
    }
}

/// Opens a damaged file for reading what can be read of it: the last commit, or the one `before` it.
fn open_lenient(at: At<'_>, options: &OpenOptions, medium: &Medium, before: bool) -> Result<Handle, StoreError> {
    // One lock for all: redb would take one for each read, and keep it for one that panicked.
    lock_as_reader(at, &**medium)?;
    let view = lenient::view(&**medium, before).map_err(|error| at.failed(Outcome::NotApplied, error))?;
    let seam = Seam::lenient(Arc::clone(medium), view);
    let mut builder = Database::builder();
    // A reader in a shared mode needs neither the table of free pages nor the length of the file, and looks at neither.
    builder.set_cache_size(options.cache_bytes).set_concurrency_mode(redb::ConcurrencyMode::SingleWriter);
    match contain(|| builder.open_read_only_with_backend(seam.clone())) {
        Ok(Ok(database)) => layout::recognise(at, options, Session::new(Db::ReadOnly(database), seam)),
        Ok(Err(error)) => match at.redb(error) {
            StoreError::NeedsRecovery { .. } => Err(at.damaged("its header makes no sense")),
            error => Err(error),
        },
        Err(panic) => {
            let _ = seam.shut();
            Err(at.panicked(panic))
        }
    }
}
