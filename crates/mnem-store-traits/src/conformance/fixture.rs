//! The fixture that a backend's author writes: how to open a store, and what else the suite can do with it.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use cid::Cid;

use super::{MemoryDisk, MemoryNetwork, Profile, patient::patient};
use crate::{
    Blockstore, OpHeadsStore, Store, StoreError, Walk,
    driver::{Driver, Location},
};

/// Any error of a fixture; every error type converts with `?`.
pub type FixtureError = Box<dyn Error + Send + Sync>;

/// What [`Fixture::walk`] returns.
pub type BlockIter<'a> = Box<dyn Iterator<Item = Result<(Cid, Bytes), StoreError>> + 'a>;

/// Tells the suite how to open stores of a backend.
///
/// Laws run in parallel, so each one gets a place of its own, which is empty and shares nothing with other places.
pub trait Fixture: Send + Sync + 'static {
    /// The place of one store: a temporary folder, the name of a database, or the store itself if it lives in memory.
    /// Dropping the place cleans up.
    type Place: Send + Sync + 'static;

    /// The name of the backend, for messages.
    fn name(&self) -> &str;

    /// Makes a new place, with no store or an empty one in it.
    ///
    /// # Errors
    /// Any error makes the law fail: a backend that cannot be set up has proved nothing.
    fn create(&self) -> Result<Self::Place, FixtureError>;

    /// Opens the store in this place. The suite calls this
    ///
    /// - once for every law;
    /// - again after the first handles were closed and dropped, if the fixture lists [`Profile::Persistence`];
    /// - again while the first handles are in use, if the fixture lists [`Profile::SecondHandle`].
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn open(&self, place: &Self::Place) -> Result<Handles, FixtureError>;

    /// Hook of [`Profile::SecondReader`]: opens the store again for reading, while other handles are open. The default
    /// calls [`open`](Self::open). Override it if a store allows only one writer at a time.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn open_reader(&self, place: &Self::Place) -> Result<Handles, FixtureError> {
        self.open(place)
    }

    /// Whether the medium has a sync operation that can fail on its own. A store on a network may have none: every
    /// acknowledged request is durable. Laws about failed syncs are then declined.
    fn has_syncs(&self) -> bool {
        true
    }

    /// Whether a call may fail with [`Locked`](StoreError::Locked) while another handle or thread writes. The suite
    /// then repeats such calls for up to half of the deadline.
    fn may_be_locked(&self) -> bool {
        false
    }

    /// The in-memory disk below the store of this place, if the backend runs on one. The default hooks of the profiles
    /// damage, faults, crash and locks use it.
    fn disk<'a>(&self, place: &'a Self::Place) -> Option<&'a MemoryDisk> {
        let _ = place;
        None
    }

    /// The in-memory network below the store of this place, if the backend runs on one. The default hook of the
    /// profiles faults and network uses it.
    fn network<'a>(&self, place: &'a Self::Place) -> Option<&'a MemoryNetwork> {
        let _ = place;
        None
    }

    /// The profiles that the suite cannot detect from the handles: [`Profile::Persistence`], [`Profile::SecondHandle`],
    /// and each profile with a hook below.
    fn profiles(&self) -> &[Profile] {
        &[]
    }

    /// Hook of [`Profile::SecondProcess`]: opens the store in another process while the handles in this process are
    /// open, passes `script` to [`obey`](super::obey) there, and returns the result of that call.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn obey_in_second_process(&self, place: &Self::Place, script: &str) -> Result<String, FixtureError> {
        let _ = (place, script);
        Err(no_hook("obey_in_second_process"))
    }

    /// Hook of [`Profile::Damage`]: replaces the stored bytes of `cid` by `data` without using the store, as a faulty
    /// disk or a stray program would. The store contains the block, and no handle is open.
    ///
    /// The default searches the [`disk`](Self::disk) for the bytes of the block and overwrites them.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn damage(&self, place: &Self::Place, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        let disk = self.disk(place).ok_or_else(|| no_hook("damage"))?;
        let handles = self.open(place)?;
        let blocks = handles.as_blocks().ok_or("the handles have no blocks")?;
        let old = match blocks.get(cid) {
            Err(StoreError::Corrupt { .. }) => None,
            found => Some(found?.ok_or("the block to damage is not there")?),
        };
        if let Some(store) = handles.as_store() {
            store.close()?;
        }
        drop(handles);
        let found = disk.damage(cid, old.as_deref(), data);
        found
            .then_some(())
            .ok_or_else(|| "the disk does not hold the bytes of the block as they are: write damage()".into())
    }

    /// Hook of [`Profile::Faults`] and [`Profile::Network`]: from now on the medium fails in this way, for open handles
    /// and for those opened later. `None` repairs the medium.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn set_fault(&self, place: &Self::Place, fault: Option<Fault>) -> Result<(), FixtureError> {
        match (self.disk(place), self.network(place)) {
            (Some(disk), _) => disk.set_fault(fault),
            (None, Some(network)) => network.set_fault(fault),
            (None, None) => return Err(no_hook("set_fault")),
        }
        Ok(())
    }

    /// Hook of [`Profile::Crash`]: cuts the power after `operations` more operations of the open handles that change
    /// the medium (writes, syncs, renames, …). Every later operation fails.
    ///
    /// The next [`open`](Self::open) restores the power. The medium then holds everything that was synced, and of the
    /// unsynced changes any part that the fixture chooses.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn cut_power_after(&self, place: &Self::Place, operations: u64) -> Result<(), FixtureError> {
        let disk = self.disk(place).ok_or_else(|| no_hook("cut_power_after"))?;
        disk.cut_power_after(operations);
        Ok(())
    }

    /// Hook of [`Profile::Crash`]: cuts the power after `operations` operations that change the medium, counted from
    /// the start of the next [`open`](Self::open) and continued by the handles that it returns. The `open` after that
    /// restores the power.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn cut_power_while_opening(&self, place: &Self::Place, operations: u64) -> Result<(), FixtureError> {
        let disk = self.disk(place).ok_or_else(|| no_hook("cut_power_while_opening"))?;
        disk.cut_power_while_opening(operations);
        Ok(())
    }

    /// Hook of [`Profile::Locks`]: enables or disables the locks of the medium. While they are disabled, every attempt
    /// to lock fails, for example with `ENOSYS`.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn set_locks(&self, place: &Self::Place, has_locks: bool) -> Result<(), FixtureError> {
        let disk = self.disk(place).ok_or_else(|| no_hook("set_locks"))?;
        disk.set_locks(has_locks);
        Ok(())
    }

    /// Hook of [`Profile::Driver`]: the driver of these stores, and the location of the store in this place. The laws
    /// open and probe stores through the driver, in places of their own.
    ///
    /// # Errors
    /// Any error makes the law fail.
    fn driver(&self, place: &Self::Place) -> Result<(&'static dyn Driver, Location), FixtureError> {
        let _ = place;
        Err(no_hook("driver"))
    }

    /// The largest block, in bytes, that this platform can allocate. The laws of [`Profile::Limits`] make a block of
    /// `block_bytes_max` bytes and a larger one, with a few copies of each in memory. If the limit of the store is
    /// higher than this value, the store does not have that profile.
    fn block_bytes_tried(&self) -> u64 {
        256 * 1024 * 1024
    }

    /// Roughly how long a call takes that reaches the medium of the store: for example 20 ms for a remote one. A higher
    /// value extends the deadline, and laws about many blocks use fewer of them.
    fn latency_hint(&self) -> Duration {
        Duration::ZERO
    }

    /// How many laws [`run`](super::run) executes at once. More than one helps a store that mostly waits, such as one
    /// on a network. Laws about races still run alone, unless the store is slow.
    fn parallel(&self) -> usize {
        1
    }

    /// How long one law may take, in addition to the time that [`latency_hint`](Self::latency_hint) allows. A law that
    /// takes longer fails; its thread keeps running, because a deadlock cannot be interrupted.
    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Iterates over the blocks reachable from `root`. Override it to test your own graph walk with the laws of
    /// [`Walk`].
    fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        Box::new(Walk::new(store, root))
    }
}

/// A way in which a medium fails, for [`Fixture::set_fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Every read of the medium is an I/O error.
    Reads,
    /// This many reads succeed; every later one is an I/O error. Writes and syncs succeed.
    ReadsAfter(u32),
    /// This many writes succeed; every later one is an I/O error. Syncs and reads succeed. Every operation that adds,
    /// changes, renames or removes something is a write.
    WritesAfter(u32),
    /// This many syncs succeed; every later one is an I/O error, and the data to be synced may be lost. Writes and
    /// reads succeed.
    SyncsAfter(u32),
    /// Syncs wait until the fault changes and then succeed. Writes and reads succeed at once.
    SyncsWait,
    /// This many network requests are answered; the next one is carried out but its answer is lost. Later ones are
    /// answered.
    AnswerLost(u32),
    /// This many network requests are answered; the next one is refused, as by a busy service. Later ones are answered.
    RequestRefused(u32),
    /// This many network writes are answered; the next one is refused as if another writer had come first, although
    /// none did. Later ones are answered.
    FalseConflict(u32),
}

fn no_hook(hook: &str) -> FixtureError {
    format!("the fixture declares a profile and does not implement its hook {hook}()").into()
}

/// The traits that one open store offers. The suite tests only these.
#[derive(Clone)]
pub struct Handles {
    blocks: Option<Arc<dyn Blockstore>>,
    heads: Option<Arc<dyn OpHeadsStore>>,
    store: Option<Arc<dyn Store>>,
}

impl Handles {
    /// A whole store. `Handles::from(Arc::new(store))` is equivalent.
    pub fn store(store: Arc<dyn Store>) -> Self {
        Self { blocks: Some(Arc::clone(&store) as _), heads: Some(Arc::clone(&store) as _), store: Some(store) }
    }

    /// Blocks without heads.
    pub fn blocks(blocks: Arc<dyn Blockstore>) -> Self {
        Self { blocks: Some(blocks), heads: None, store: None }
    }

    /// Heads without blocks.
    pub fn heads(heads: Arc<dyn OpHeadsStore>) -> Self {
        Self { blocks: None, heads: Some(heads), store: None }
    }

    /// Blocks and heads as two separate objects, without a commit across both.
    pub fn blocks_and_heads(blocks: Arc<dyn Blockstore>, heads: Arc<dyn OpHeadsStore>) -> Self {
        Self { blocks: Some(blocks), heads: Some(heads), store: None }
    }

    /// Replaces each part, for handles without a whole store.
    pub(crate) fn map(
        self,
        blocks: impl FnOnce(Arc<dyn Blockstore>) -> Arc<dyn Blockstore>,
        heads: impl FnOnce(Arc<dyn OpHeadsStore>) -> Arc<dyn OpHeadsStore>,
    ) -> Self {
        Self { blocks: self.blocks.map(blocks), heads: self.heads.map(heads), store: None }
    }

    pub(crate) fn as_blocks(&self) -> Option<&Arc<dyn Blockstore>> {
        self.blocks.as_ref()
    }

    pub(crate) fn as_heads(&self) -> Option<&Arc<dyn OpHeadsStore>> {
        self.heads.as_ref()
    }

    pub(crate) fn as_store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }
}

impl<S: Store + 'static> From<Arc<S>> for Handles {
    fn from(store: Arc<S>) -> Self {
        Self::store(store)
    }
}

impl From<Arc<dyn Store>> for Handles {
    fn from(store: Arc<dyn Store>) -> Self {
        Self::store(store)
    }
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles")
            .field("blocks", &self.blocks.is_some())
            .field("heads", &self.heads.is_some())
            .field("store", &self.store.is_some())
            .finish()
    }
}

/// A fixture whose places are opaque, so that laws need no type parameter.
pub(crate) trait AnyFixture: Send + Sync {
    fn name(&self) -> &str;
    fn profiles(&self) -> &[Profile];
    fn deadline(&self) -> Duration;
    fn latency_hint(&self) -> Duration;
    fn parallel(&self) -> usize;
    fn block_bytes_tried(&self) -> u64;
    fn has_syncs(&self) -> bool;
    fn create(&self) -> Result<Box<dyn AnyPlace>, FixtureError>;
    fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a>;
}

/// A place together with the fixture that can open it.
pub(crate) trait AnyPlace: Send + Sync {
    fn open(&self) -> Result<Handles, FixtureError>;
    fn open_reader(&self) -> Result<Handles, FixtureError>;
    fn obey_in_second_process(&self, script: &str) -> Result<String, FixtureError>;
    fn damage(&self, cid: &Cid, data: &[u8]) -> Result<(), FixtureError>;
    fn set_fault(&self, fault: Option<Fault>) -> Result<(), FixtureError>;
    fn cut_power_after(&self, operations: u64) -> Result<(), FixtureError>;
    fn cut_power_while_opening(&self, operations: u64) -> Result<(), FixtureError>;
    fn set_locks(&self, has_locks: bool) -> Result<(), FixtureError>;
    fn driver(&self) -> Result<(&'static dyn Driver, Location), FixtureError>;
}

pub(crate) struct Erased<F>(pub(crate) Arc<F>);

/// The number of calls that a law may make, each as slow as the fixture's `latency_hint`.
const CALLS_OF_A_LAW: u32 = 20_000;

struct PlaceOf<F: Fixture> {
    fixture: Arc<F>,
    place: F::Place,
}

impl<F: Fixture> PlaceOf<F> {
    fn patient(&self, handles: Handles) -> Handles {
        if self.fixture.may_be_locked() { patient(handles, self.fixture.deadline() / 2) } else { handles }
    }
}

impl<F: Fixture> AnyFixture for Erased<F> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn profiles(&self) -> &[Profile] {
        self.0.profiles()
    }

    fn deadline(&self) -> Duration {
        self.0.deadline() + self.0.latency_hint() * CALLS_OF_A_LAW
    }

    fn latency_hint(&self) -> Duration {
        self.0.latency_hint()
    }

    fn parallel(&self) -> usize {
        self.0.parallel()
    }

    fn block_bytes_tried(&self) -> u64 {
        self.0.block_bytes_tried()
    }

    fn has_syncs(&self) -> bool {
        self.0.has_syncs()
    }

    fn create(&self) -> Result<Box<dyn AnyPlace>, FixtureError> {
        let place = self.0.create()?;
        Ok(Box::new(PlaceOf { fixture: Arc::clone(&self.0), place }))
    }

    fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        self.0.walk(store, root)
    }
}

impl<F: Fixture> AnyPlace for PlaceOf<F> {
    fn open(&self) -> Result<Handles, FixtureError> {
        self.fixture.open(&self.place).map(|handles| self.patient(handles))
    }

    fn open_reader(&self) -> Result<Handles, FixtureError> {
        self.fixture.open_reader(&self.place).map(|handles| self.patient(handles))
    }

    fn obey_in_second_process(&self, script: &str) -> Result<String, FixtureError> {
        self.fixture.obey_in_second_process(&self.place, script)
    }

    fn damage(&self, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        self.fixture.damage(&self.place, cid, data)
    }

    fn set_fault(&self, fault: Option<Fault>) -> Result<(), FixtureError> {
        self.fixture.set_fault(&self.place, fault)
    }

    fn cut_power_after(&self, operations: u64) -> Result<(), FixtureError> {
        self.fixture.cut_power_after(&self.place, operations)
    }

    fn cut_power_while_opening(&self, operations: u64) -> Result<(), FixtureError> {
        self.fixture.cut_power_while_opening(&self.place, operations)
    }

    fn set_locks(&self, has_locks: bool) -> Result<(), FixtureError> {
        self.fixture.set_locks(&self.place, has_locks)
    }

    fn driver(&self) -> Result<(&'static dyn Driver, Location), FixtureError> {
        self.fixture.driver(&self.place)
    }
}
