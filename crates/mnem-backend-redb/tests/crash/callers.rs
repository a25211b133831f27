//! Callers at the same time share commits: what each one committed is whole or absent, and there once it was acknowledged to that one.

use mnem_crash_tests::{Callers, Engine, Scope, explore};

use super::{Redb, disk::Entry};

const SEED: u64 = 808;
const CALLERS: Callers = Callers { count: 4, commits: 5 };

/// Images of each history.
const IMAGES: usize = if cfg!(debug_assertions) { 400 } else { 4_000 };

/// Looks at what crashes leave of a history of several callers; how often they synced.
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
    // Those with two phases: two syncs for each commit that is not shared.
    let syncs: Vec<usize> = (SEED..).filter(|seed| seed % 2 == 0).take(4).map(explored).collect();
    let alone = CALLERS.count * CALLERS.commits * 2;
    assert!(syncs.iter().any(|syncs| *syncs < alone), "no two callers ever shared a commit: {syncs:?} syncs");
}
