//! Crashes at every point of random workloads, in many of the states that the disk may be in; and broken orders of
//! writes, each of which must be noticed.

use mnem_crash_tests::{Counts, Planted, Scope, every_break_shows, explored, soak as run};

use crate::support::crash::{
    Simple,
    breaks::{BREAKS, Detour},
};

/// Seeds of a normal run.
const SEEDS: u64 = 8;

/// Seeds within which every break must be noticed.
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

/// A break is noticed without further work on the remaining store, and mostly in the simplest states.
fn each_break_shows(from: fn(&Planted<Detour>) -> u64) {
    let scope = Scope { ways: 4, goes_on: false, ..Scope::default() };
    every_break_shows::<Simple>(BREAKS, from, SEEDS_OF_A_BREAK, &scope);
}

#[test]
fn every_planted_break_shows() {
    each_break_shows(|planted| planted.seed);
}

/// As in a normal run, from the first seed on for each break.
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
