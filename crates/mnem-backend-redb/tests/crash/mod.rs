//! Power cuts at every point of a store's life: of what was not synced any part may be on the disk, and what was acknowledged is there.
//!
//! A seeded [`life`] is lived on a [`disk`] that writes down what is done to it. From the log, [`survivors`] makes what a power cut may leave;
//! [`explore`] opens it as a user would and compares what it holds with the [`history`]. Some recoveries are cut off in turn. [`breaks`] shows
//! that all this notices what it is there to notice; in [`faults`] the calls of the disk fail, each in its turn.

mod breaks;
mod callers;
mod chance;
mod disk;
mod explore;
mod failing;
mod faults;
mod history;
mod image;
mod life;
pub(crate) mod quiet;
mod survivors;
mod writes;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use explore::{Counts, Scope, Violation, explore, options};
use life::Life;

const SEED: u64 = 20_261_125;

/// Images of each of the eight sorts of lives in every test run: 200,000 in all where the code is optimised.
const IMAGES: usize = if cfg!(debug_assertions) { 1_500 } else { 18_000 };

/// Images of each life of a long run.
const IMAGES_OF_A_LIFE: usize = 6_000;

fn life(seed: u64) -> Life {
    Life { seed, steps: 30, options: options(seed), broken: None }
}

/// Everything that four of the eight sorts of lives may leave.
fn explored(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let life = life(seed);
        let (counts, violation) = explore(&life, &life.record(), &Scope::of(IMAGES));
        assert!(violation.is_none(), "{}", violation.as_ref().map(told).unwrap_or_default());
        assert!(counts.images >= IMAGES && counts.of_recoveries > IMAGES / 10, "too little was looked at: {counts:?}");
        println!("seed {seed}: {counts:?}");
    }
}

#[test]
fn two_phase_commits_survive_whatever_a_power_cut_leaves() {
    explored((SEED..SEED + 8).filter(|seed| seed % 2 == 0));
}

#[test]
fn one_phase_commits_survive_whatever_a_power_cut_leaves() {
    explored((SEED..SEED + 8).filter(|seed| seed % 2 == 1));
}

/// A life in each of the modes that let others in, and in each layout.
#[test]
fn commits_of_stores_that_others_may_open_survive_whatever_a_power_cut_leaves() {
    explored((SEED..SEED + 32).filter(|seed| [16, 30].contains(&(seed % 32))));
}

/// A violation, and how to see it again.
fn told(violation: &Violation) -> String {
    let Violation { seed, image, .. } = violation;
    format!("{violation}\nthis image alone: cargo xtask soak crash-redb --seed {seed} --image {image}")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not {text:?}")))
}

/// Lives of one seed after the other, on all cores, until `MNEM_CRASH_IMAGES` were looked at; or the one image that is named.
#[test]
#[ignore = "long: cargo xtask soak crash-redb"]
fn soak() {
    let seed = number("MNEM_CRASH_SEED").unwrap_or(SEED);
    if let Some(only) = number("MNEM_CRASH_IMAGE") {
        let only = usize::try_from(only).expect("a small number");
        let (life, scope) = (life(seed), Scope { only: Some(only), ..Scope::of(only + 1) });
        let (_, violation) = explore(&life, &life.record(), &scope);
        assert!(violation.is_none(), "{}", violation.as_ref().map(told).unwrap_or_default());
        return;
    }
    let images = number("MNEM_CRASH_IMAGES").unwrap_or(200_000);
    let (next, done) = (AtomicU64::new(seed), Mutex::new((Counts::default(), Vec::new())));
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| live_on(&next, &done, images, start));
        }
    });
    let (counts, violations) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let lives = next.into_inner() - seed;
    println!("{}, {lives} lives from seed {seed}: {} wrong", rate(&counts, start), violations.len());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

fn live_on(next: &AtomicU64, done: &Mutex<(Counts, Vec<String>)>, images: u64, start: Instant) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let life = life(seed);
        let (counts, violation) = explore(&life, &life.record(), &Scope::of(IMAGES_OF_A_LIFE));
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.0.add(&counts);
        if let Some(violation) = violation {
            println!("{}", told(&violation));
            done.1.push(told(&violation));
        }
        if seed.is_multiple_of(50) {
            println!("{}", rate(&done.0, start));
        }
        if done.0.images as u64 >= images {
            break;
        }
    }
}

fn rate(counts: &Counts, start: Instant) -> String {
    let Counts { images, of_recoveries, cuts } = counts;
    let each_second = *images as f64 / start.elapsed().as_secs_f64();
    format!("{images} images ({of_recoveries} of recoveries) at {cuts} crash points, {each_second:.0} images/s")
}
