//! Crashes at every point of drawn workloads, in many of the states that a disk may be in then; and breaks of the order of writes, all of which that must show.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::support::crash::{
    breaks::{BREAKS, Break},
    explore::{Explored, Only, explore},
};

/// Seeds of an ordinary run.
const SEEDS: u64 = 8;

/// Seeds within which every break must show.
const SEEDS_OF_A_BREAK: u64 = 400;

#[test]
fn what_was_acknowledged_survives_any_crash_and_nothing_half_done_shows() {
    let mut explored = Explored::default();
    for seed in 0..SEEDS {
        explored += explore(seed, None, None).unwrap_or_else(|violation| panic!("{violation}"));
    }
    assert!(explored.states > 10 * SEEDS && explored.recoveries > SEEDS, "{explored:?}");
}

#[test]
fn every_planted_break_shows() {
    every_break_shows(|planted| planted.seed);
}

/// As the ordinary run, from the first seed on for each.
#[test]
#[ignore = "takes a minute"]
fn every_planted_break_shows_from_the_first_seed_on() {
    every_break_shows(|_| 0);
}

fn every_break_shows(from: fn(&Break) -> u64) {
    let mut missed = Vec::new();
    for planted in BREAKS {
        let mut explored = Explored::default();
        let first = from(planted);
        let shown = (first..first + SEEDS_OF_A_BREAK).find_map(|seed| match explore(seed, Some(planted), None) {
            Ok(more) => {
                explored += more;
                None
            }
            Err(violation) => {
                explored += violation.explored;
                Some(violation.to_string())
            }
        });
        match shown.as_deref().map(str::lines).and_then(|mut lines| lines.next()) {
            Some(shown) => println!("{:<52}{:>8} states  {shown}", planted.name, explored.states),
            None => missed.push(planted.name),
        }
    }
    assert!(missed.is_empty(), "no state of {SEEDS_OF_A_BREAK} seeds shows {missed:?}");
}

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
}

/// One state again, of those that a failure names.
#[test]
#[ignore = "needs to be told which state"]
fn again() {
    let seed = number("MNEM_CRASH_SEED", 0);
    let at = |variable| std::env::var(variable).ok().map(|_| number(variable, 0) as usize);
    let only = at("MNEM_CRASH_POINT").map(|point| Only { point, state: at("MNEM_CRASH_STATE").unwrap_or(0) });
    let explored = explore(seed, None, only).unwrap_or_else(|violation| panic!("{violation}"));
    println!("seed {seed}: {explored:?}, nothing is wrong");
}

/// As many states as `MNEM_CRASH_STATES` says, from the seed `MNEM_CRASH_SEED` on, on all cores.
#[test]
#[ignore = "as long as it is told to"]
fn soak() {
    let (states, first) = (number("MNEM_CRASH_STATES", 100_000), number("MNEM_CRASH_SEED", 0));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (next, all, begin) = (AtomicU64::new(first), Mutex::new(Explored::default()), Instant::now());
    let told = |all: &Explored| {
        let rate = all.states as f64 / begin.elapsed().as_secs_f64();
        println!("{all:?} from seed {first} on, {rate:.0} states a second on {cores} cores; nothing is wrong");
    };
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let explored = explore(seed, None, None).unwrap_or_else(|violation| panic!("{violation}"));
            let mut all = all.lock().expect("a state that no crash may leave");
            *all += explored;
            if all.states >= states {
                break;
            }
            if all.seeds.is_multiple_of(1_000) {
                told(&all);
            }
        }
    };
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(run))));
    told(&all.into_inner().expect("a state that no crash may leave"));
}
