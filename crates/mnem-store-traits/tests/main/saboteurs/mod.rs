//! Backends with one planted defect each. The law for that defect must fail, and report what it saw.
//!
//! A saboteur is a [`Defect`]: it overrides one method of a store that otherwise behaves like the reference. [`kills`]
//! runs one law against it.

mod at_once;
mod batches;
mod behind;
mod blocks;
mod buffered;
mod callers;
mod combined;
mod commits;
mod conditional;
mod disk;
mod drivers;
mod heads;
mod late;
mod listings;
mod lookups;
mod many;
mod media;
mod names;
pub(crate) mod network;
mod overlooked;
mod plausible;
mod plausible_threads;
mod prose;
mod races;
mod registry;
mod reopenings;
mod sets;
mod subtle;
mod sweeps;
mod tables;
mod tables_apart;
mod threads;
mod unseen;
mod walks;
mod ways;

use std::{
    fmt::Debug,
    marker::PhantomData,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, HeadsCapabilities, IsDead, MemoryStore, OnBlock,
    OpHeadsStore, SideTable, Store, StoreError, Swept, Walk, WriteBatch,
    conformance::{BlockIter, Fixture, FixtureError, Handles, Profile, Verdict, law},
};

/// One defect. Every method behaves like the reference, except the overridden one.
trait Defect: Debug + Default + Send + Sync + 'static {
    const PROFILES: &'static [Profile] = &[Profile::SecondHandle];
    const DEADLINE: Duration = Duration::from_secs(60);
    /// If `true`, each handle has its own instance of the defect, with its own memory.
    const PER_HANDLE: bool = false;

    fn get(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        inner.get(cid)
    }
    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        inner.put(cid, data)
    }
    fn delete(&self, inner: &MemoryStore, cid: &Cid) -> Result<(), StoreError> {
        inner.delete(cid)
    }
    fn cids<'a>(&'a self, inner: &'a MemoryStore) -> Result<CidIter<'a>, StoreError> {
        inner.cids()
    }
    fn has(&self, inner: &MemoryStore, cid: &Cid) -> Result<bool, StoreError> {
        inner.has(cid)
    }
    fn size(&self, inner: &MemoryStore, cid: &Cid) -> Result<Option<u64>, StoreError> {
        inner.size(cid)
    }
    fn with_block(&self, inner: &MemoryStore, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        inner.with_block(cid, f)
    }
    fn put_trusted(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        inner.put_trusted(cid, data)
    }
    fn put_many(&self, inner: &MemoryStore, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        inner.put_many(blocks)
    }
    /// Like the default of the trait: calls the defect's own `get`.
    fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        for (index, cid) in cids.iter().enumerate() {
            if f(index, self.get(inner, cid)?).is_break() {
                break;
            }
        }
        Ok(())
    }
    /// Like the default of the trait: calls the defect's own `has`.
    fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        cids.iter().map(|cid| self.has(inner, cid)).collect()
    }
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        inner.delete_many(cids)
    }
    fn sweep(
        &self,
        inner: &MemoryStore,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        inner.sweep(after, up_to, is_dead)
    }
    fn capabilities(&self, inner: &MemoryStore) -> Capabilities {
        inner.capabilities()
    }
    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        inner.heads()
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        inner.update(new, supersedes)
    }
    fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        inner.swap(expected, new)
    }
    fn heads_capabilities(&self, inner: &MemoryStore) -> HeadsCapabilities {
        inner.heads_capabilities()
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        inner.commit(batch)
    }
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        inner.side_table(name)
    }
    fn side_tables(&self, inner: &MemoryStore) -> Result<Vec<String>, StoreError> {
        inner.side_tables()
    }
    fn close(&self, inner: &MemoryStore) -> Result<(), StoreError> {
        inner.close()
    }
    /// The store that an opening returns. The first opening has the number 0.
    fn opened(&self, inner: &MemoryStore, _number: usize) -> MemoryStore {
        inner.open_again()
    }
    fn walk<'a>(store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        Box::new(Walk::new(store, root))
    }
    /// The gaps that widen races.
    fn gaps(&self) -> Vec<&Gap> {
        Vec::new()
    }
}

/// A place where a defect widens a race: it waits there until other threads have looked, so that the race is lost in
/// every run.
#[derive(Debug, Default)]
struct Gap {
    looks: AtomicUsize,
    deserted: AtomicBool,
    alone: AtomicBool,
    /// If `true`, nobody waits here, and the race is as narrow as the code.
    natural: AtomicBool,
}

impl Gap {
    /// Ample time for a thread that is ready to run. If nobody looks by then, nobody will: the law has not begun to
    /// look, or has seen enough.
    const PATIENCE: Duration = Duration::from_secs(1);

    fn close(&self) {
        self.natural.store(true, Ordering::SeqCst);
    }

    fn is_closed(&self) -> bool {
        self.natural.load(Ordering::Relaxed)
    }

    fn look(&self) {
        if self.is_closed() {
            return;
        }
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.deserted.store(false, Ordering::SeqCst);
    }

    /// Waits for another thread to reach the same place, unless a thread has waited in vain before: then the others are
    /// done.
    fn meet(&self) {
        self.look();
        if !self.alone.load(Ordering::SeqCst) {
            self.alone.store(!self.wait_for(1), Ordering::SeqCst);
        }
    }

    fn count(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// Waits for so many further looks. Returns whether they came.
    fn wait_for(&self, looks: usize) -> bool {
        self.wait_until(self.count() + looks)
    }

    /// Waits until there were so many looks in all. Take the count before you signal other threads, so that none of
    /// their looks is missed.
    fn wait_until(&self, looks: usize) -> bool {
        if self.is_closed() {
            return false;
        }
        let begin = Instant::now();
        while self.count() < looks && !self.deserted.load(Ordering::SeqCst) {
            std::thread::yield_now();
            self.deserted.fetch_or(begin.elapsed() > Self::PATIENCE, Ordering::SeqCst);
        }
        self.count() >= looks
    }
}

#[derive(Debug)]
struct Sabotaged<D> {
    inner: MemoryStore,
    defect: Arc<D>,
}

impl<D: Defect> Blockstore for Sabotaged<D> {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.defect.get(&self.inner, cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.defect.put(&self.inner, cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.defect.delete(&self.inner, cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.defect.cids(&self.inner)
    }
    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.defect.has(&self.inner, cid)
    }
    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        self.defect.size(&self.inner, cid)
    }
    fn with_block(&self, cid: &Cid, f: &mut dyn FnMut(&[u8])) -> Result<bool, StoreError> {
        self.defect.with_block(&self.inner, cid, f)
    }
    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.defect.put_trusted(&self.inner, cid, data)
    }
    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        self.defect.put_many(&self.inner, blocks)
    }
    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        self.defect.get_many(&self.inner, cids, f)
    }
    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.defect.has_many(&self.inner, cids)
    }
    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        self.defect.delete_many(&self.inner, cids)
    }
    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        self.defect.sweep(&self.inner, after, up_to, is_dead)
    }
    fn capabilities(&self) -> Capabilities {
        self.defect.capabilities(&self.inner)
    }
}

impl<D: Defect> OpHeadsStore for Sabotaged<D> {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.defect.heads(&self.inner)
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.defect.update(&self.inner, new, supersedes)
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.defect.swap(&self.inner, expected, new)
    }
    fn heads_capabilities(&self) -> HeadsCapabilities {
        self.defect.heads_capabilities(&self.inner)
    }
}

impl<D: Defect> Store for Sabotaged<D> {
    fn commit(&self, batch: &WriteBatch) -> Result<(), StoreError> {
        self.defect.commit(&self.inner, batch)
    }
    fn side_table(&self, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        self.defect.side_table(&self.inner, name)
    }
    fn side_tables(&self) -> Result<Vec<String>, StoreError> {
        self.defect.side_tables(&self.inner)
    }
    fn close(&self) -> Result<(), StoreError> {
        self.defect.close(&self.inner)
    }
}

/// The fixture of a saboteur.
struct Planted<D> {
    defect: PhantomData<D>,
    /// If `true`, the gaps that widen its races are closed.
    natural: bool,
}

impl<D: Defect> Planted<D> {
    const WIDENED: Self = Self { defect: PhantomData, natural: false };
    const NATURAL: Self = Self { defect: PhantomData, natural: true };
}

/// The place of a sabotaged store. The state of the defect outlives the handles.
struct Place<D> {
    content: MemoryStore,
    defect: Arc<D>,
    openings: AtomicUsize,
}

impl<D: Defect> Fixture for Planted<D> {
    type Place = Place<D>;

    fn name(&self) -> &str {
        std::any::type_name::<D>()
    }

    fn create(&self) -> Result<Place<D>, FixtureError> {
        let defect = Arc::<D>::default();
        if self.natural {
            defect.gaps().into_iter().for_each(Gap::close);
        }
        Ok(Place { content: MemoryStore::new(), defect, openings: AtomicUsize::new(0) })
    }

    fn open(&self, place: &Place<D>) -> Result<Handles, FixtureError> {
        let inner = place.defect.opened(&place.content, place.openings.fetch_add(1, Ordering::Relaxed));
        let defect = if D::PER_HANDLE { Arc::default() } else { Arc::clone(&place.defect) };
        Ok(Handles::from(Arc::new(Sabotaged { inner, defect })))
    }

    fn profiles(&self) -> &[Profile] {
        D::PROFILES
    }

    fn deadline(&self) -> Duration {
        D::DEADLINE
    }

    fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        D::walk(store, root)
    }
}

/// Checks that the law fails with this defect, and that its failure contains `text`.
fn kills<D: Defect>(id: &str, text: &str) {
    kills_with(id, text, Planted::<NoDefect>::WIDENED, Planted::<D>::WIDENED);
}

/// Checks that the law passes with the sound fixture, and that it fails with the sabotaged one with a message that
/// contains `text`.
fn kills_with(id: &str, text: &str, sound: impl Fixture, sabotaged: impl Fixture) {
    let law = law(id).unwrap_or_else(|| panic!("there is no law {id}"));
    let sound = law.run(sound);
    assert!(matches!(sound, Verdict::Passed), "{law} does not pass without a defect: {sound:?}");
    let name = sabotaged.name().to_owned();
    match law.run(sabotaged) {
        Verdict::Failed(failure) => {
            let message = failure.to_string();
            assert!(message.contains(text), "{law} fails, but does not say {text:?}:\n{message}");
            println!("{law} is broken by {name}\n  promised  {}\n  {message}", law.promise);
        }
        verdict => panic!("{law} does not see the defect: {verdict:?}"),
    }
}

/// Makes one `#[test]` for each saboteur, `name: Defect => law_that_it_breaks "part of the message"`, and the list
/// `KILLED` of these laws.
macro_rules! saboteurs {
    ($($name:ident: $defect:ty => $law:ident $text:literal;)*) => {
        crate::saboteurs::saboteurs! { by crate::saboteurs::kills: $($name: $defect => $law $text;)* }
    };
    (by $kills:path: $($name:ident: $defect:ty => $law:ident $text:literal;)*) => {
        pub(in crate::saboteurs) const KILLED: &[&str] = &[$(stringify!($law)),*];

        $(#[test]
        fn $name() {
            use $kills as kills;
            kills::<$defect>(stringify!($law), $text);
        })*
    };
}

/// Declares a defect without state.
macro_rules! defect {
    ($($name:ident { $($body:tt)* })*) => {$(
        #[derive(Debug, Default)]
        pub(super) struct $name;

        impl Defect for $name {
            $($body)*
        }
    )*};
}

pub(crate) use defect;
pub(crate) use saboteurs;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// No defect. Every law must pass with it; otherwise its failure with a defect would prove nothing.
#[derive(Debug, Default)]
struct NoDefect;

impl Defect for NoDefect {}
