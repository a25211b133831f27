//! What a backend's author writes: how to get a store, and what else can be done with it.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use cid::Cid;

use super::{MemoryDisk, MemoryNetwork, Profile, patient::patient};
use crate::{
    Blockstore, OpHeadsStore, Store, StoreError, Walk,
    driver::{Driver, Location},
};

/// Whatever went wrong in a fixture: any error converts with `?`.
pub type FixtureError = Box<dyn Error + Send + Sync>;

/// What [`Fixture::walk`] returns.
pub type BlockIter<'a> = Box<dyn Iterator<Item = Result<(Cid, Bytes), StoreError>> + 'a>;

/// How the suite gets hold of a backend.
///
/// Every law runs in a place of its own, empty and apart from all others, because laws run side by side.
pub trait Fixture: Send + Sync + 'static {
    /// Where one store lies: a temporary folder, the name of a database, or the store itself when it lives in memory.
    /// Dropping it cleans up.
    type Place: Send + Sync + 'static;

    /// What to call the backend in messages.
    fn name(&self) -> &str;

    /// A new place with no store, or an empty one, in it.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails: a backend that cannot be set up has proved nothing.
    fn create(&self) -> Result<Self::Place, FixtureError>;

    /// Opens the store in this place. Called once for every law; again, after the handles of the first call are closed
    /// and dropped, with [`Profile::Persistence`]; and again while they are in use, with [`Profile::SecondHandle`].
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn open(&self, place: &Self::Place) -> Result<Handles, FixtureError>;

    /// Hook of [`Profile::SecondReader`]: opens the store once more, beside the handles that are open, to be read
    /// alone. As [`open`](Self::open), unless a store has one writer at a time.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn open_reader(&self, place: &Self::Place) -> Result<Handles, FixtureError> {
        self.open(place)
    }

    /// Whether the medium has syncs, which may fail by themselves. A store over a network may have none: what was
    /// answered is durable. Laws about failed syncs are then declined.
    fn has_syncs(&self) -> bool {
        true
    }

    /// Whether calls may be refused with [`Locked`](StoreError::Locked) while another handle or thread writes. They are
    /// then repeated, until half of the deadline is over.
    fn may_be_locked(&self) -> bool {
        false
    }

    /// The disk that the store of this place stands on, where it is one of the suite's. It answers for all hooks of the
    /// profiles damage, faults, crash and locks that are not written otherwise.
    fn disk<'a>(&self, place: &'a Self::Place) -> Option<&'a MemoryDisk> {
        let _ = place;
        None
    }

    /// The network that the store of this place lies behind, where it is one of the suite's. It answers for the hook of
    /// the profiles faults and network.
    fn network<'a>(&self, place: &'a Self::Place) -> Option<&'a MemoryNetwork> {
        let _ = place;
        None
    }

    /// What can be done beyond opening once: [`Profile::Persistence`], [`Profile::SecondHandle`], and each of the
    /// profiles that has a hook below. The other profiles are seen from the handles that [`open`](Self::open) returns.
    fn profiles(&self) -> &[Profile] {
        &[]
    }

    /// Hook of [`Profile::SecondProcess`]: opens the store in another process, beside the handles that are open in this
    /// one, hands `script` to [`obey`](super::obey) there, and returns what that returned.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn obey_in_second_process(&self, place: &Self::Place, script: &str) -> Result<String, FixtureError> {
        let _ = (place, script);
        Err(no_hook("obey_in_second_process"))
    }

    /// Hook of [`Profile::Damage`]: makes `data` the bytes that the store holds for `cid`, behind its back, as a stray
    /// program would. The block is there, and no handle is open.
    ///
    /// Unless written otherwise, it looks for the bytes of the block on the [`disk`](Self::disk), and writes others
    /// over them.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
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

    /// Hook of [`Profile::Faults`] and [`Profile::Network`]: from now on the medium below the open handles, and below
    /// those that are opened later, fails like this; with `None` it is sound again.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn set_fault(&self, place: &Self::Place, fault: Option<Fault>) -> Result<(), FixtureError> {
        match (self.disk(place), self.network(place)) {
            (Some(disk), _) => disk.set_fault(fault),
            (None, Some(network)) => network.set_fault(fault),
            (None, None) => return Err(no_hook("set_fault")),
        }
        Ok(())
    }

    /// Hook of [`Profile::Crash`]: the power goes off after `operations` more operations of the open handles that
    /// change the medium (writes, syncs, renames, …). Everything they do after that fails. The next
    /// [`open`](Self::open) finds the power on again, and on the medium what was synced, and of the rest what the
    /// fixture chooses.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn cut_power_after(&self, place: &Self::Place, operations: u64) -> Result<(), FixtureError> {
        let disk = self.disk(place).ok_or_else(|| no_hook("cut_power_after"))?;
        disk.cut_power_after(operations);
        Ok(())
    }

    /// Hook of [`Profile::Crash`]: the power goes off after `operations` operations of the next [`open`](Self::open)
    /// that change the medium, or of the handles that it returns. The one after that finds the power on again.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn cut_power_while_opening(&self, place: &Self::Place, operations: u64) -> Result<(), FixtureError> {
        let disk = self.disk(place).ok_or_else(|| no_hook("cut_power_while_opening"))?;
        disk.cut_power_while_opening(operations);
        Ok(())
    }

    /// Hook of [`Profile::Locks`]: whether the medium has locks from now on. Without, every attempt to lock is an
    /// error, such as `ENOSYS`.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn set_locks(&self, place: &Self::Place, has_locks: bool) -> Result<(), FixtureError> {
        let disk = self.disk(place).ok_or_else(|| no_hook("set_locks"))?;
        disk.set_locks(has_locks);
        Ok(())
    }

    /// Hook of [`Profile::Driver`]: the driver of the stores, and where that of this place lies. Laws open and probe
    /// stores with the driver itself, in places of their own.
    ///
    /// # Errors
    /// Whatever prevents it. The law then fails.
    fn driver(&self, place: &Self::Place) -> Result<(&'static dyn Driver, Location), FixtureError> {
        let _ = place;
        Err(no_hook("driver"))
    }

    /// The largest block that this platform affords to make, in bytes. The laws of [`Profile::Limits`] make one of
    /// `block_bytes_max` bytes and one larger, each a few times over in memory; a store whose limit is above this does
    /// not have that profile.
    fn block_bytes_tried(&self) -> u64 {
        256 * 1024 * 1024
    }

    /// How long a call of the store takes that reaches its medium, roughly: 20 ms for one that is far away. The
    /// deadline grows with it, and laws about many blocks make fewer of them.
    fn latency_hint(&self) -> Duration {
        Duration::ZERO
    }

    /// How many laws [`run`](super::run) has at work at once. More than one pays for a store that mostly waits, such as
    /// one over a network. Laws about races still run alone, unless the store is slow.
    fn parallel(&self) -> usize {
        1
    }

    /// How long one law may take, beside the time that [`latency_hint`](Self::latency_hint) allows. A law that takes
    /// longer has failed: its thread is left behind, since a deadlock cannot be interrupted.
    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// The blocks reachable from `root`. Override it to have a graph walk of your own judged by the laws of [`Walk`].
    fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        Box::new(Walk::new(store, root))
    }
}

/// How a medium fails, for [`Fixture::set_fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Every read of the medium is an I/O error.
    Reads,
    /// So many reads of the medium succeed, and every later one is an I/O error; writes and syncs succeed.
    ReadsAfter(u32),
    /// So many writes succeed, and every later one is an I/O error; syncs and reads succeed. Whatever adds, changes,
    /// renames or removes something is a write.
    WritesAfter(u32),
    /// So many syncs succeed, and every later one is an I/O error; what was to be synced may be lost. Writes and reads
    /// succeed.
    SyncsAfter(u32),
    /// Syncs wait until the fault is changed, then succeed; writes and reads succeed at once.
    SyncsWait,
    /// So many requests over a network are answered; the next is carried out and its answer is lost; later ones are
    /// answered.
    AnswerLost(u32),
    /// So many requests over a network are answered; the next is refused, as by a service that is busy; later ones are
    /// answered.
    RequestRefused(u32),
    /// So many writes over a network are answered; the next is refused as if another writer had come first, though none
    /// did; later ones are answered.
    FalseConflict(u32),
}

fn no_hook(hook: &str) -> FixtureError {
    format!("the fixture declares a profile and does not implement its hook {hook}()").into()
}

/// The traits that one open store offers. What it does not offer is not tested.
#[derive(Clone)]
pub struct Handles {
    blocks: Option<Arc<dyn Blockstore>>,
    heads: Option<Arc<dyn OpHeadsStore>>,
    store: Option<Arc<dyn Store>>,
}

impl Handles {
    /// A whole store. `Handles::from(Arc::new(store))` says the same.
    pub fn store(store: Arc<dyn Store>) -> Self {
        Self { blocks: Some(Arc::clone(&store) as _), heads: Some(Arc::clone(&store) as _), store: Some(store) }
    }

    /// Blocks and no heads.
    pub fn blocks(blocks: Arc<dyn Blockstore>) -> Self {
        Self { blocks: Some(blocks), heads: None, store: None }
    }

    /// Heads and no blocks.
    pub fn heads(heads: Arc<dyn OpHeadsStore>) -> Self {
        Self { blocks: None, heads: Some(heads), store: None }
    }

    /// Blocks and heads apart, with no commit over both.
    pub fn blocks_and_heads(blocks: Arc<dyn Blockstore>, heads: Arc<dyn OpHeadsStore>) -> Self {
        Self { blocks: Some(blocks), heads: Some(heads), store: None }
    }

    /// The same parts, each changed. For handles that are no whole store.
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

/// So many calls a law may make, each as slow as the fixture says.
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
