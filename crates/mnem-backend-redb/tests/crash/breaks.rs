//! Protocols that are not kept: the explorer notices each one, or it could not be trusted where it is silent.

use mnem_backend_redb::CommitDurability;
use mnem_crash_tests::{
    Break, Caller, Engine, Planted, Recorded, Scope, Wrong, explore, explored, first_shown, record,
};

use super::{
    Redb,
    disk::{Entry, Lie},
};

const SEED: u64 = 611;

/// Images within which a break has to be seen.
const IMAGES: usize = 2_000;

const fn planted(name: &'static str, at: Break<Lie>) -> Planted<Lie> {
    Planted { name, seed: SEED, at }
}

const NEVER_SYNCS: Planted<Lie> = planted("no sync", Break::Medium(Lie::EverySync));
const LAST_WRITE: Planted<Lie> = planted("a sync that leaves out the last write", Break::Medium(Lie::LastWrite));
const ACKNOWLEDGED: Planted<Lie> = planted("acknowledged first", Break::Caller(Caller::AcknowledgedFirst));
const HEAD_FIRST: Planted<Lie> = planted("the head before its blocks", Break::Caller(Caller::HeadFirst));
const TWO_STEPS: Planted<Lie> = planted("a commit in two transactions", Break::Caller(Caller::TwoSteps));

/// What is seen of a break first, in each of the eight sorts of workloads.
fn seen(planted: &Planted<Lie>) -> Vec<Wrong> {
    let seen = (planted.seed..planted.seed + 8).map(|seed| {
        let shown = first_shown::<Redb>(planted, seed..seed + 1, &Scope::of(IMAGES));
        let shown = shown.unwrap_or_else(|| panic!("{}, seed {seed}: nothing was seen", planted.name));
        println!("{}: after {} images: {:?}", planted.name, shown.counts.images, shown.violation.wrong);
        shown.violation.wrong
    });
    seen.collect()
}

#[test]
fn a_disk_that_never_syncs_is_noticed() {
    let seen = seen(&NEVER_SYNCS);
    assert!(seen.contains(&Wrong::Lost), "{seen:?}");
}

#[test]
fn syncs_that_leave_out_the_last_write_are_noticed() {
    let seen = seen(&LAST_WRITE);
    assert!(seen.contains(&Wrong::Lost), "{seen:?}");
}

#[test]
fn acknowledging_before_committing_is_noticed() {
    let seen = seen(&ACKNOWLEDGED);
    assert!(seen.contains(&Wrong::Lost), "{seen:?}");
}

#[test]
fn a_head_before_its_blocks_is_noticed() {
    let seen = seen(&HEAD_FIRST);
    assert!(seen.iter().all(|wrong| *wrong == Wrong::HeadWithoutBlock), "{seen:?}");
}

#[test]
fn a_commit_in_two_steps_is_noticed() {
    let seen = seen(&TWO_STEPS);
    assert!(seen.iter().all(|wrong| *wrong == Wrong::Half), "{seen:?}");
}

#[test]
fn commits_that_are_not_durable_are_noticed_when_they_are_taken_for_durable() {
    let engine = Redb::of(SEED);
    let options = engine.options.clone().durability(CommitDurability::None);
    // Without a kill, which would lose blocks that later commits require.
    let engine = Redb { options, leave_one_in: usize::MAX, ..engine };
    let (_, violation) = explore(&record(&engine, SEED, None).expect("no failure"), SEED, &Scope::of(IMAGES));
    assert_eq!(violation.expect("something is lost").wrong, Wrong::Lost);
}

/// Each sync of each call that writes, left out by itself. One in fifty may go unnoticed: recovery can find a small commit whole without it.
#[test]
fn each_sync_that_is_left_out_is_noticed() {
    let (mut left_out, mut missed) = (0, Vec::new());
    for seed in SEED..SEED + 4 {
        let engine = Redb { acts: 14, ..Redb::of(seed) };
        let whole = record(&engine, seed, None).expect("no failure");
        let log = whole.medium.log();
        for (n, recorded) in whole.acts.iter().enumerate().filter(|(_, recorded)| recorded.act.writes()) {
            for sync in syncs_of(&log, recorded) {
                let lie = planted("one sync", Break::Medium(Lie::OneSync(sync)));
                let broken = record(&engine, seed, Some(&lie)).expect("no failure");
                let cuts = broken.acts[n].begun..broken.acts[n].ended + 2;
                let (counts, violation) = explore(&broken, seed, &Scope { cuts, ..Scope::of(IMAGES) });
                if violation.is_none() {
                    let call: String = log[recorded.begun..recorded.ended].iter().map(letter).collect();
                    missed.push(format!("seed {seed}, sync {sync}, of {:?}, {call}: {counts:?}", recorded.act));
                }
                left_out += 1;
            }
        }
    }
    assert!(missed.len() * 50 < left_out, "{left_out} left out, not missed: {missed:#?}");
    assert!(left_out > 4 * 14, "too few calls that sync: {left_out}");
}

fn letter(entry: &Entry) -> char {
    match entry {
        Entry::Write(..) => 'w',
        Entry::SetLen(_) => 'L',
        Entry::Sync | Entry::SyncFailed => 'S',
    }
}

/// The numbers of its syncs, from 0 at the first one of the log.
fn syncs_of(log: &[Entry], recorded: &Recorded) -> std::ops::Range<usize> {
    let before = |end: usize| log[..end].iter().filter(|entry| matches!(entry, Entry::Sync)).count();
    before(recorded.begun)..before(recorded.ended)
}

/// A workload is run again from its seed, call for call.
#[test]
fn what_is_wrong_is_seen_again_by_seed_and_image_alone() {
    for seed in SEED..SEED + 4 {
        let (_, first) = explored::<Redb>(seed, Some(&TWO_STEPS), &Scope::of(IMAGES));
        let first = first.expect("half of a commit");
        let scope = Scope { only: Some(first.image), ..Scope::default() };
        let (_, again) = explored::<Redb>(seed, Some(&TWO_STEPS), &scope);
        assert_eq!(again.map(|again| again.to_string()), Some(first.to_string()));
    }
}
