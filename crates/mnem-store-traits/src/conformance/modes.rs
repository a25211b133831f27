//! Modes: the sequential laws repeated with a layer between the law and the store.

use std::{
    fmt,
    ops::ControlFlow,
    sync::{Arc, RwLock, RwLockReadGuard},
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;

use super::{
    Claim, Fault, FixtureError, Group, Handles, Profile,
    fixture::{AnyFixture, AnyPlace, BlockIter},
};
use crate::{
    Blocks, Blockstore, Buffered, Capabilities, Cause, CidIter, Cids, HeadsCapabilities, IsDead, KeyIter, OnBlock,
    OpHeadsStore, Outcome, SideTable, Store, StoreError, Swept, WriteBatch,
    driver::{Driver, Location},
};

/// The layer between a law and the store under test.
///
/// The laws of the groups blocks, heads and store hold in every mode. All other laws control threads, reopening and
/// media themselves, and run only in [`Direct`](Self::Direct).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// No layer.
    Direct,
    /// The forwarding implementations for `Box`, `Arc` and `dyn`, stacked on each other.
    Forwarded,
    /// [`Buffered`], which makes weaker claims.
    Buffered,
    /// Closes, drops and reopens the store after every write.
    Reopened,
    /// [`Buffered`] again; it is flushed, closed, dropped and reopened after every write.
    BufferedReopened,
    /// Writes through one handle and reads through another.
    SecondHandle,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 6] =
        [Self::Direct, Self::Forwarded, Self::Buffered, Self::Reopened, Self::BufferedReopened, Self::SecondHandle];

    /// The profiles that this mode needs.
    pub(crate) fn needs(self) -> &'static [Profile] {
        match self {
            Self::Direct | Self::Forwarded => &[],
            Self::Buffered => &[Profile::Store],
            Self::Reopened => &[Profile::Persistence],
            Self::BufferedReopened => &[Profile::Store, Profile::Persistence],
            Self::SecondHandle => &[Profile::SecondReader],
        }
    }

    /// The claims that this mode needs for laws of this group: a mode that reopens the store needs writes that survive
    /// it.
    pub(crate) fn claims(self, group: Group) -> &'static [Claim] {
        match (self, group) {
            (Self::Direct | Self::Forwarded | Self::Buffered | Self::SecondHandle, _) => &[],
            (Self::Reopened | Self::BufferedReopened, Group::Blocks) => &[Claim::PutsSurvive],
            (Self::Reopened | Self::BufferedReopened, Group::Heads) => &[Claim::HeadsSurvive],
            (Self::Reopened | Self::BufferedReopened, _) => &[Claim::PutsSurvive, Claim::HeadsSurvive],
        }
    }
}

/// The name of the test module.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Forwarded => "forwarded",
            Self::Buffered => "buffered",
            Self::Reopened => "reopened",
            Self::BufferedReopened => "buffered_reopened",
            Self::SecondHandle => "second_handle",
        })
    }
}

/// A fixture that opens its stores in a mode.
pub(crate) struct InMode {
    pub(crate) fixture: Arc<dyn AnyFixture>,
    pub(crate) mode: Mode,
}

impl AnyFixture for InMode {
    fn name(&self) -> &str {
        self.fixture.name()
    }

    fn profiles(&self) -> &[Profile] {
        self.fixture.profiles()
    }

    fn deadline(&self) -> Duration {
        self.fixture.deadline()
    }

    fn latency_hint(&self) -> Duration {
        self.fixture.latency_hint()
    }

    fn parallel(&self) -> usize {
        self.fixture.parallel()
    }

    fn block_bytes_tried(&self) -> u64 {
        self.fixture.block_bytes_tried()
    }

    fn has_syncs(&self) -> bool {
        self.fixture.has_syncs()
    }

    fn create(&self) -> Result<Box<dyn AnyPlace>, FixtureError> {
        Ok(Box::new(PlaceInMode { place: Arc::from(self.fixture.create()?), mode: self.mode }))
    }

    fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        self.fixture.walk(store, root)
    }
}

struct PlaceInMode {
    place: Arc<dyn AnyPlace>,
    mode: Mode,
}

impl AnyPlace for PlaceInMode {
    fn open(&self) -> Result<Handles, FixtureError> {
        let handles = self.place.open()?;
        Ok(match (self.mode, handles.as_store().cloned()) {
            (Mode::Direct, _) => handles,
            (Mode::Forwarded, Some(store)) => Handles::store(Arc::new(Box::new(store))),
            (Mode::Forwarded, None) => {
                handles.map(|blocks| Arc::new(Box::new(blocks)), |heads| Arc::new(Box::new(heads)))
            }
            (Mode::Buffered, Some(store)) => Handles::store(Arc::new(Buffered::new(store))),
            (Mode::Buffered | Mode::BufferedReopened, None) => handles,
            (Mode::Reopened | Mode::BufferedReopened | Mode::SecondHandle, store) => {
                let second = if self.mode == Mode::SecondHandle { Some(self.place.open_reader()?) } else { None };
                let (first, buffered) = opened(handles.clone(), self.mode);
                let open = RwLock::new(Open { first: Some(first), buffered, second, closed: false });
                let between = Between(Arc::new(Inner { place: Arc::clone(&self.place), mode: self.mode, open }));
                if store.is_some() {
                    Handles::store(Arc::new(between))
                } else {
                    handles.map(|_| Arc::new(between.clone()), |_| Arc::new(between.clone()))
                }
            }
        })
    }

    fn open_reader(&self) -> Result<Handles, FixtureError> {
        self.place.open_reader()
    }

    fn obey_in_second_process(&self, script: &str) -> Result<String, FixtureError> {
        self.place.obey_in_second_process(script)
    }

    fn damage(&self, cid: &Cid, data: &[u8]) -> Result<(), FixtureError> {
        self.place.damage(cid, data)
    }

    fn set_fault(&self, fault: Option<Fault>) -> Result<(), FixtureError> {
        self.place.set_fault(fault)
    }

    fn cut_power_after(&self, operations: u64) -> Result<(), FixtureError> {
        self.place.cut_power_after(operations)
    }

    fn cut_power_while_opening(&self, operations: u64) -> Result<(), FixtureError> {
        self.place.cut_power_while_opening(operations)
    }

    fn set_locks(&self, has_locks: bool) -> Result<(), FixtureError> {
        self.place.set_locks(has_locks)
    }

    fn driver(&self) -> Result<(&'static dyn Driver, Location), FixtureError> {
        self.place.driver()
    }
}

/// A store that reads and writes through handles which it may replace. Clones share the handles.
#[derive(Clone)]
struct Between(Arc<Inner>);

struct Inner {
    place: Arc<dyn AnyPlace>,
    mode: Mode,
    open: RwLock<Open>,
}

struct Open {
    /// `None` only after a failed reopening.
    first: Option<Handles>,
    /// The `Buffered` layer of `first`, if there is one.
    buffered: Option<BufferedStore>,
    second: Option<Handles>,
    closed: bool,
}

type BufferedStore = Arc<Buffered<Arc<dyn Store>>>;

/// The handles that the mode writes through.
fn opened(handles: Handles, mode: Mode) -> (Handles, Option<BufferedStore>) {
    match handles.as_store() {
        Some(store) if mode == Mode::BufferedReopened => {
            let buffered = Arc::new(Buffered::new(Arc::clone(store)));
            (Handles::store(Arc::clone(&buffered) as _), Some(buffered))
        }
        _ => (handles, None),
    }
}

fn lost(error: impl fmt::Display) -> StoreError {
    StoreError::Backend {
        backend: "conformance",
        operation: "open the store again after a write".into(),
        outcome: Outcome::Unknown,
        source: Cause::new(error.to_string()),
    }
}

impl Between {
    // If a law panicked it has failed; the state it left behind is used unchanged.
    fn read<R>(&self, f: impl FnOnce(&Handles) -> Result<R, StoreError>) -> Result<R, StoreError> {
        let open: RwLockReadGuard<'_, Open> = self.0.open.read().unwrap_or_else(|e| e.into_inner());
        f(open.second.as_ref().or(open.first.as_ref()).ok_or_else(|| lost("it could not be opened"))?)
    }

    fn write<R>(&self, f: impl FnOnce(&Handles) -> Result<R, StoreError>) -> Result<R, StoreError> {
        let mut open = self.0.open.write().unwrap_or_else(|e| e.into_inner());
        let result = f(open.first.as_ref().ok_or_else(|| lost("it could not be opened"))?);
        if open.second.is_none() && !open.closed {
            if let Some(buffered) = &open.buffered {
                // If the store below refuses a block, this call reports it. Discard the block: it must not become
                // visible, nor make later flushes fail.
                buffered.flush().inspect_err(|_| buffered.discard_staged())?;
            }
            if let Some(store) = open.first.as_ref().and_then(Handles::as_store) {
                store.close()?;
            }
            (open.first, open.buffered) = (None, None);
            let (first, buffered) = opened(self.0.place.open().map_err(lost)?, self.0.mode);
            (open.first, open.buffered) = (Some(first), buffered);
        }
        result
    }
}

impl fmt::Debug for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Between")
    }
}

// A law asks only for parts that the handles have, because it needs the profile.
fn blocks(handles: &Handles) -> Result<&dyn Blockstore, StoreError> {
    handles.as_blocks().map(|blocks| &**blocks).ok_or_else(|| lost("it has no blocks any more"))
}

fn heads(handles: &Handles) -> Result<&dyn OpHeadsStore, StoreError> {
    handles.as_heads().map(|heads| &**heads).ok_or_else(|| lost("it has no heads any more"))
}

fn store(handles: &Handles) -> Result<&dyn Store, StoreError> {
    handles.as_store().map(|store| &**store).ok_or_else(|| lost("it is no store any more"))
}

#[deny(clippy::missing_trait_methods)]
impl Blockstore for Between {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.read(|handles| blocks(handles)?.get(cid))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.write(|handles| blocks(handles)?.put(cid, data))
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.write(|handles| blocks(handles)?.delete(cid))
    }

    /// Collected first, because the listing may outlive its handle.
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        let listed = self.read(|handles| Ok(blocks(handles)?.cids()?.collect::<Vec<_>>()))?;
        Ok(Box::new(listed.into_iter()))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.read(|handles| blocks(handles)?.has(cid))
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.read(|handles| blocks(handles)?.size(cid))
    }

    /// Copies the bytes first, because the callback may write.
    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        let mut lent = None;
        let found = self.read(|handles| blocks(handles)?.with_block(cid, &mut |data| lent = Some(data.to_vec())))?;
        lent.iter().for_each(|data| f(data));
        Ok(found)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.write(|handles| blocks(handles)?.put_trusted(cid, data))
    }

    /// Drains the iterator first, because it may read and write.
    fn put_many(&self, batch: &mut Blocks<'_>) -> Result<(), StoreError> {
        let batch: Vec<_> = batch.collect::<Result<_, _>>()?;
        self.write(|handles| blocks(handles)?.put_many(&mut batch.into_iter().map(Ok)))
    }

    /// Collects the blocks first, because the callback may write.
    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        let mut answers = Vec::new();
        let read = self.read(|handles| {
            blocks(handles)?.get_many(cids, &mut |index, data| {
                answers.push((index, data));
                ControlFlow::Continue(())
            })
        });
        for (index, data) in answers {
            if f(index, data).is_break() {
                return Ok(());
            }
        }
        read
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.read(|handles| blocks(handles)?.has_many(cids))
    }

    /// Drains the iterator first, because it may read and write.
    fn delete_many(&self, batch: &mut Cids<'_>) -> Result<(), StoreError> {
        let batch: Vec<_> = batch.collect::<Result<_, _>>()?;
        self.write(|handles| blocks(handles)?.delete_many(&mut batch.into_iter().map(Ok)))
    }

    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        self.write(|handles| blocks(handles)?.sweep(after, up_to, is_dead))
    }

    /// The capabilities of the handles. In a buffered mode every put is flushed before it returns, so it is as durable
    /// as in the store below.
    fn capabilities(&self) -> Capabilities {
        let open = self.0.open.read().unwrap_or_else(|e| e.into_inner());
        let below = open.buffered.as_ref().map(|buffered| buffered.inner().capabilities().put_durability);
        drop(open);
        let claimed = self.read(|handles| Ok(blocks(handles)?.capabilities())).unwrap_or(Capabilities::WEAKEST);
        below.into_iter().fold(claimed, Capabilities::with_put_durability)
    }
}

#[deny(clippy::missing_trait_methods)]
impl OpHeadsStore for Between {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.read(|handles| heads(handles)?.heads())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.write(|handles| heads(handles)?.update(new, supersedes))
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.write(|handles| heads(handles)?.swap(expected, new))
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.read(|handles| Ok(heads(handles)?.heads_capabilities())).unwrap_or(HeadsCapabilities::WEAKEST)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Store for Between {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.write(|handles| store(handles)?.commit(batch))
    }

    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        self.read(|handles| store(handles)?.side_table(name))?;
        Ok(Arc::new(TableBetween { between: self.clone(), name: name.to_owned() }))
    }

    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.read(|handles| store(handles)?.side_tables())
    }

    fn close(&self) -> Result<(), StoreError> {
        let mut open = self.0.open.write().unwrap_or_else(|e| e.into_inner());
        open.closed = true;
        let closed =
            [open.second.as_ref(), open.first.as_ref()].into_iter().flatten().map(|handles| store(handles)?.close());
        closed.fold(Ok(()), Result::and)
    }
}

struct TableBetween {
    between: Between,
    name: String,
}

impl TableBetween {
    fn table(&self, handles: &Handles) -> Result<Arc<dyn SideTable>, StoreError> {
        store(handles)?.side_table(&self.name)
    }
}

impl fmt::Debug for TableBetween {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableBetween")
    }
}

#[deny(clippy::missing_trait_methods)]
impl SideTable for TableBetween {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.between.read(|handles| self.table(handles)?.get(key))
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        self.between.write(|handles| self.table(handles)?.write(puts, deletes))
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        let keys = self.between.read(|handles| Ok(self.table(handles)?.keys(prefix)?.collect::<Vec<_>>()))?;
        Ok(Box::new(keys.into_iter()))
    }
}
