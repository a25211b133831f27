//! Concurrent callers, which may share commits. Each caller's commit must be whole or absent, and present once it was
//! acknowledged to this caller.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use mnem_store_traits::Cid;

use crate::{Act, Engine, Expected, Gone, Heads, Medium, Opening, Recorded, Recording, Visible, engine::ProcessOf};

/// Several callers of one store, each in its own thread.
#[derive(Clone, Copy, Debug)]
pub struct Callers {
    /// The number of callers.
    pub count: usize,
    /// The number of commits of each caller.
    pub commits: usize,
}

/// Delays a sync until all callers have arrived.
#[derive(Clone, Debug)]
pub struct Gathering {
    came: Arc<AtomicU64>,
    callers: u64,
}

impl Gathering {
    /// The storage calls this during every sync.
    pub fn wait(&self) {
        while !self.came.load(Ordering::SeqCst).is_multiple_of(self.callers) {
            thread::yield_now();
        }
        // Many chances for the other threads to queue up.
        (0..200).for_each(|_| thread::yield_now());
    }
}

impl Callers {
    /// Runs the callers on blank storage. Each caller commits repeatedly, and each of its heads replaces its previous
    /// one. The threads produce another log in each run, so a seed does not reproduce a run. `at_sync` makes the
    /// storage wait for the [`Gathering`] during every later sync, so that callers share commits.
    ///
    /// # Panics
    /// A call fails.
    pub fn record<E>(&self, engine: &E, medium: &E::Medium, at_sync: impl FnOnce(Gathering)) -> Recording<E>
    where
        E: Engine + Sync,
        E::Medium: Sync,
        ProcessOf<E>: Send,
    {
        let process = medium.process();
        let opening = Opening { create: true, durable: true, read_only: false };
        let store = engine.open(&process, opening).expect("create");
        let mut expected = Expected::nothing(E::ATOMIC);
        expected.is(&Act::Open { durable: true }, &Visible::default());
        let created = medium.entries();
        let together = Barrier::new(self.count);
        let gathering = &Gathering { came: Arc::default(), callers: self.count as u64 };
        at_sync(gathering.clone());
        let mut acts: Vec<Recorded> = thread::scope(|scope| {
            let call = |who| self.call::<E>(who, &store, medium, &together, gathering);
            let callers: Vec<_> = (0..self.count).map(|who| scope.spawn(move || call(who))).collect();
            callers.into_iter().flat_map(|caller| caller.join().expect("no panic")).collect()
        });
        engine.close(store).expect("close");
        let steps = steps(expected, created, &acts);
        acts.sort_by_key(|act| act.begun);
        Recording { engine: engine.clone(), medium: medium.clone(), planted: None, acts, steps }
    }

    /// Makes all commits of one caller.
    fn call<E: Engine>(
        &self,
        who: usize,
        store: &E::Store,
        medium: &E::Medium,
        together: &Barrier,
        gathering: &Gathering,
    ) -> Vec<Recorded> {
        let mut last: Option<Cid> = None;
        let commits = (0..self.commits).map(|n| {
            let first = (who * self.commits + n) * 3;
            let puts: Vec<usize> = (first..first + 1 + n % 3).collect();
            let new = E::pool().block(first).0;
            let gone = Gone::Exactly(last.replace(new).into_iter().collect());
            let act = Act::Commit { puts, required: Vec::new(), heads: Heads { new: vec![new], gone } };
            together.wait();
            let begun = medium.entries();
            gathering.came.fetch_add(1, Ordering::SeqCst);
            act.perform(store, E::pool(), &Visible::default().heads).expect("storage without faults");
            Recorded { who, act, kill: None, begun, ended: medium.entries() }
        });
        commits.collect()
    }
}

/// For each caller, what was acknowledged to it, with and without the commit in progress.
fn steps(mut expected: Expected, created: usize, acts: &[Recorded]) -> Vec<(usize, Expected)> {
    let begun = acts.iter().map(|act| (act.begun + 1, false, &act.act));
    let ended = acts.iter().map(|act| (act.ended, true, &act.act));
    let mut events: Vec<_> = begun.chain(ended).collect();
    events.sort_by_key(|(at, ended, _)| (*at, *ended));
    let mut steps = vec![(0, Expected::nothing(false)), (created, expected.clone())];
    for (at, ended, act) in events {
        if ended {
            expected.is(act, &Visible::default());
        } else {
            expected.may_be(act, &Visible::default(), true);
        }
        steps.push((at, expected.clone()));
    }
    steps
}
