//! Correct stores that a suite might wrongly reject: one without syncs, and one whose locks are refused now and then.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mnem_store_traits::{
    Blockstore, Bytes, Cid, CidIter, MemoryStore, OpHeadsStore, Store, StoreError,
    conformance::{Fault, Fixture, FixtureError, Handles, Options, Profile, run},
};

/// Refuses every third writing call, as if somebody else held the lock.
#[derive(Debug, Default)]
struct Busy {
    store: MemoryStore,
    calls: AtomicUsize,
}

impl Busy {
    fn turn(&self) -> Result<(), StoreError> {
        let refused = self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        if refused { Err(StoreError::Locked { location: "busy".into() }) } else { Ok(()) }
    }
}

impl Blockstore for Busy {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.store.get(cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.turn()?;
        self.store.put(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.turn()?;
        self.store.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }
}

impl OpHeadsStore for Busy {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.store.heads()
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.turn()?;
        self.store.update(new, supersedes)
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.turn()?;
        self.store.swap(expected, new)
    }
}

impl Store for Busy {}

/// Contains whether the fixture declares this.
struct BusyFixture(bool);

impl Fixture for BusyFixture {
    type Place = ();

    fn name(&self) -> &str {
        "busy"
    }
    fn create(&self) -> Result<(), FixtureError> {
        Ok(())
    }
    fn open(&self, (): &()) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(Busy::default())))
    }
    fn may_be_locked(&self) -> bool {
        self.0
    }
}

#[test]
fn calls_that_may_be_refused_as_locked_are_made_again_where_the_fixture_says_so() {
    for only in ["concurrent_swaps", "concurrent_updates", "heads::update_", "blocks::put_twice"] {
        let patient = run(BusyFixture(true), &Options::default().only(only));
        assert!(patient.is_ok(), "{patient}");
    }
    assert!(!run(BusyFixture(false), &Options::default().only("heads::update_")).is_ok());
}

/// A store on a network: every answered request is durable, and no sync can fail.
struct NoSyncs;

impl Fixture for NoSyncs {
    type Place = MemoryStore;

    fn name(&self) -> &str {
        "no syncs"
    }
    fn create(&self) -> Result<MemoryStore, FixtureError> {
        Ok(MemoryStore::new())
    }
    fn open(&self, place: &MemoryStore) -> Result<Handles, FixtureError> {
        Ok(Handles::from(Arc::new(Durable(place.open_again()))))
    }
    fn profiles(&self) -> &[Profile] {
        &[Profile::Faults]
    }
    fn set_fault(&self, _: &MemoryStore, _: Option<Fault>) -> Result<(), FixtureError> {
        Ok(())
    }
    fn has_syncs(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Durable(MemoryStore);

impl Blockstore for Durable {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.0.get(cid)
    }
    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.0.put(cid, data)
    }
    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.0.delete(cid)
    }
    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.0.cids()
    }
    fn capabilities(&self) -> mnem_store_traits::Capabilities {
        mnem_store_traits::Capabilities::WEAKEST.with_put_durability(mnem_store_traits::Durability::Power)
    }
}

impl OpHeadsStore for Durable {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.0.heads()
    }
    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.0.update(new, supersedes)
    }
    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.0.swap(expected, new)
    }
    fn heads_capabilities(&self) -> mnem_store_traits::HeadsCapabilities {
        mnem_store_traits::HeadsCapabilities::WEAKEST.with_durability(mnem_store_traits::Durability::Power)
    }
}

impl Store for Durable {}

#[test]
fn laws_of_failed_syncs_are_declined_where_the_medium_has_none() {
    let report = run(NoSyncs, &Options::default().only("failed_sync_"));
    let counts = report.counts();
    assert_eq!((counts.passed, counts.failed, counts.declined), (0, 0, 3), "{report}");
    let why: BTreeSet<String> = report.entries.iter().map(|entry| format!("{:?}", entry.verdict)).collect();
    assert!(why.iter().all(|why| why.contains("no syncs that could fail")), "{why:?}");
}
