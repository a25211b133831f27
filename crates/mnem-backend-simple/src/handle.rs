//! The state that a store and its side tables share, and the steps that every write consists of.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};

use mnem_store_traits::{Cause, Durability, Outcome, StoreError};
use mnem_store_traits::{backend::Gate, driver::PlaceLacks};

use crate::{
    OpenOptions,
    engine::medium::{Contents, Entry, FileSystem, Kind, Lock, LockMode, Metadata, SyncError, WholeSync},
    error::{BACKEND, at, damaged, failed},
    lacks,
    limits::{ABSENCE_PAUSES, LOCK_PAUSE, READINGS_MAX},
    tables::Paths,
};

/// Number of locks that keep two threads from syncing one folder at once; see [`Handle::sync_folder`].
const FOLDER_GATES: usize = 32;

/// One open handle.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) paths: Paths,
    /// The path with which it was opened. `paths` has the path with symbolic links resolved.
    pub(crate) path: PathBuf,
    /// Device and inode of its folder, if the system reports them.
    pub(crate) identity: Option<(u64, u64)>,
    /// Whether the handle is still usable.
    pub(crate) gate: Gate,
    pub(crate) lenient: bool,
    /// Whether other handles are kept from writing.
    pub(crate) exclusive: bool,
    pub(crate) durability: Durability,
    pub(crate) lock_wait: Duration,
    /// The number of new files, or of shards, from which a batch syncs the whole file system.
    pub(crate) whole_sync_from: usize,
    /// Serialises head changes of this handle, so that only one of its threads waits for the lock file.
    pub(crate) heads: Mutex<()>,
    /// Shards whose entry in `objects` this handle knows to be durable, because it synced `objects` after it had seen
    /// them. The store never removes a shard, so this stays true.
    pub(crate) linked_shards: Mutex<HashSet<PathBuf>>,
    /// Read-locked by every write while it runs, so that closing waits for it.
    writers: RwLock<()>,
    /// Held while a folder is synced, by the hash of its path.
    folder_gates: [Mutex<()>; FOLDER_GATES],
    /// The gate of the store's own folder, which is synced under the lock of the heads. No long operation may hold it.
    root_gate: Mutex<()>,
    /// Held while the whole file system is synced.
    whole_gate: Mutex<()>,
    /// The shared lock of `tmp`, while this handle may have unfinished files.
    tmp_lock: Mutex<Option<Box<dyn Lock>>>,
    /// Bytes of unfinished files that this handle removed when it was opened.
    pub(crate) cleared_bytes: AtomicU64,
    in_one_step: OnceLock<bool>,
    left_out: OnceLock<Vec<PathBuf>>,
}

/// Held for the duration of a write. Closing waits until it is dropped.
pub(crate) type Writing<'a> = RwLockReadGuard<'a, ()>;

// A panic cannot leave the state behind these mutexes half changed: each guards a set, or nothing at all.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Retries until something that must exist is found, or the pauses are used up.
fn retry_while_absent<T>(
    look: impl Fn() -> Result<T, StoreError>,
    is_absent: impl Fn(&T) -> bool,
) -> Result<T, StoreError> {
    let mut found = look()?;
    for pause in ABSENCE_PAUSES {
        if !is_absent(&found) {
            break;
        }
        thread::sleep(pause);
        found = look()?;
    }
    Ok(found)
}

impl Handle {
    pub(crate) fn new(
        fs: Arc<dyn FileSystem>,
        path: PathBuf,
        root: PathBuf,
        options: &OpenOptions,
    ) -> Result<Self, StoreError> {
        let identity = fs.identity(&root).map_err(at("look at", &root))?;
        Ok(Self {
            fs,
            identity,
            paths: Paths::new(root),
            path,
            gate: Gate::new(BACKEND, options.read_only),
            lenient: options.lenient,
            exclusive: options.exclusive,
            durability: options.durability,
            lock_wait: options.lock_wait,
            whole_sync_from: options.whole_sync_from,
            heads: Mutex::default(),
            linked_shards: Mutex::default(),
            writers: RwLock::default(),
            folder_gates: std::array::from_fn(|_| Mutex::default()),
            root_gate: Mutex::default(),
            whole_gate: Mutex::default(),
            tmp_lock: Mutex::default(),
            cleared_bytes: AtomicU64::default(),
            in_one_step: OnceLock::new(),
            left_out: OnceLock::new(),
        })
    }

    /// Every write begins here, and ends when the guard is dropped.
    pub(crate) fn begin_write(&self, operation: &'static str) -> Result<Writing<'_>, StoreError> {
        let writing = self.writers.read().unwrap_or_else(PoisonError::into_inner);
        self.gate.check_writable(operation)?;
        Ok(writing)
    }

    /// Waits for writes in progress, then refuses every later call.
    pub(crate) fn close(&self) {
        let _no_writers = self.writers.write().unwrap_or_else(PoisonError::into_inner);
        self.gate.close();
        drop(hold(&self.tmp_lock).take());
    }

    /// Keeps `tmp/.lock` until the handle is closed.
    pub(crate) fn keep_tmp_lock(&self, lock: Box<dyn Lock>) {
        *hold(&self.tmp_lock) = Some(lock);
    }

    pub(crate) fn has_tmp_lock(&self) -> bool {
        hold(&self.tmp_lock).is_some()
    }

    /// Takes the lock, retrying until `lock_wait` is over.
    pub(crate) fn lock(&self, file: &Path, mode: LockMode) -> Result<Box<dyn Lock>, StoreError> {
        let begin = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(file, mode)? {
                return Ok(lock);
            }
            if begin.elapsed() >= self.lock_wait {
                return Err(StoreError::Locked { location: (&self.path).into() });
            }
            thread::sleep(LOCK_PAUSE);
        }
    }

    pub(crate) fn try_lock(&self, file: &Path, mode: LockMode) -> Result<Option<Box<dyn Lock>>, StoreError> {
        // Opening it would follow a symbolic link and create a file elsewhere.
        if self.metadata(file)?.is_some_and(|found| found.kind != Kind::File) {
            return Err(damaged(file, "the lock is not a regular file"));
        }
        self.fs.lock(file, mode).map_err(|error| {
            if lacks::has_no_locks(&error) {
                // Only locks keep its writers apart.
                at("lock", file)(PlaceLacks::Locks { can_do_without: false, source: Some(error) })
            } else {
                at("lock", file)(error)
            }
        })
    }

    pub(crate) fn metadata(&self, path: &Path) -> Result<Option<Metadata>, StoreError> {
        self.fs.metadata(path).map_err(at("look at", path))
    }

    /// As [`metadata`](Self::metadata), for many names in one folder.
    pub(crate) fn metadata_in(&self, folder: &Path, names: &[String]) -> Result<Vec<Option<Metadata>>, StoreError> {
        self.fs.metadata_in(folder, names).map_err(at("look into", folder))
    }

    pub(crate) fn read(&self, path: &Path, bytes_max: u64) -> Result<Contents, StoreError> {
        self.fs.read(path, bytes_max).map_err(at("read", path))
    }

    /// As [`read`](Self::read), for a file that must exist: if it is missing, retries a few times. Where a rename takes
    /// several steps, the name is gone for a moment while another process replaces the file.
    pub(crate) fn read_required(&self, path: &Path, bytes_max: u64) -> Result<Contents, StoreError> {
        retry_while_absent(|| self.read(path, bytes_max), |found| *found == Contents::Absent)
    }

    /// As [`read`](Self::read), for a file that may be absent, and that other processes replace.
    pub(crate) fn read_replaceable(&self, path: &Path, bytes_max: u64) -> Result<Contents, StoreError> {
        match self.read(path, bytes_max)? {
            Contents::Absent if !self.replaces_in_one_step() => self.read_required(path, bytes_max),
            found => Ok(found),
        }
    }

    /// As [`metadata`](Self::metadata), for a file that must exist.
    pub(crate) fn metadata_required(&self, path: &Path) -> Result<Option<Metadata>, StoreError> {
        retry_while_absent(|| self.metadata(path), Option::is_none)
    }

    /// Whether a file is never missing while another replaces it.
    pub(crate) fn replaces_in_one_step(&self) -> bool {
        *self.in_one_step.get_or_init(|| self.fs.replaces_in_one_step(self.paths.root()))
    }

    /// Whether the folder exists. Anything else of that name, such as a symbolic link to a folder, is damage, because
    /// it could lead out of the store.
    pub(crate) fn is_folder(&self, path: &Path) -> Result<bool, StoreError> {
        match self.metadata(path)? {
            None => Ok(false),
            Some(found) if found.kind == Kind::Folder => Ok(true),
            Some(_) => Err(damaged(path, "a folder of the store is a file, a symbolic link or something else")),
        }
    }

    /// Fails unless the folder exists, which must be one that every store has, or was left out when this handle was
    /// opened.
    pub(crate) fn require_folder(&self, path: &Path) -> Result<(), StoreError> {
        if self.is_folder(path)? || self.is_left_out(path)? {
            Ok(())
        } else {
            Err(damaged(path, "a folder of the store is missing"))
        }
    }

    /// For a read-only handle: records the folders that were absent when it was opened, and that it treats as empty.
    pub(crate) fn may_lack(&self, folders: Vec<PathBuf>) {
        // Set once, because a handle is opened once.
        let _ = self.left_out.set(folders);
    }

    /// The store itself must still exist: a store that vanished is not empty.
    fn is_left_out(&self, path: &Path) -> Result<bool, StoreError> {
        let is_left_out = self.left_out.get().is_some_and(|folders| folders.iter().any(|folder| folder == path));
        Ok(is_left_out && self.metadata_required(&self.paths.op_heads())?.is_some())
    }

    /// Whether `inner`, a folder inside `outer`, exists. `outer` must exist, so that a store that vanished is not taken
    /// for an empty one.
    pub(crate) fn is_folder_in(&self, outer: &Path, inner: &Path) -> Result<bool, StoreError> {
        if self.is_folder(inner)? {
            return Ok(true);
        }
        self.require_folder(outer)?;
        Ok(false)
    }

    /// Creates the folder unless it exists.
    pub(crate) fn make_folder(&self, path: &Path) -> Result<(), StoreError> {
        let created = self.fs.create_folder(path).map_err(at("create folder", path))?;
        if created { Ok(()) } else { self.require_folder(path) }
    }

    pub(crate) fn for_each_entry(
        &self,
        folder: &Path,
        mut each: impl FnMut(Entry) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(entries) = self.fs.list(folder).map_err(at("list", folder))? else { return Ok(()) };
        for entry in entries {
            each(entry.map_err(at("list", folder))?)?;
        }
        Ok(())
    }

    /// The entries of a folder, mapped and filtered by `pick`.
    ///
    /// POSIX promises that one reading finds every entry that is neither added nor removed meanwhile, but file systems
    /// have been seen to miss some while others come and go or are replaced. So the folder is read again until a
    /// reading finds nothing new, and the result is the union of all readings.
    pub(crate) fn names<T: Ord>(
        &self,
        folder: &Path,
        mut pick: impl FnMut(&Entry) -> Option<T>,
    ) -> Result<BTreeSet<T>, StoreError> {
        let mut names = BTreeSet::new();
        for reading in 0..READINGS_MAX {
            let before = names.len();
            self.for_each_entry(folder, |entry| {
                names.extend(pick(&entry));
                Ok(())
            })?;
            if reading > 0 && names.len() == before {
                break;
            }
        }
        Ok(names)
    }

    /// Whether a folder has such an entry. Stops at the first match. Returns `false` only after reading to the end
    /// twice, for the reason given at [`names`](Self::names).
    pub(crate) fn has_entry(&self, folder: &Path, is: impl Fn(&Entry) -> bool) -> Result<bool, StoreError> {
        for _ in 0..2 {
            let Some(entries) = self.fs.list(folder).map_err(at("list", folder))? else { return Ok(false) };
            for entry in entries {
                if is(&entry.map_err(at("list", folder))?) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Makes the entries of a folder durable, unless the store was opened with weaker durability.
    pub(crate) fn sync_folder(&self, folder: &Path, outcome: Outcome) -> Result<(), StoreError> {
        if self.durability < Durability::Power { Ok(()) } else { self.sync_folder_always(folder, outcome) }
    }

    /// Makes the entries of a folder durable. A failure poisons the handle. A handle opened with weaker durability
    /// tolerates a file system that cannot sync folders.
    ///
    /// The system reports a failed sync once: a second sync of the same folder would succeed and prove nothing. So
    /// while one thread syncs a folder, other threads that need that sync wait, and then check for its failure instead
    /// of trying themselves.
    pub(crate) fn sync_folder_always(&self, folder: &Path, outcome: Outcome) -> Result<(), StoreError> {
        let _alone = hold(self.gate(folder));
        self.check_unsynced(folder, outcome)?;
        match self.fs.sync_folder(folder) {
            Err(error) if self.durability < Durability::Power && lacks::cannot_sync_folders(&error) => Ok(()),
            Err(SyncError::Failed(error)) if lacks::is_without_folder_sync(&error) => self
                .poison_on_error(Err(failed("sync folder", folder, outcome)(PlaceLacks::FolderSync { source: error }))),
            synced => self.synced(synced, folder, outcome),
        }
    }

    fn gate(&self, folder: &Path) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        let gate = self.folder_gates.get(hasher.finish() as usize % FOLDER_GATES);
        gate.filter(|_| folder != self.paths.root()).unwrap_or(&self.root_gate)
    }

    /// Fails if a sync failed while this one waited.
    fn check_unsynced(&self, path: &Path, outcome: Outcome) -> Result<(), StoreError> {
        let Some(source) = self.gate.poisoned() else { return Ok(()) };
        let operation = format!("sync {}", path.display());
        Err(StoreError::Backend { backend: BACKEND, operation, outcome, source: source.clone() })
    }

    /// For a batch that needs this many syncs: a sync of the whole file system, if that is possible and pays.
    pub(crate) fn whole_sync(&self, syncs: usize) -> Option<Box<dyn WholeSync>> {
        let pays = self.durability >= Durability::Power && syncs >= self.whole_sync_from;
        if pays { self.fs.whole(self.paths.root()) } else { None }
    }

    /// Syncs the whole file system. A failure poisons the handle. Blocks threads that want to sync a folder, as
    /// [`sync_folder_always`](Self::sync_folder_always) does and for the same reason. Threads that sync the store's own
    /// folder are not blocked; they call [`after_whole_sync`](Self::after_whole_sync) instead.
    pub(crate) fn sync_whole(&self, whole: &mut dyn WholeSync, outcome: Outcome) -> Result<(), StoreError> {
        let _whole = hold(&self.whole_gate);
        let _alone: Vec<_> = self.folder_gates.iter().map(hold).collect();
        self.check_unsynced(self.paths.root(), outcome)?;
        self.synced(whole.sync().map_err(SyncError::Failed), self.paths.root(), outcome)
    }

    /// To be called after a sync of the store's own folder, once the lock of the heads is released. Waits for a sync of
    /// the whole file system that another thread has begun meanwhile, and fails if that has failed. The system may have
    /// reported a failure that also concerns this caller only to that thread.
    pub(crate) fn after_whole_sync(&self, outcome: Outcome) -> Result<(), StoreError> {
        if self.durability < Durability::Power {
            return Ok(());
        }
        drop(hold(&self.whole_gate));
        self.check_unsynced(self.paths.root(), outcome)
    }

    /// Makes the bytes of a file that another handle wrote durable. A failed sync poisons the handle.
    pub(crate) fn sync_file(&self, file: &Path) -> Result<(), StoreError> {
        self.synced(self.fs.sync_file(file), file, Outcome::NotApplied)
    }

    /// Turns the result of a sync into an error of the store. Only a sync that was tried poisons the handle.
    fn synced(&self, synced: Result<(), SyncError>, path: &Path, outcome: Outcome) -> Result<(), StoreError> {
        match synced {
            Ok(()) => Ok(()),
            Err(SyncError::NotOpened(error)) => Err(failed("open for a sync", path, outcome)(error)),
            Err(SyncError::Failed(error)) => self.poison_on_error(Err(failed("sync", path, outcome)(error))),
        }
    }

    /// Returns the result of a sync, and poisons the handle if it failed.
    pub(crate) fn poison_on_error(&self, synced: Result<(), StoreError>) -> Result<(), StoreError> {
        synced.inspect_err(|error| {
            tracing::error!(store = %self.path.display(), %error, "a sync failed: this handle refuses further writes");
            // The first of two failures wins.
            self.gate.poison(Cause::new(error.clone()));
        })
    }
}
