//! Every call of the disk fails, once or for good. The error names the operation and its outcome, the handle behaves as
//! the contract says, and the next open finds everything acknowledged.

use std::ops::Range;

use mnem_crash_tests::{Counts, Engine, Scope, Violation, Wrong, explore, number, quietly};

use super::{
    Redb,
    disk::{CALLS, Call, Disk, Entry, Fault, HOW, How},
    failing::{live, live_on},
};

const SEED: u64 = 5_150;

/// Failing calls of one kind per test run, at most, spread evenly over a life.
const FAILING_MAX: usize = if cfg!(debug_assertions) { 120 } else { 2_000 };

/// Images per life with a failed sync, about.
const IMAGES: usize = if cfg!(debug_assertions) { 50 } else { 500 };

/// A short workload without a cache, so that reads reach the disk.
fn engine(seed: u64) -> Redb {
    let engine = Redb::of(seed);
    Redb { options: engine.options.clone().cache_bytes(0), acts: 9, ..engine }
}

/// The number of calls of each kind in a life without failures.
fn calls(seed: u64, call: Call) -> usize {
    let disk = Disk::default();
    let never = Fault { call, n: usize::MAX, how: How::InputOutput, lasting: false };
    live_on(&engine(seed), seed, never, disk.clone()).expect("no failure");
    disk.count(call)
}

/// Fails a call. Panics with the name of the fault if anything is wrong afterwards.
fn fails(seed: u64, fault: Fault) {
    let lived = quietly(|| live(&engine(seed), seed, fault)).unwrap_or_else(|panic| Err((Wrong::Panicked, panic)));
    if let Err((wrong, text)) = lived {
        panic!("seed {seed}, {fault:?}: {wrong:?}: {text}");
    }
}

/// Fails each call of a kind, in alternating ways.
fn each_fails(call: Call, seeds: Range<u64>) {
    let mut failed = 0;
    for seed in seeds {
        let count = calls(seed, call);
        for n in (0..count).step_by(count.div_ceil(FAILING_MAX)) {
            // Use a counter: the failing calls may be every fourth one.
            fails(seed, Fault { call, n, how: HOW[failed % 4], lasting: failed / 4 % 2 == 1 });
            failed += 1;
        }
        println!("{call:?}, seed {seed}: {count} calls");
    }
    assert!(failed > 10, "{call:?} failed {failed} times");
}

/// Every call, in every way, in as many lives as `MNEM_CRASH_IMAGES` has millions; and power cuts after each failed
/// sync.
#[test]
#[ignore = "long: cargo xtask soak faults-redb"]
fn soak() {
    let lives = 1 + number("MNEM_CRASH_IMAGES").unwrap_or(0) / 1_000_000;
    let first = number("MNEM_CRASH_SEED").unwrap_or(SEED);
    let (mut failed, mut images) = (0, 0);
    for seed in first..first + lives {
        for call in CALLS {
            for n in 0..calls(seed, call) {
                for how in HOW {
                    [false, true].into_iter().for_each(|lasting| fails(seed, Fault { call, n, how, lasting }));
                    failed += 2;
                }
            }
        }
        // One-phase commits do not promise to survive failed syncs.
        if seed % 4 != 1 {
            let (counts, violation) = after_failed_syncs(seed);
            assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
            images += counts.images;
        }
        println!("{failed} calls failed, {images} images after syncs that failed, 0 wrong; seed {seed}");
    }
}

#[test]
fn every_write_that_fails_is_told_and_harms_nothing() {
    each_fails(Call::Write, SEED..SEED + 2);
}

#[test]
fn every_sync_that_fails_is_told_and_harms_nothing() {
    each_fails(Call::Sync, SEED..SEED + 4);
}

#[test]
fn every_change_of_length_that_fails_is_told_and_harms_nothing() {
    each_fails(Call::SetLen, SEED..SEED + 4);
}

#[test]
fn every_read_that_fails_is_told_and_harms_nothing() {
    each_fails(Call::Read, SEED..SEED + 2);
}

#[test]
fn every_question_for_the_length_that_fails_is_told_and_harms_nothing() {
    each_fails(Call::Len, SEED..SEED + 2);
}

/// Each sync of a life fails once, after which its writes are in memory only; then the store is opened again and
/// written. Explores what a later power cut leaves.
fn after_failed_syncs(seed: u64) -> (Counts, Option<Violation>) {
    let mut all = Counts::default();
    for n in 0..calls(seed, Call::Sync) {
        let fault = Fault { call: Call::Sync, n, how: How::InputOutput, lasting: false };
        let lived = live(&engine(seed), seed, fault).unwrap_or_else(|wrong| panic!("{fault:?}: {wrong:?}"));
        let Some(recording) = lived else { continue };
        let log = recording.medium.log();
        let failed = log.iter().position(|entry| matches!(entry, Entry::SyncFailed)).expect("it failed");
        let cuts = failed..log.len() + 1;
        // Everything dropped, everything kept, and more.
        let images = IMAGES.max(2 * cuts.len());
        let scope = Scope { images, every: images / IMAGES, cuts, ..Scope::default() };
        let (counts, violation) = explore(&recording, seed, &scope);
        all.add(&counts);
        if violation.is_some() {
            return (all, violation);
        }
    }
    (all, None)
}

#[test]
fn two_phase_commits_survive_a_power_cut_after_a_sync_that_failed() {
    for seed in (SEED..).filter(|seed| seed % 2 == 0).take(2) {
        let (counts, violation) = after_failed_syncs(seed);
        assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
        println!("seed {seed}: {counts:?}");
    }
}

/// The explorer notices that one-phase commits do not survive failed syncs.
#[test]
fn one_phase_commits_do_not() {
    let seed = (SEED..).find(|seed| seed % 4 == 1).expect("one in four");
    let (counts, violation) = after_failed_syncs(seed);
    let violation = violation.unwrap_or_else(|| panic!("nothing was seen in {counts:?}"));
    assert!([Wrong::NotOpened, Wrong::Lost].contains(&violation.wrong), "{violation}");
}
