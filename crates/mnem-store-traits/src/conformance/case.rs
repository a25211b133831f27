//! What a law works on: one place, and the store open in it.

use std::{sync::Arc, time::Duration};

use cid::Cid;

use super::{
    Failure, FixtureError, Handles, Profile,
    fixture::{AnyFixture, AnyPlace, BlockIter},
};
use crate::{Blockstore, OpHeadsStore, Store};

/// A fresh store for one law. Dropped in this order: handles, then place.
pub(crate) struct Case {
    handles: Option<Handles>,
    place: Box<dyn AnyPlace>,
    fixture: Arc<dyn AnyFixture>,
}

impl Case {
    pub(crate) fn new(fixture: Arc<dyn AnyFixture>) -> Result<Self, Failure> {
        let place = set_up("Fixture::create()", fixture.create())?;
        let handles = Some(set_up("Fixture::open() of a new place", place.open())?);
        Ok(Self { handles, place, fixture })
    }

    pub(crate) fn has(&self, profile: Profile) -> bool {
        let handles = self.handles();
        match profile {
            Profile::Blocks => handles.as_blocks().is_some(),
            Profile::Heads => handles.as_heads().is_some(),
            Profile::Store => handles.as_store().is_some(),
            Profile::SideTables => handles.as_store().is_some_and(|store| store.capabilities().side_tables),
            Profile::Persistence | Profile::SecondHandle => self.fixture.profiles().contains(&profile),
        }
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

    /// Closes the store, drops it, and opens it again. The law must have dropped every handle of its own.
    pub(crate) fn reopen(&mut self) -> Result<(), Failure> {
        if let Some(store) = self.handles().as_store() {
            super::expect::saw("close()", store.close()).ok()?;
        }
        self.drop_and_open()
    }

    /// Drops the store without closing it, and opens it again.
    pub(crate) fn drop_and_open(&mut self) -> Result<(), Failure> {
        self.handles = None;
        self.handles = Some(set_up("Fixture::open() of a place that was open before", self.place.open())?);
        Ok(())
    }

    /// Opens the store a second time beside the handles that are open.
    pub(crate) fn second(&self) -> Result<Handles, Failure> {
        set_up("Fixture::open() while the store is open", self.place.open())
    }

    pub(crate) fn walk<'a>(&self, store: &'a dyn Blockstore, root: Cid) -> BlockIter<'a> {
        self.fixture.walk(store, root)
    }

    /// How long a law may wait for another thread before it says that this thread is stuck: well inside the deadline.
    pub(crate) fn patience(&self) -> Duration {
        self.fixture.deadline() / 2
    }
}

pub(crate) fn offered<T: ?Sized>(handle: Option<&Arc<T>>, profile: Profile) -> Result<Arc<T>, Failure> {
    handle.cloned().ok_or_else(|| {
        Failure::new("opened the store", format_args!("the same traits at each opening, {profile} among them"), "none")
    })
}

fn set_up<T>(did: &str, result: Result<T, FixtureError>) -> Result<T, Failure> {
    result.map_err(|error| Failure::new(did, "Ok", super::show::error_text(&*error)))
}
