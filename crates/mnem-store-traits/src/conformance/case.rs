//! What a law works on: one place, and the store open in it.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use cid::Cid;

use super::{
    Claim, Failure, Fault, FixtureError, Handles, Profile,
    failure::{LawResult, Stop},
    fixture::{AnyFixture, AnyPlace, BlockIter},
    random::Seeds,
};
use crate::{
    Blockstore, OpHeadsStore, Store,
    driver::{Driver, Location},
};

/// A fresh store for one law. Dropped in this order: handles, then place.
pub(crate) struct Case {
    handles: Option<Handles>,
    place: Box<dyn AnyPlace>,
    fixture: Arc<dyn AnyFixture>,
    seeds: Seeds,
}

impl Case {
    pub(crate) fn new(fixture: Arc<dyn AnyFixture>, seeds: Seeds) -> Result<Self, Failure> {
        let place = set_up("Fixture::create()", fixture.create())?;
        let handles = Some(set_up("Fixture::open() of a new place", place.open())?);
        Ok(Self { handles, place, fixture, seeds })
    }

    /// Asks a question of a fresh store. Like a law, it runs in a thread with a deadline, so that neither a panic nor a
    /// deadlock reaches the caller. Returns `None` if there is no answer.
    pub(crate) fn ask<T: Send + 'static>(
        fixture: Arc<dyn AnyFixture>,
        seeds: Seeds,
        question: fn(&Self) -> T,
    ) -> Option<T> {
        let deadline = fixture.deadline();
        let (send, answer) = mpsc::channel();
        let asking = thread::Builder::new().spawn(move || {
            if let Ok(case) = Self::new(fixture, seeds) {
                // After the deadline nobody listens any more.
                let _ = send.send(question(&case));
            }
        });
        let asking = asking.ok()?;
        let answer = answer.recv_timeout(deadline).ok()?;
        // Wait for the thread, so that the place is cleaned up before the answer is returned.
        let _ = asking.join();
        Some(answer)
    }

    pub(crate) fn has(&self, profile: Profile) -> bool {
        let handles = self.handles();
        match profile {
            Profile::Blocks => handles.as_blocks().is_some(),
            Profile::Heads => handles.as_heads().is_some(),
            Profile::Store => handles.as_store().is_some(),
            Profile::Limits => handles
                .as_blocks()
                .is_some_and(|blocks| blocks.capabilities().block_bytes_max <= self.fixture.block_bytes_tried()),
            Profile::SideTables => handles.as_store().is_some_and(|store| store.capabilities().side_tables),
            declared => declared.is_among(self.fixture.profiles()),
        }
    }

    /// Whether this platform can allocate so many bytes in one piece.
    pub(crate) fn affords(&self, bytes: usize) -> bool {
        self.fixture.block_bytes_tried() >= bytes as u64
    }

    pub(crate) fn claims(&self, claim: Claim) -> bool {
        claim.is_made_by(self.handles())
    }

    /// The handles that are open now.
    ///
    /// They are absent only after a failed [`reopen`](Self::reopen), which ends the law.
    pub(crate) fn handles(&self) -> &Handles {
        self.handles.as_ref().expect("a law ends when its store cannot be reopened")
    }

    pub(crate) fn blocks(&self) -> Result<Arc<dyn Blockstore>, Failure> {
        offered(self.handles().as_blocks(), Profile::Blocks)
    }

    pub(crate) fn heads(&self) -> Result<Arc<dyn OpHeadsStore>, Failure> {
        offered(self.handles().as_heads(), Profile::Heads)
    }

    pub(crate) fn store(&self) -> Result<Arc<dyn Store>, Failure> {
        offered(self.handles().as_store(), Profile::Store)
    }

    /// Closes the store, drops it, and opens it again. The law must have dropped all its own handles.
    pub(crate) fn reopen(&mut self) -> Result<(), Failure> {
        self.close()?;
        self.drop_and_open()
    }

    fn close(&self) -> Result<(), Failure> {
        match self.handles().as_store() {
            Some(store) => super::expect::saw("close()", store.close()).ok(),
            None => Ok(()),
        }
    }

    /// Drops the store without closing it, and opens it again.
    pub(crate) fn drop_and_open(&mut self) -> Result<(), Failure> {
        self.handles = None;
        self.handles = Some(set_up("Fixture::open() of a place that was open before", self.place.open())?);
        Ok(())
    }

    /// Drops the store and opens it again while the medium has this fault. Returns `false` if the opening failed; the
    /// store is then open on a sound medium.
    pub(crate) fn open_under(&mut self, fault: Fault) -> Result<bool, Failure> {
        self.handles = None;
        self.set_fault(Some(fault))?;
        self.handles = self.place.open().ok();
        if self.handles.is_some() {
            return Ok(true);
        }
        self.set_fault(None)?;
        self.drop_and_open()?;
        Ok(false)
    }

    /// Drops the store and opens it again, cutting the power after so many operations of the opening. Returns `false`
    /// if the opening failed; the store is then not open.
    pub(crate) fn open_with_a_cut(&mut self, operations: u64) -> Result<bool, Failure> {
        self.handles = None;
        set_up("Fixture::cut_power_while_opening()", self.place.cut_power_while_opening(operations))?;
        self.handles = self.place.open().ok();
        Ok(self.handles.is_some())
    }

    /// Drops the store and opens it on a medium without locks and with this fault; then opens it on a sound medium.
    /// Returns the result of the first opening.
    pub(crate) fn open_without_locks(&mut self, fault: Option<Fault>) -> Result<Result<(), FixtureError>, Failure> {
        self.handles = None;
        set_up("Fixture::set_locks()", self.place.set_locks(false))?;
        self.set_fault(fault)?;
        let opened = self.place.open().map(drop);
        self.set_fault(None)?;
        set_up("Fixture::set_locks()", self.place.set_locks(true))?;
        self.drop_and_open()?;
        Ok(opened)
    }

    /// A new place, in which no store has been opened yet.
    pub(crate) fn unopened(&self) -> Result<Self, Failure> {
        let place = set_up("Fixture::create()", self.fixture.create())?;
        Ok(Self { handles: None, place, fixture: Arc::clone(&self.fixture), seeds: self.seeds })
    }

    /// Opens the store a second time, while the first handles are open.
    pub(crate) fn second(&self) -> Result<Handles, Failure> {
        set_up("Fixture::open() while the store is open", self.place.open())
    }

    /// Opens the store a second time for reading.
    pub(crate) fn reader(&self) -> Result<Handles, Failure> {
        set_up("Fixture::open_reader() while the store is open", self.place.open_reader())
    }

    /// Declines a law about syncs if the medium has none.
    pub(crate) fn must_have_syncs(&self) -> LawResult {
        let none = || Stop::Declined("the fixture says that its medium has no syncs that could fail".into());
        self.fixture.has_syncs().then_some(()).ok_or_else(none)
    }

    /// A new place with a store of its own.
    pub(crate) fn fresh(&self) -> Result<Self, Failure> {
        Self::new(Arc::clone(&self.fixture), self.seeds)
    }

    /// The answer of a second process to the script.
    pub(crate) fn obey_in_second_process(&self, script: &str) -> Result<String, Failure> {
        set_up("Fixture::obey_in_second_process()", self.place.obey_in_second_process(script))
    }

    /// Closes the store, replaces the stored bytes of `cid` by `data`, and opens it again. The law must have dropped
    /// all its own handles.
    pub(crate) fn damage(&mut self, cid: &Cid, data: &[u8]) -> Result<(), Failure> {
        self.close()?;
        self.handles = None;
        set_up("Fixture::damage()", self.place.damage(cid, data))?;
        self.handles = Some(set_up("Fixture::open() of a place with a damaged block", self.place.open())?);
        Ok(())
    }

    /// Makes the medium fail in this way, or repairs it (`None`).
    pub(crate) fn set_fault(&self, fault: Option<Fault>) -> Result<(), Failure> {
        set_up("Fixture::set_fault()", self.place.set_fault(fault))
    }

    /// Cuts the power after so many changes of the medium. [`drop_and_open`](Self::drop_and_open) restores the power.
    pub(crate) fn cut_power_after(&self, operations: u64) -> Result<(), Failure> {
        set_up("Fixture::cut_power_after()", self.place.cut_power_after(operations))
    }

    /// A new, empty place for the driver.
    pub(crate) fn driver(&self) -> Result<DriverCase, Failure> {
        let place = set_up("Fixture::create()", self.fixture.create())?;
        let (driver, location) = set_up("Fixture::driver()", place.driver())?;
        Ok(DriverCase { driver, location, _place: place })
    }

    pub(crate) fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        self.fixture.walk(store, root)
    }

    /// The seeds of randomized laws. A slow store gets only one unless the environment asks for more.
    pub(crate) fn seeds(&self) -> Seeds {
        if self.is_slow() { self.seeds.fewest() } else { self.seeds }
    }

    /// Scales down a number of blocks, rows or heads to what a slow store can take within ten seconds. Never below 300,
    /// which is more than a page.
    pub(crate) fn in_time(&self, n: usize) -> usize {
        within(Duration::from_secs(10), self.fixture.latency_hint(), 300, n)
    }

    /// Scales down a number of blocks that are rewritten again and again to what the store can take within a twentieth
    /// of a second. Never below 40.
    pub(crate) fn in_short(&self, n: usize) -> usize {
        within(Duration::from_millis(50), self.fixture.latency_hint(), 40, n)
    }

    /// Whether the store is too slow for repetitions.
    pub(crate) fn is_slow(&self) -> bool {
        self.fixture.latency_hint() >= SLOW
    }

    /// How long a law may spend on optional work: well within the deadline, and no longer for a slow store.
    pub(crate) fn spare(&self) -> Duration {
        self.patience().min(Duration::from_secs(30))
    }

    /// How long a law waits for another thread before it reports that the thread is stuck: well within the deadline.
    pub(crate) fn patience(&self) -> Duration {
        self.fixture.deadline() / 2
    }
}

/// Batch sizes, in blocks, on both sides of common limits: buffers, pages, and the variables of one SQL statement.
pub(crate) const BATCHES: [usize; 5] = [1, 31, 32, 255, 256];

/// How long a store takes for one item of many. Slow stores get fewer items.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pace(Duration);

impl Pace {
    /// Measures the pace of `work`, which handles `n` items.
    pub(crate) fn of(n: usize, work: impl FnOnce() -> Result<(), Failure>) -> Result<Self, Failure> {
        let begin = Instant::now();
        work()?;
        Ok(Self(begin.elapsed() / n as u32))
    }

    /// The number of items that fit into `time`: at most `wanted`, and at least the largest batch that was timed.
    pub(crate) fn items_within(self, time: Duration, wanted: usize) -> usize {
        let items = time.as_nanos() / self.0.as_nanos().max(1);
        usize::try_from(items).unwrap_or(wanted).clamp(BATCHES[BATCHES.len() - 1], wanted)
    }
}

/// A store whose calls take this long is slow: it is spared repetitions.
pub(crate) const SLOW: Duration = Duration::from_millis(2);

fn within(time: Duration, latency: Duration, least: usize, n: usize) -> usize {
    let calls = time.as_micros() / latency.as_micros().max(1);
    usize::try_from(calls).unwrap_or(n).max(least).min(n)
}

/// An empty place for a driver.
pub(crate) struct DriverCase {
    pub(crate) driver: &'static dyn Driver,
    pub(crate) location: Location,
    _place: Box<dyn AnyPlace>,
}

/// The files and folders around a store. Holds the bytes of each file and the target of each symbolic link; folders
/// have no content.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl Snapshot {
    /// The first entry that is missing from `after` or differs there.
    pub(crate) fn changed_in(&self, after: &Self) -> Option<PathBuf> {
        self.0.iter().find(|(path, was)| after.0.get(*path) != Some(*was)).map(|(path, _)| path.clone())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
        f.debug_map().entries(self.0.iter().map(|(path, bytes)| (path, length(bytes)))).finish()
    }
}

impl DriverCase {
    /// The content of the folder that holds the store; empty if the store has no path.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Failure> {
        let mut found = BTreeMap::new();
        let folder = self.location.as_path().and_then(Path::parent);
        let looked = folder.map_or(Ok(()), |folder| look_through(folder, &mut found));
        set_up("looking at the folder of a store", looked.map_err(Into::into)).map(|()| Snapshot(found))
    }

    pub(crate) fn read(&self, file: &Path) -> Result<Vec<u8>, Failure> {
        set_up("reading the file of a store", fs::read(file).map_err(Into::into))
    }

    pub(crate) fn write(&self, file: &Path, bytes: &[u8]) -> Result<(), Failure> {
        set_up("writing the file of a store", fs::write(file, bytes).map_err(Into::into))
    }
}

fn look_through(folder: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        let kind = entry?;
        let content = if kind.is_file() {
            Some(fs::read(&path)?)
        } else if kind.is_symlink() {
            Some(fs::read_link(&path)?.as_os_str().as_encoded_bytes().to_vec())
        } else {
            None
        };
        if kind.is_dir() {
            look_through(&path, found)?;
        }
        found.insert(path, content);
    }
    Ok(())
}

pub(crate) fn offered<T: ?Sized>(handle: Option<&Arc<T>>, profile: Profile) -> Result<Arc<T>, Failure> {
    handle.cloned().ok_or_else(|| {
        Failure::new("opened the store", format_args!("the same traits at each opening, {profile} among them"), "none")
    })
}

fn set_up<T>(did: &str, result: Result<T, FixtureError>) -> Result<T, Failure> {
    result.map_err(|error| Failure::new(did, "Ok", super::show::error_text(&*error)))
}
