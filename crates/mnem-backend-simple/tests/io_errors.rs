//! Every call of the file system fails, one at a time, in every way: the error says what and where, what was acknowledged stays, and the handle
//! is poisoned exactly when a sync was tried and failed.

use std::{collections::BTreeMap, io, path::Path};

use mnem_store_traits::{ErrorKind, Outcome, StoreError};

use crate::support::{
    crash::{
        ROOT,
        expected::Expected,
        process::{Fault, Verb},
        runner::{Done, Runner},
        workload::{Act, Supersedes},
    },
    head,
    memory_fs::MemoryFs,
    whole,
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

/// From how many new blocks on the whole file system is synced.
const WHOLE_SYNC_FROM: usize = 3;

fn acts() -> Vec<Act> {
    let commit = |puts: &[usize], required: &[usize], supersedes| Act::Commit {
        puts: puts.to_vec(),
        required: required.to_vec(),
        head: puts[0],
        supersedes,
    };
    vec![
        Act::Put(3),
        Act::PutMany(vec![4, 5]),
        Act::PutMany(vec![6, 7, 8, 9]),
        commit(&[10, 11], &[3, 4], Supersedes::None),
        Act::Update { new: head(1), supersedes: Supersedes::None },
        commit(&[12], &[4, 5, 6, 7, 8, 9], Supersedes::First),
        Act::Swap { new: head(2), stale: false },
        Act::Put(5),
        Act::Put(13),
        Act::Delete(13),
        Act::Rows { table: 0, puts: vec![(1, 1), (2, 2)], deletes: vec![] },
        Act::Rows { table: 0, puts: vec![(1, 3)], deletes: vec![2] },
    ]
}

/// Runs all of it with one fault. `false`: the workload makes no such call any more.
fn run(fault: Fault) -> bool {
    let told = |what: &str| format!("{fault:?}: {what}");
    let fs = MemoryFs::with_folder(Path::new(ROOT).parent().unwrap()).settled();
    let mut runner = Runner::new(fs, Expected::nothing(), WHOLE_SYNC_FROM, None);
    let open = Act::Open { durable: true };
    runner.next_fault = Some(fault);
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
    // What a reader sees now, and after a power cut that leaves the least, is what was acknowledged, or was tried.
    for fs in [runner.fs.after_power_cut(), runner.fs.clone()] {
        let mut after = Runner::new(fs, runner.expected.clone(), WHOLE_SYNC_FROM, None);
        assert!(matches!(after.run(0, &open, None), Done::Ok), "{}", told("it does not open again"));
        let opened = after.opened[0].take().unwrap();
        after.check(&opened.store, true).unwrap_or_else(|what| panic!("{}", told(&what)));
        after.opened[0] = Some(opened);
        for act in acts() {
            assert!(matches!(after.run(0, &act, None), Done::Ok), "{}", told("the next handle cannot write"));
        }
    }
    was_met
}

/// It names the path, and holds the system's error.
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
