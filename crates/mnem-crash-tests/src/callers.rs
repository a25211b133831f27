//! Callers at the same time may share commits: what each one committed is whole or absent, and there once it was acknowledged to that one.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use mnem_store_traits::Cid;

use crate::{Act, Engine, Expected, Gone, Heads, Medium, Opening, Recorded, Recording, Visible, engine::ProcessOf};

/// Several callers of one store, each in a thread of its own.
#[derive(Clone, Copy, Debug)]
pub struct Callers {
    /// How many there are.
    pub count: usize,
    /// Commits of each.
    pub commits: usize,
}

/// Holds a sync back until all callers have come.
#[derive(Clone, Debug)]
pub struct Gathering {
    came: Arc<AtomicU64>,
    callers: u64,
}

impl Gathering {
    /// For storage that calls it during every sync.
    pub fn wait(&self) {
        while !self.came.load(Ordering::SeqCst).is_multiple_of(self.callers) {
            thread::yield_now();
        }
        // Many turns to queue up.
        (0..200).for_each(|_| thread::yield_now());
    }
}

impl Callers {
    /// Runs the callers on blank storage: each commits with a head in place of its last one. The threads make another log each time, so a seed
    /// does not repeat one. `at_sync` makes storage wait for the [`Gathering`] during every sync from then on, so that callers share commits.
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

    /// All that one caller commits.
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

/// Of each caller, what was acknowledged to it, with or without what was in progress.
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
