//! Protocols that are not kept: the explorer notices each one, or it could not be trusted where it is silent.

use mnem_backend_redb::CommitDurability;

use super::{
    disk::{Entry, Lie},
    explore::{Scope, explore, options},
    history::{History, Step, Wrong},
    life::{Broken, Life},
};

const SEED: u64 = 611;

/// Images within which a break has to be seen.
const IMAGES: usize = 2_000;

fn life(seed: u64, broken: Option<Broken>) -> Life {
    Life { seed, steps: 14, options: options(seed), broken }
}

/// What is seen of a break first, in each of the eight sorts of lives.
fn seen(broken: Broken) -> Vec<Wrong> {
    let seen = (SEED..SEED + 8).map(|seed| {
        let life = life(seed, Some(broken));
        let (counts, violation) = explore(&life, &life.record(), &Scope::of(IMAGES));
        let violation = violation.unwrap_or_else(|| panic!("{broken:?}, seed {seed}: nothing was seen in {counts:?}"));
        println!("{broken:?}: after {} images: {:?}", counts.images, violation.wrong);
        violation.wrong
    });
    seen.collect()
}

#[test]
fn a_disk_that_never_syncs_is_noticed() {
    let seen = seen(Broken::Disk(Lie::EverySync));
    assert!(seen.contains(&Wrong::Lost), "{seen:?}");
}

#[test]
fn syncs_that_leave_out_the_last_write_are_noticed() {
    let seen = seen(Broken::Disk(Lie::LastWrite));
    assert!(seen.contains(&Wrong::Lost), "{seen:?}");
}

#[test]
fn acknowledging_before_committing_is_noticed() {
    let seen = seen(Broken::AcknowledgedFirst);
    assert!(seen.contains(&Wrong::Lost), "{seen:?}");
}

#[test]
fn a_head_before_its_blocks_is_noticed() {
    let seen = seen(Broken::HeadFirst);
    assert!(seen.iter().all(|wrong| *wrong == Wrong::HeadWithoutBlock), "{seen:?}");
}

#[test]
fn a_commit_in_two_steps_is_noticed() {
    let seen = seen(Broken::TwoSteps);
    assert!(seen.iter().all(|wrong| *wrong == Wrong::Half), "{seen:?}");
}

#[test]
fn commits_that_are_not_durable_are_noticed_when_they_are_taken_for_durable() {
    let mut life = life(SEED, None);
    life.options = life.options.durability(CommitDurability::None);
    let (_, violation) = explore(&life, &life.record(), &Scope::of(IMAGES));
    assert_eq!(violation.expect("something is lost").wrong, Wrong::Lost);
}

/// Each sync of each call that writes, left out by itself.
#[test]
fn each_sync_that_is_left_out_is_noticed() {
    let mut left_out = 0;
    for seed in SEED..SEED + 4 {
        let whole = life(seed, None).record();
        for n in 0..whole.steps.len() - 1 {
            if !is_call(&whole.steps[n]) {
                continue;
            }
            for sync in syncs_of(&whole, &whole.steps[n]) {
                let life = life(seed, Some(Broken::Disk(Lie::OneSync(sync))));
                let history = life.record();
                let cuts = history.steps[n].begun..history.steps[n].acknowledged + 2;
                let (counts, violation) = explore(&life, &history, &Scope { cuts, ..Scope::of(IMAGES) });
                let what = whole.steps[n].what;
                assert!(violation.is_some(), "seed {seed}: sync {sync}, of a {what}, is not missed in {counts:?}");
                left_out += 1;
            }
        }
    }
    assert!(left_out > 4 * 14, "too few calls that sync: {left_out}");
}

/// Whether it is a call that writes, and nothing that opens or tidies.
fn is_call(step: &Step) -> bool {
    !["create", "close", "close and open", "kill and open", "compact", "check_integrity"].contains(&step.what)
}

/// The numbers of its syncs, from 0 at the first one of the history.
fn syncs_of(history: &History, step: &Step) -> std::ops::Range<usize> {
    let before = |end: usize| history.log[..end].iter().filter(|entry| matches!(entry, Entry::Sync)).count();
    before(step.begun)..before(step.acknowledged)
}

/// A life is lived again from its seed, call for call.
#[test]
fn what_is_wrong_is_seen_again_by_seed_and_image_alone() {
    for seed in SEED..SEED + 4 {
        let life = life(seed, Some(Broken::TwoSteps));
        let (_, first) = explore(&life, &life.record(), &Scope::of(IMAGES));
        let first = first.expect("half of a commit");
        let scope = Scope { only: Some(first.image), ..Scope::of(first.image + 1) };
        let (_, again) = explore(&life, &life.record(), &scope);
        assert_eq!(again.map(|again| again.to_string()), Some(first.to_string()));
    }
}
