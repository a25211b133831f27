//! Concurrent callers share commits: each commit is whole or absent after a power cut, and present if it was
//! acknowledged to its caller.

use mnem_crash_tests::{Callers, Engine, Scope, explore};

use super::{Redb, disk::Entry};

const SEED: u64 = 808;
const CALLERS: Callers = Callers { count: 4, commits: 5 };

/// Images per history.
const IMAGES: usize = if cfg!(debug_assertions) { 400 } else { 4_000 };

/// Explores the power cuts of a history of several callers. Returns its number of syncs.
fn explored(seed: u64) -> usize {
    let engine = Redb::of(seed);
    let disk = engine.blank(None);
    let recording = CALLERS.record(&engine, &disk, |gathering| disk.at_sync(move || gathering.wait()));
    let created = recording.steps[1].0;
    let log = recording.medium.log();
    let scope = Scope { cuts: created..log.len() + 1, ..Scope::of(IMAGES) };
    let (counts, violation) = explore(&recording, seed, &scope);
    assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
    assert!(counts.images >= IMAGES, "{counts:?}");
    log[created..].iter().filter(|entry| matches!(entry, Entry::Sync)).count()
}

#[test]
fn what_callers_commit_together_survives_for_each_of_them() {
    // Seeds with two-phase commits: two syncs per commit that is not shared.
    let syncs: Vec<usize> = (SEED..).filter(|seed| seed % 2 == 0).take(4).map(explored).collect();
    let alone = CALLERS.count * CALLERS.commits * 2;
    assert!(syncs.iter().any(|syncs| *syncs < alone), "no two callers ever shared a commit: {syncs:?} syncs");
}
