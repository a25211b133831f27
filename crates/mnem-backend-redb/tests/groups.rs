//! Concurrent writers share transactions and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use mnem_backend_redb::RedbStore;
use mnem_store_traits::{Blockstore, ErrorKind, OpHeadsStore, Outcome, Store, StoreError, WriteBatch};

use crate::support::{Call, FakeMedium, block};

const CALLERS: u64 = 16;
const CALLS: u64 = 20;

/// A store whose syncs wait for another caller to arrive, if one is still to come.
fn store_of_callers() -> (FakeMedium, RedbStore, Arc<Callers>) {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    let callers = Arc::new(Callers::default());
    medium.at_sync({
        let callers = Arc::clone(&callers);
        move || callers.wait_for_another()
    });
    (medium, store, callers)
}

#[derive(Default)]
struct Callers {
    begun: AtomicU64,
    ended: AtomicU64,
    gone: AtomicU64,
}

impl Callers {
    fn call<R>(&self, call: impl FnOnce() -> R) -> R {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let result = call();
        self.ended.fetch_add(1, Ordering::SeqCst);
        result
    }

    fn wait_for_another(&self) {
        let under_way = || self.begun.load(Ordering::SeqCst) - self.ended.load(Ordering::SeqCst);
        while under_way() < 2 && self.gone.load(Ordering::SeqCst) < CALLERS - 1 {
            thread::yield_now();
        }
    }

    /// Runs `call` in many threads at once, with a different number in every call.
    fn run(&self, call: impl Fn(u64) -> Result<(), StoreError> + Sync) -> Vec<(u64, Result<(), StoreError>)> {
        thread::scope(|scope| {
            let caller = |caller: u64| {
                let call = &call;
                scope.spawn(move || {
                    let numbers = caller * CALLS..(caller + 1) * CALLS;
                    let done = numbers.map(|n| (n, self.call(|| call(n)))).collect::<Vec<_>>();
                    self.gone.fetch_add(1, Ordering::SeqCst);
                    done
                })
            };
            let threads: Vec<_> = (0..CALLERS).map(caller).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        })
    }
}

#[test]
fn callers_at_the_same_time_share_syncs() {
    let (medium, store, callers) = store_of_callers();
    let before = medium.count(Call::Sync);
    for (n, put) in callers.run(|n| store.put(&block(n).0, block(n).1)) {
        put.expect("put");
        assert_eq!(store.get(&block(n).0).expect("get"), Some(block(n).1));
    }
    let alone = 2 * CALLERS * CALLS;
    let syncs = medium.count(Call::Sync) - before;
    assert!(syncs < alone, "{syncs} syncs for {} puts", CALLERS * CALLS);
}

#[test]
fn a_caller_alone_waits_for_two_syncs_and_nobody_else() {
    let medium = FakeMedium::default();
    let store = FakeMedium::options().open_medium(medium.clone(), "medium").expect("create");
    store.put_many(&mut (1000..1100).map(|n| Ok(block(n)))).expect("room for what follows");
    store.delete(&block(1000).0).expect("delete");
    let before = medium.count(Call::Sync);
    store.put(&block(1).0, block(1).1).expect("put");
    assert_eq!(medium.count(Call::Sync) - before, 2);
}

#[test]
fn who_is_refused_leaves_the_others_as_they_are() {
    let (_, store, callers) = store_of_callers();
    let absent = block(1_000_000).0;
    let done = callers.run(|n| {
        let (cid, data) = block(n);
        match n % 4 {
            0 => store.put(&cid, data),
            1 => store.commit(WriteBatch::new().put(cid, data).require(absent)),
            2 => store.commit(WriteBatch::new().put(cid, data).swap([absent], cid)),
            _ => store.commit(WriteBatch::new().put(cid, data).update(cid, [])),
        }
    });
    let mut heads = Vec::new();
    for (n, result) in done {
        let (cid, _) = block(n);
        let refusal = [None, Some(ErrorKind::MissingBlock), Some(ErrorKind::HeadsMoved), None][n as usize % 4];
        assert_eq!(result.as_ref().err().map(StoreError::kind), refusal, "{result:?}");
        assert_eq!(store.has(&cid).expect("has"), refusal.is_none());
        if n % 4 == 3 {
            heads.push(cid);
        }
    }
    heads.sort();
    assert_eq!(store.heads().expect("heads"), heads);
}

#[test]
fn a_failed_sync_is_told_to_everybody_whose_commit_it_was() {
    let (medium, store, callers) = store_of_callers();
    medium.fail(Call::Sync, 31);
    let done = callers.run(|n| store.put(&block(n).0, block(n).1));
    let medium = FakeMedium::of(medium.bytes());
    let store = FakeMedium::options().open_medium(medium, "medium").expect("reopen");
    let mut unknown = 0;
    for (n, result) in done {
        let there = store.has(&block(n).0).expect("has");
        match result {
            Ok(()) => assert!(there, "block {n} was acknowledged"),
            Err(error) if error.outcome() == Outcome::Unknown => unknown += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Poisoned);
                assert!(!there, "block {n} was refused");
            }
        }
    }
    assert!(unknown >= 1);
}

#[test]
fn sixty_four_writers_all_come_to_an_end_and_see_what_they_wrote() {
    let store = FakeMedium::options().open_medium(FakeMedium::default(), "medium").expect("create");
    thread::scope(|scope| {
        for writer in 0..64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..10 {
                    let (cid, data) = block(writer * 1000 + n);
                    let before = if n == 0 { vec![] } else { vec![block(writer * 1000 + n - 1).0] };
                    store.commit(WriteBatch::new().put(cid, data).update(cid, before)).expect("commit");
                    assert!(store.heads().expect("heads").contains(&cid));
                    assert!(store.has(&cid).expect("has"));
                }
            });
        }
    });
    assert_eq!(store.heads().expect("heads").len(), 64);
}

#[test]
fn who_was_refused_knows_that_nothing_was_applied_whatever_the_commit_of_the_others_does() {
    for sync in [11, 21, 31, 41] {
        let (medium, store, callers) = store_of_callers();
        medium.fail(Call::Sync, sync);
        let absent = block(1_000_000).0;
        let done = callers.run(|n| match n % 2 {
            0 => store.put(&block(n).0, block(n).1),
            _ => store.commit(WriteBatch::new().put(block(n).0, block(n).1).require(absent)),
        });
        for (n, result) in done {
            if n % 2 == 1 {
                let error = result.expect_err("the required block is in no state of the store");
                assert_eq!(error.outcome(), Outcome::NotApplied, "{n}: {error}");
            }
        }
    }
}
