//! Every call of the file system fails, one at a time, in every way: the error names the operation and the path,
//! everything acknowledged stays, and the handle is poisoned exactly if a sync was tried and failed.

use std::{collections::BTreeMap, io};

use mnem_crash_tests::{Act, Done, Engine, Expected, Gone, Heads, Runner, head, whole};
use mnem_store_traits::{ErrorKind, Outcome, StoreError};

use crate::support::{
    crash::{
        Files, Simple,
        process::{Fault, Verb},
    },
    memory_fs::MemoryFs,
};

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

const VERBS: [Verb; 13] = [
    Verb::Look,
    Verb::Read,
    Verb::List,
    Verb::CreateFolder,
    Verb::CreateFile,
    Verb::Write,
    Verb::SyncNew,
    Verb::SyncFolder,
    Verb::SyncAll,
    Verb::Rename,
    Verb::Link,
    Verb::Remove,
    Verb::Lock,
];

/// Syncs the whole file system from three new blocks on.
fn engine() -> Simple {
    Simple { whole_sync_from: 3, ..Simple::of(0) }
}

fn runner(fs: MemoryFs, expected: Expected) -> Runner<Simple> {
    Runner::new(engine(), Files::of(fs), expected)
}

fn acts() -> Vec<Act> {
    let heads = |new: &[u64], gone| Heads { new: new.iter().map(|n| head(*n)).collect(), gone };
    let commit = |puts: &[usize], required: &[usize], gone| {
        let new = vec![Simple::pool().block(puts[0]).0];
        Act::Commit { puts: puts.to_vec(), required: required.to_vec(), heads: Heads { new, gone } }
    };
    vec![
        Act::Put(3),
        Act::PutMany(vec![4, 5]),
        Act::PutMany(vec![6, 7, 8, 9]),
        commit(&[10, 11], &[3, 4], Gone::None),
        Act::ChangeHeads(heads(&[1], Gone::None)),
        commit(&[12], &[4, 5, 6, 7, 8, 9], Gone::First),
        Act::ChangeHeads(heads(&[2], Gone::Swapped)),
        Act::ChangeHeads(heads(&[3, 4], Gone::AllButFirst)),
        Act::Put(5),
        Act::PutMany(vec![13, 14, 15]),
        Act::Delete(13),
        Act::DeleteMany(vec![14, 15]),
        Act::Rows { table: 0, puts: vec![(1, 1), (2, 2)], deletes: vec![] },
        Act::Rows { table: 0, puts: vec![(1, 3)], deletes: vec![2] },
    ]
}

/// Runs the workload with one fault. Returns `false` if the workload has no such call any more.
fn run(fault: Fault) -> bool {
    let told = |what: &str| format!("{fault:?}: {what}");
    let fs = engine().blank(None).fs;
    let mut runner = runner(fs, Expected::nothing(Simple::ATOMIC));
    let open = Act::Open { durable: true };
    runner.prepare = Some(Box::new(move |process| process.fail(fault)));
    let mut met = 0;
    let mut poisoned = false;
    match runner.run(0, &open, None) {
        Done::Failed(error) => {
            check_error(&error, fault);
            met = 1;
            assert!(matches!(runner.run(0, &open, None), Done::Ok), "{}", told("opening again fails"));
        }
        done => assert!(matches!(done, Done::Ok)),
    }
    for act in acts() {
        let before = runner.visible.clone();
        match runner.run(0, &act, None) {
            Done::Ok => assert!(!poisoned, "{}", told("a poisoned handle writes")),
            Done::Failed(error) if poisoned => {
                assert_eq!(error.kind(), ErrorKind::Poisoned, "{}", told(&whole(&error)))
            }
            Done::Failed(error) => {
                assert_eq!(met, 0, "{}", told(&format!("{act:?} fails as well: {}", whole(&error))));
                check_error(&error, fault);
                if error.outcome() == Outcome::NotApplied {
                    assert_eq!(runner.visible.heads, before.heads, "{}", told("it was applied all the same"));
                }
                (met, poisoned) = (1, fault.verb.syncs());
                if !poisoned {
                    assert!(matches!(runner.run(0, &act, None), Done::Ok), "{}", told("it cannot be tried again"));
                }
            }
            Done::Killed => unreachable!("nobody is killed"),
        }
    }
    let process = &runner.opened[0].as_ref().unwrap().process;
    let was_met = met > 0 || process.faults_met() > 0;
    // A reader sees what was acknowledged or attempted, now and after a power cut that leaves the least.
    for fs in [runner.medium.fs.after_power_cut(), runner.medium.fs.clone()] {
        let mut after = self::runner(fs, runner.expected.clone());
        assert!(matches!(after.run(0, &open, None), Done::Ok), "{}", told("it does not open again"));
        after.check(0, true).unwrap_or_else(|(wrong, what)| panic!("{}", told(&format!("{wrong:?}: {what}"))));
        for act in acts() {
            assert!(matches!(after.run(0, &act, None), Done::Ok), "{}", told("the next handle cannot write"));
        }
    }
    was_met
}

/// Checks that the error names the path and holds the system's error.
fn check_error(error: &StoreError, fault: Fault) {
    let text = whole(error);
    assert_eq!(error.kind(), ErrorKind::Backend, "{fault:?}: {text}");
    assert!(error.to_string().contains("/disk"), "{fault:?}: {text}");
    let StoreError::Backend { source, .. } = error else { unreachable!("it is of that kind") };
    let number = source.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    assert_eq!(number, Some(fault.errno), "{fault:?}: {text}");
}

#[test]
fn every_call_that_fails_is_named_and_loses_nothing() {
    let mut failed = BTreeMap::new();
    for verb in VERBS {
        for (errno, short) in [(EIO, false), (ENOSPC, verb == Verb::Write), (EINTR, false)] {
            let calls = (0..).take_while(|pass| run(Fault { pass: *pass, verb, errno, short })).count();
            failed.insert(format!("{verb:?}"), calls);
        }
    }
    println!("calls that failed, three ways each: {failed:?}");
    assert!(failed.values().all(|calls| *calls > 0), "{failed:?}");
}
