//! Crashes at every point of drawn workloads, in many of the states that a disk may be in then; and breaks of the order of writes, all of which
//! that must show.

use mnem_crash_tests::{Counts, Planted, Scope, every_break_shows, explored, soak as run};

use crate::support::crash::{
    Simple,
    breaks::{BREAKS, Detour},
};

/// Seeds of an ordinary run.
const SEEDS: u64 = 8;

/// Seeds within which every break must show.
const SEEDS_OF_A_BREAK: u64 = 400;

#[test]
fn what_was_acknowledged_survives_any_crash_and_nothing_half_done_shows() {
    let mut counts = Counts::default();
    for seed in 0..SEEDS {
        let (more, violation) = explored::<Simple>(seed, None, &Scope::default());
        assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
        counts.add(&more);
    }
    assert!(counts.images > 10 * SEEDS as usize && counts.of_recoveries > SEEDS as usize, "{counts:?}");
}

/// A break of the workload shows without further work on what it left, and mostly in the plainest states.
fn each_break_shows(from: fn(&Planted<Detour>) -> u64) {
    let scope = Scope { ways: 4, goes_on: false, ..Scope::default() };
    every_break_shows::<Simple>(BREAKS, from, SEEDS_OF_A_BREAK, &scope);
}

#[test]
fn every_planted_break_shows() {
    each_break_shows(|planted| planted.seed);
}

/// As the ordinary run, from the first seed on for each.
#[test]
#[ignore = "takes a minute"]
fn every_planted_break_shows_from_the_first_seed_on() {
    each_break_shows(|_| 0);
}

/// As many states as `MNEM_CRASH_IMAGES` says, from the seed `MNEM_CRASH_SEED` on, on all cores.
#[test]
#[ignore = "long: cargo xtask soak crash-simple"]
fn soak() {
    run::<Simple>(0, &Scope::default());
}
