//! Deliberately broken protocols: the explorer must notice each one, or its silence elsewhere would prove nothing.

use mnem_backend_redb::CommitDurability;
use mnem_crash_tests::{
    Break, Caller, Engine, Planted, Recorded, Scope, Wrong, explore, explored, first_shown, record,
};

use super::{
    Redb,
    disk::{Entry, Lie},
};

const SEED: u64 = 611;

/// A break must be noticed within this many images.
const IMAGES: usize = 2_000;

const fn planted(name: &'static str, at: Break<Lie>) -> Planted<Lie> {
    Planted { name, seed: SEED, at }
}

const NEVER_SYNCS: Planted<Lie> = planted("no sync", Break::Medium(Lie::EverySync));
const LAST_WRITE: Planted<Lie> = planted("a sync that leaves out the last write", Break::Medium(Lie::LastWrite));
const ACKNOWLEDGED: Planted<Lie> = planted("acknowledged first", Break::Caller(Caller::AcknowledgedFirst));
const HEAD_FIRST: Planted<Lie> = planted("the head before its blocks", Break::Caller(Caller::HeadFirst));
const TWO_STEPS: Planted<Lie> = planted("a commit in two transactions", Break::Caller(Caller::TwoSteps));

/// The first violation that is noticed, for each of the eight kinds of workloads.
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
    // Without kills, which would lose blocks that later commits require.
    let engine = Redb { options, leave_one_in: usize::MAX, ..engine };
    let (counts, violation) = explore(&record(&engine, SEED, None).expect("no failure"), SEED, &Scope::of(IMAGES));
    assert_eq!(violation.expect("something is lost").wrong, Wrong::Lost);
    println!("commits that are not durable: after {} images", counts.images);
}

/// Each sync of each writing call is left out in turn. It is noticed, unless recovery does not need that sync.
#[test]
fn each_sync_that_is_left_out_is_noticed_if_recovery_needs_it() {
    let (mut left_out, mut not_needed, mut wrong) = (0, 0, Vec::new());
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
                let needed = is_needed(&log, sync);
                if violation.is_some() != needed {
                    let call: String = log[recorded.begun..recorded.ended].iter().map(letter).collect();
                    let act = &recorded.act;
                    wrong.push(format!("seed {seed}, sync {sync}, needed {needed}, of {act:?}, {call}: {counts:?}"));
                }
                left_out += 1;
                not_needed += usize::from(!needed);
            }
        }
    }
    println!("{left_out} syncs left out, {not_needed} of them not needed");
    assert!(wrong.is_empty(), "of {left_out} left out: {wrong:#?}");
    assert!(left_out > 4 * 14 && not_needed > 0, "too little was tried: {left_out}, {not_needed} not needed");
}

/// Offset of the byte in redb's header that names the primary slot and how it was committed; and its bit for two
/// phases.
const GOD_BYTE: usize = 9;
const TWO_PHASES: u8 = 4;

/// Whether recovery needs a sync, counted from 0.
///
/// Only the second sync of a two-phase commit can be superfluous. The first sync makes the new pages and the new slot
/// durable. The second one covers only the god byte, which makes that slot the primary. If the durable god byte says
/// that the commit before had one phase, as an integrity check's has, recovery takes the newer slot whose checksum
/// holds, and finds the new commit without the second sync. After a two-phase commit, recovery trusts the primary
/// alone, and needs the sync.
fn is_needed(log: &[Entry], sync: usize) -> bool {
    let mut syncs = (0..log.len()).filter(|n| matches!(log[*n], Entry::Sync)).skip(sync - 1);
    let (first, second) = (syncs.next().expect("creation syncs"), syncs.next().expect("a sync of the log"));
    let headers = log[..first].iter().rev().filter_map(header);
    let durable = headers.map(|header| header[GOD_BYTE]).next().expect("a header");
    let only_header = second == first + 2 && header(&log[first + 1]).is_some();
    !only_header || durable & TWO_PHASES != 0
}

/// The bytes of a write of the header, which redb writes whole.
fn header(entry: &Entry) -> Option<&[u8]> {
    match entry {
        Entry::Write(0, bytes) => Some(bytes),
        _ => None,
    }
}

fn letter(entry: &Entry) -> char {
    match entry {
        Entry::Write(..) => 'w',
        Entry::SetLen(_) => 'L',
        Entry::Sync | Entry::SyncFailed => 'S',
    }
}

/// The numbers of the syncs of a call, counted from the first one of the log.
fn syncs_of(log: &[Entry], recorded: &Recorded) -> std::ops::Range<usize> {
    let before = |end: usize| log[..end].iter().filter(|entry| matches!(entry, Entry::Sync)).count();
    before(recorded.begun)..before(recorded.ended)
}

/// A workload can be repeated from its seed, call for call.
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
