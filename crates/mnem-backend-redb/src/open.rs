//! Opens the store at a path: probes it, creates a new store, takes locks, checks the file and recognises its layout.

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
        attempt::{Attempt, Attempted, Staged, open_repaired, pages_match},
        header::{self, Length, is_zeros},
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

/// The two views that [`open_or_init`] returns, and the path of the store.
type Views = (Arc<dyn Blockstore>, Arc<dyn OpHeadsStore>, PathBuf);

/// Opens the store at `path`, or creates one if nothing is there. Returns its blocks, its heads and its path.
///
/// To call `commit`, open a [`RedbStore`](crate::RedbStore) instead.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_or_init(path: impl AsRef<Path>) -> Result<Views, StoreError> {
    let store = OpenOptions::new().create(true).open(&path)?;
    Ok((Arc::new(store.blockstore()), Arc::new(store.op_heads()), path.as_ref().to_owned()))
}

/// Opens or creates the file at `path`.
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
            PathState::Empty => return Err(at.not_a_store("the file is empty; remove it to create a store there")),
            PathState::Nothing => return Err(at.not_a_store("it does not exist; open it with `create` to create it")),
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

/// Whether an empty file reserves the name of a store that is being created, or whose creator was killed. Creators
/// reserve names this way only on file systems that cannot rename without replacing.
pub(crate) fn is_claim(place: &dyn Place, at: At<'_>) -> Result<bool, StoreError> {
    let can = can_publish(place, &folder_of(at.path));
    can.map(|can| !can).map_err(|error| at.failed(Outcome::NotApplied, error))
}

/// Opens the file. Returns its medium, whether its name is durable, and its identity, or `None` if it is gone.
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
    // Another process may have just created the file and not synced its name yet. Sync it now if the claimed durability
    // depends on the outcome, or in a shared mode, where redb writes at once. Otherwise the first write does.
    let at_once = options.without_folder_sync || options.sharing != Sharing::ExclusiveWriter;
    let (medium, names) = match (options.read_only, at_once) {
        (true, _) => (medium, Names::Durable),
        (false, true) => (medium, sync_name(&**place, at, options)?),
        (false, false) => (Arc::new(NamedFile::new(medium, Arc::clone(place), at)?) as Medium, Names::Durable),
    };
    Ok(Some((medium, names, identity)))
}

/// Wraps a file as a medium.
pub(crate) fn file_medium(at: At<'_>, file: File, options: &OpenOptions) -> Result<Medium, StoreError> {
    let id = file_id(&file).map_err(|error| at.failed(Outcome::NotApplied, error))?;
    let medium: Medium = Arc::new(FileBackend::new(file).map_err(|error| at.redb(error))?);
    Ok(if options.without_locks { Arc::new(WithoutLocks::new(medium, id)) } else { medium })
}

/// Opens a medium, or initialises an empty one.
pub(crate) fn open_medium(medium: Medium, name: PathBuf, options: &OpenOptions) -> Result<Handle, StoreError> {
    let at = At { path: &name, operation: "open" };
    check_options(options)?;
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let medium = if options.without_locks { Arc::new(WithoutLocks::new(medium, None)) } else { medium };
    if medium.len().map_err(failed)? == 0 {
        if !options.create {
            return Err(at.not_a_store("it is empty; open it with `create` to create a store"));
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
        return invalid("`Check::AsItIs` requires a read-only handle and the exclusive mode");
    }
    if shared && options.without_locks {
        return invalid("a shared mode cannot work without locks");
    }
    if shared && options.durability == CommitDurability::None {
        return invalid("a shared mode requires durable commits: other processes do not see others");
    }
    if shared && options.verify == Verify::OncePerHandle {
        return invalid("a shared mode must verify every read: other processes may replace a block");
    }
    if shared && options.read_only && matches!(options.check, Check::Always | Check::Pages) {
        return invalid("a read-only handle in a shared mode cannot check the file: other processes may write to it");
    }
    Ok(())
}

/// Retries until the locks are free or the timeout is over.
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
            // The last commit may be a transaction that began and wrote nothing; before it there is a complete one.
            StoreError::Damaged { .. } => {
                let before = open_lenient(at, options, &medium, true).map_err(|_| error);
                before.inspect(
                    |_| tracing::warn!(path = %at.path.display(), "the last commit is lost: this is the previous one"),
                )
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

/// Settles the length of a file before a shared mode opens it, because that mode cannot open a file of the wrong
/// length. Refuses a closed file whose length differs from its header, and recovers one that a power cut left with the
/// wrong length.
///
/// Reads without a lock, since other processes may have the file open. While they do, the file is never shorter than
/// its header says. A power cut can leave it shorter, if the file system kept the new length and lost the header
/// written with it. For the same reason zeros may follow a file that looks closed, after the first write of an
/// exclusive handle.
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
            // A writer is extending the file.
        } else if length.changed() && !has_zeros_at_end(medium, length).map_err(failed)? {
            return Err(at.damaged("a shared mode cannot open a file of the wrong length"));
        } else if options.read_only {
            return Err(StoreError::NeedsRecovery { location: at.path.into() });
        } else {
            match recover_alone(at, options, Arc::clone(medium)) {
                // Another process may be recovering the file.
                Err(StoreError::Locked { .. }) if !is_over => {}
                recovered => return recovered,
            }
        }
        thread::sleep(pause);
        pause = next_pause(pause);
    }
}

/// Whether the file has another length than its header says while no one writes to it. A writer extends the file some
/// time before the header says so, but during its turn, which excludes a lock of the whole file.
fn is_changed_at_rest(medium: &Medium) -> io::Result<bool> {
    let whole = (Bound::Unbounded, Bound::Unbounded);
    match medium.try_lock_shared_range(whole.0, whole.1) {
        Ok(false) => Ok(false),
        Ok(true) => {
            let changed = Length::of(&**medium).map(Length::changed);
            medium.unlock_range(whole.0, whole.1).map_err(|error| io::Error::other(error.to_string()))?;
            changed
        }
        // Without locks, only the length can tell.
        Err(_) => Ok(true),
    }
}

/// Whether only zeros were appended.
fn has_zeros_at_end(medium: &Medium, length: Length) -> io::Result<bool> {
    length.appended().map_or(Ok(false), |(said, appended)| is_zeros(&**medium, said, appended))
}

/// Repairs a file under exclusive locks, verifies all of it, and closes it cleanly.
fn recover_alone(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<(), StoreError> {
    tracing::info!(path = %at.path.display(), "store was not closed and is truncated: recovering it exclusively");
    let options = options.clone().sharing(Sharing::ExclusiveWriter).check(Check::Always);
    let session = open_alone(at, &options, medium)?;
    layout::recognise(at, &options, session)?.close()
}

/// Opens for writing, with every write staged until the file has been recognised.
fn open_alone(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<Session, StoreError> {
    open_staged(at, options, medium, Locks::PassThrough)
}

fn open_staged(at: At<'_>, options: &OpenOptions, medium: Medium, locks: Locks) -> Result<Session, StoreError> {
    let Staged { database, seam, was_closed } = open_repaired(at, options, medium, locks)?;
    Ok(Session { was_closed, ..Session::new(Db::Writable(database), seam) })
}

/// Opens for writing beside other processes. Nothing is staged, because they must see the writes.
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

/// Turns a lock timeout into [`StoreError::Locked`].
fn timed_out(at: At<'_>, error: StoreError) -> StoreError {
    let timed_out = matches!(&error, StoreError::Backend { source, .. }
        if source.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut));
    if timed_out { StoreError::Locked { location: at.path.into() } } else { error }
}

/// Opens without writing to the medium: directly if the file is clean and needs no check or passes it, otherwise
/// repaired in memory.
fn open_read_only(at: At<'_>, options: &OpenOptions, medium: Medium) -> Result<Session, StoreError> {
    let alone = options.sharing == Sharing::ExclusiveWriter;
    if alone && Attempt::first(options) == Attempt::Checked {
        let verified = if options.check == Check::Pages { open_verified(at, options, &medium) } else { None };
        return verified.map_or_else(|| open_staged(at, options, medium, Locks::AsReader), Ok);
    }
    match open_direct(at, options, &medium) {
        Err(StoreError::NeedsRecovery { .. } | StoreError::Damaged { .. }) if alone => {
            open_staged(at, &options.clone().check(Check::Always), medium, Locks::AsReader)
        }
        opened => opened,
    }
}

/// Opens a clean file for reading only.
fn open_direct(at: At<'_>, options: &OpenOptions, medium: &Medium) -> Result<Session, StoreError> {
    let seam = Seam::direct(Arc::clone(medium), false);
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_bytes).set_concurrency_mode(crate::options::mode(options.sharing));
    match contain(|| builder.open_read_only_with_backend(seam.clone())) {
        Ok(Ok(database)) => Ok(Session::new(Db::ReadOnly(database), seam)),
        Ok(Err(error)) => Err(at.redb(error)),
        Err(panic) => {
            let _ = seam.shut();
            Err(at.panicked(panic))
        }
    }
}

/// Verifies the pages of a file that was closed, and then opens it. `None`: the file was not closed, something is
/// wrong, or another process has written to it in between. An open with repairs then says what.
///
/// In this order, because redb walks the tree with its free pages while it opens a file, and in a tree that nobody has
/// verified, two branches may lead to the same page, so that the walk hardly ends. Every commit changes the header,
/// which has the checksums of the trees: if it is the same after both steps, then what was verified is what was opened.
fn open_verified(at: At<'_>, options: &OpenOptions, medium: &Medium) -> Option<Session> {
    let verified = header::bytes(&**medium).ok()?;
    if !Length::of(&**medium).is_ok_and(Length::is_closed) {
        return None;
    }
    if !Seam::staged(Arc::clone(medium), Locks::AsReader).is_ok_and(|seam| pages_match(&seam)) {
        return None;
    }
    let session = open_direct(at, options, medium).ok()?;
    if header::bytes(&**medium).is_ok_and(|opened| opened == verified) {
        return Some(session);
    }
    let seam = session.seam.clone();
    if contain(|| session.close()).is_err() {
        let _ = seam.shut();
    }
    None
}

/// Takes the lock of a reader over the whole file, until the medium is closed.
pub(crate) fn lock_as_reader(at: At<'_>, medium: &dyn StorageBackend) -> Result<(), StoreError> {
    let whole = (Bound::Unbounded, Bound::Unbounded);
    match insist(medium.try_lock_shared_range(whole.0, whole.1), whole.0, whole.1) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StoreError::Locked { location: at.path.into() }),
        Err(redb::BackendError::Io(error)) => Err(at.redb(redb::Error::Io(error))),
        Err(error) => Err(at.failed(Outcome::NotApplied, error.to_string())),
    }
}

/// Opens a damaged file to read what is left of it: the last commit, or with `before` the one before it.
fn open_lenient(at: At<'_>, options: &OpenOptions, medium: &Medium, before: bool) -> Result<Handle, StoreError> {
    // One lock for all reads: redb would take one per read, and leak it if the read panicked.
    lock_as_reader(at, &**medium)?;
    let view = lenient::view(&**medium, before).map_err(|error| at.failed(Outcome::NotApplied, error))?;
    let seam = Seam::lenient(Arc::clone(medium), view);
    let mut builder = Database::builder();
    // A reader in a shared mode needs neither the table of free pages nor the length of the file, and reads neither.
    builder.set_cache_size(options.cache_bytes).set_concurrency_mode(redb::ConcurrencyMode::SingleWriter);
    match contain(|| builder.open_read_only_with_backend(seam.clone())) {
        Ok(Ok(database)) => layout::recognise(at, options, Session::new(Db::ReadOnly(database), seam)),
        Ok(Err(error)) => match at.redb(error) {
            StoreError::NeedsRecovery { .. } => Err(at.damaged("its header is invalid")),
            error => Err(error),
        },
        Err(panic) => {
            let _ = seam.shut();
            Err(at.panicked(panic))
        }
    }
}
