//! Measures how often the natural form of each race is caught: by its law, and by naive stress tests.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use mnem_store_traits::conformance::{Fixture, Verdict, law};

use super::{
    super::{
        Defect, NoDefect, Planted, Sabotaged,
        commits::HeadFirst,
        heads::{LostUpdate, RemovedBeforeInsert, TwoSwapsWin},
        plausible_threads::{NamesAreOneFile, RemovesTheFolder, TableIsOneFile},
        prose::InFlightIsThere,
        tables::{OneDefect, RowByRow},
        threads::{ListsByPosition, RefusesARacingPut, SeenInPart},
    },
    caches::{KeepsAbsences, KeepsBlocks},
    locks::LocksInTwoOrders,
    naive::Stress,
};

/// The number of one-second trials of each method.
const SECONDS: usize = 10;

/// The results of one method.
#[derive(Default)]
struct Rate {
    rounds: usize,
    seen: usize,
    took: Duration,
    seconds: usize,
    seen_in_a_second: usize,
}

impl Rate {
    /// Runs single rounds, then trials of one second each, which end early if the race is caught.
    fn of(rounds: usize, seconds: usize, mut sees: impl FnMut() -> bool) -> Self {
        let mut rate = Self { rounds, seconds, ..Self::default() };
        let begin = Instant::now();
        rate.seen = (0..rounds).filter(|_| sees()).count();
        rate.took = begin.elapsed();
        for _ in 0..seconds {
            let begin = Instant::now();
            let mut seen = false;
            while !seen && begin.elapsed() < Duration::from_secs(1) {
                seen = sees();
            }
            rate.seen_in_a_second += usize::from(seen);
        }
        rate
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, seen, took, seconds, seen_in_a_second } = self;
        let each = took.as_secs_f64() * 1000.0 / (*rounds).max(1) as f64;
        write!(f, "{seen:>4} of {rounds} ({each:>6.1} ms each), {seen_in_a_second:>2} of {seconds} s")
    }
}

fn is_killed<D: Defect>(id: &str, planted: Planted<D>) -> bool {
    let law = law(id).unwrap_or_else(|| panic!("there is no law {id}"));
    matches!(law.run(planted), Verdict::Failed(_))
}

fn by_stress<D: Defect>(stress: Stress) -> bool {
    let place = Planted::<D>::NATURAL.create().unwrap_or_else(|error| panic!("{error}"));
    stress.finds(Arc::new(Sabotaged { inner: place.content, defect: place.defect }))
}

/// Measures one race.
fn measure<D: Defect>(name: &str, id: &str, stress: Stress, rounds: usize, seconds: usize) {
    let ours = Rate::of(rounds, seconds, || is_killed(id, Planted::<D>::NATURAL));
    let naive = Rate::of(rounds, seconds, || by_stress::<D>(stress));
    println!("{name:<26} ours {ours} | naive {naive} | {id}");
}

macro_rules! races {
    ($($name:literal $defect:ty => $law:ident, $stress:ident;)*) => {
        fn measure_all(rounds: usize, seconds: usize) {
            $(measure::<$defect>($name, stringify!($law), Stress::$stress, rounds, seconds);)*
        }

        /// Neither method finds anything in the reference store.
        fn nothing_is_seen_in_the_reference() {
            $(
                assert!(!is_killed(stringify!($law), Planted::<NoDefect>::WIDENED), "{} fails without a defect", stringify!($law));
                assert!(!by_stress::<NoDefect>(Stress::$stress), "stress by {:?} fails without a defect", Stress::$stress);
            )*
        }

        /// The harness finds the gaps, and closed gaps delay nobody.
        fn every_race_has_a_gap() {
            $(assert!(!<$defect>::default().gaps().is_empty(), "{} has no gap to close", $name);)*
        }
    };
}

races! {
    "lost update" LostUpdate => concurrent_updates_lose_no_head, Updates;
    "two swaps win" TwoSwapsWin => concurrent_swaps_let_one_win, Swaps;
    "heads empty for a moment" RemovedBeforeInsert => heads_are_never_empty_again, Updates;
    "heads half done" RemovedBeforeInsert => head_changes_are_seen_as_one_step, Updates;
    "head before its blocks" HeadFirst => head_is_never_seen_without_its_blocks, Commits;
    "stale absence after put" KeepsAbsences => put_is_visible_to_another_thread, Puts;
    "stale block after delete" KeepsBlocks => delete_is_visible_to_another_thread, Deletes;
    "block seen in part" SeenInPart => block_is_never_seen_in_part, Puts;
    "racing put refused" RefusesARacingPut => concurrent_puts_of_one_block_all_succeed, SamePuts;
    "put in flight is there" InFlightIsThere => concurrent_puts_of_one_block_all_succeed, SamePuts;
    "lost name of a block" NamesAreOneFile => concurrent_puts_lose_no_block, Puts;
    "folder removed with a put" RemovesTheFolder => deletes_lose_no_put_of_another_thread, Deletes;
    "listing by position" ListsByPosition => cids_keeps_steady_blocks_under_writes, Puts;
    "lost row" TableIsOneFile => concurrent_side_table_writes_lose_no_row, Rows;
    "rows half written" OneDefect<RowByRow> => side_table_write_is_seen_as_one_step, Rows;
    "locks in two orders" LocksInTwoOrders => concurrent_commits_all_land, Commits;
}

/// The full size: `cargo xtask soak races`.
#[test]
#[ignore = "takes minutes, and asserts nothing: it measures"]
fn soak() {
    let rounds = std::env::var("MNEM_SOAK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    measure_all(rounds, SECONDS);
}

/// Tests the tools of the soak run. It asserts nothing about natural races, because losing one is a matter of chance.
#[test]
fn soak_measures_races_and_cries_no_wolf() {
    every_race_has_a_gap();
    nothing_is_seen_in_the_reference();
    measure_all(1, 0);
    for _ in 0..2 {
        assert!(is_killed("concurrent_updates_lose_no_head", Planted::<LostUpdate>::WIDENED));
    }
    let rate = Rate::of(4, 0, || true);
    assert_eq!((rate.rounds, rate.seen), (4, 4));
}
