//! Long runs: explores the workloads of many seeds on all cores.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{Counts, Engine, Scope, explored};

/// A number from the environment.
///
/// # Panics
/// It is not a number.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} takes a number, not {text:?}")))
}

/// Explores workloads from the seed `MNEM_CRASH_SEED` on, until `MNEM_CRASH_IMAGES` images were opened. If
/// `MNEM_CRASH_IMAGE` is set, opens only this image of that seed.
///
/// # Panics
/// An image shows a fault.
pub fn soak<E: Engine>(first: u64, scope: &Scope) {
    let seed = number("MNEM_CRASH_SEED").unwrap_or(first);
    if let Some(only) = number("MNEM_CRASH_IMAGE") {
        let scope = Scope { only: usize::try_from(only).ok(), images: usize::MAX, ..scope.clone() };
        let (counts, violation) = explored::<E>(seed, None, &scope);
        assert!(violation.is_none(), "{}", violation.map(|violation| violation.to_string()).unwrap_or_default());
        println!("{counts:?}: nothing is wrong");
        return;
    }
    let images = number("MNEM_CRASH_IMAGES").unwrap_or(200_000);
    let (next, done) = (AtomicU64::new(seed), Mutex::new((Counts::default(), Vec::new())));
    let start = Instant::now();
    thread::scope(|threads| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| seed_by_seed::<E>(&next, &done, images, start, scope));
        }
    });
    let (counts, violations) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seeds = next.into_inner() - seed;
    println!("{}, {seeds} seeds from {seed}: {} wrong", rate(&counts, start), violations.len());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

fn seed_by_seed<E: Engine>(
    next: &AtomicU64,
    done: &Mutex<(Counts, Vec<String>)>,
    images: u64,
    start: Instant,
    scope: &Scope,
) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        let (counts, violation) = explored::<E>(seed, None, scope);
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.0.add(&counts);
        if let Some(violation) = violation {
            println!("{violation}");
            done.1.push(violation.headline());
        }
        if seed.is_multiple_of(1_000) {
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
    format!("{images} images ({of_recoveries} of recoveries) at {cuts} cuts, {each_second:.0} images/s")
}
