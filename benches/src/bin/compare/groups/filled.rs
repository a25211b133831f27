//! Writes to filled stores, and first reads of their blocks.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use anyhow::Result;
use mnem_benches::{
    Block, Blocks, Times, bulk_import, commit, concurrent_puts, enumerate, get_all_threads, has_all_threads, reopen,
    single_puts,
};

use super::{Group, commits, thousands};
use crate::{
    child,
    results::Unit,
    run::{Contender, FILLED_SEED, Run, SMALL},
    stores::{self, Subject},
};

pub(super) const GROUP: Group = Group {
    name: "filled",
    title: "Filled stores",
    about: "The stores already hold 500,000 blocks of 300 bytes. First reads; no block is read twice in a run. Then \
            commits of new blocks and a head, durable puts, and commits without a pause, the slowest of which show \
            what an engine does in the background. Finally, another process opens the store and reads some blocks.",
    run: |run| filled(run, 500_000),
    opt_in: true,
};

pub(super) const LARGE: Group = Group {
    name: "filled-large",
    title: "Large stores",
    about: "The same with four million blocks, for the stores that can be filled within minutes.",
    run: |run| filled(run, 4_000_000),
    opt_in: true,
};

pub(super) const HUGE: Group = Group {
    name: "filled-huge",
    title: "Ten million blocks",
    about: "The same with ten million blocks, for carlog and the log.",
    run: |run| filled(run, 10_000_000),
    opt_in: true,
};

pub(super) const VAST: Group = Group {
    name: "filled-vast",
    title: "A hundred million blocks",
    about: "Opening such a store, reads from it, and the memory that they take. The blocks have 16 bytes, so that \
            the index is most of the store.",
    run: vast,
    opt_in: true,
};

/// Blocks that each round reads.
const READ: usize = 20_000;
/// Blocks per commit, and commits per round.
const SIZES: [(usize, usize); 4] = [(5, 20), (50, 20), (500, 4), (5_000, 1)];
const WRITERS: [usize; 2] = [16, 64];
/// Commits of [`STEADY`] blocks per round. In five rounds they write 85 MB, so the log engine merges its index meanwhile.
const STEADY_COMMITS: usize = 1_000;
const STEADY: usize = 50;
/// Stores that take four million blocks within minutes; those that take ten million.
const LARGE_STORES: [&str; 3] = [stores::LIMIT, stores::CARLOG, stores::REDB];
const HUGE_STORES: [&str; 2] = [stores::LIMIT, stores::CARLOG];
const VAST_HELD: usize = 100_000_000;
const VAST_BYTES: usize = 16;
const VAST_BATCH: usize = 200_000;

fn filled(run: &mut Run, held: usize) -> Result<()> {
    let (group, only): (_, &[&str]) = match held {
        0..=1_000_000 => (GROUP.name, &[]),
        1_000_001..=5_000_000 => (LARGE.name, &LARGE_STORES),
        _ => (HUGE.name, &HUGE_STORES),
    };
    let mut subjects: Vec<Subject> = run.subjects(held, &[]);
    subjects.retain(|subject| only.is_empty() || only.contains(&subject.name));
    // The published backend syncs each block by itself.
    subjects.retain(|subject| subject.name != stores::PUBLISHED);
    let held = run.size(held);
    let mut contenders = run.filled(&subjects, held)?;
    reads(run, group, &mut contenders, held);
    commits(run, group, &mut contenders, held);
    puts(run, group, &mut contenders, held);
    steady(run, group, &mut contenders, held);
    run.each(&mut contenders, "close", |contender| Ok(contender.store.close()?));
    let closed: Vec<_> = contenders.into_iter().filter(|one| !one.out).map(|one| (one.subject, one.path)).collect();
    openings(run, group, &closed, held, SMALL);
    // They hold more blocks now than other groups expect of a filled store.
    for (_, path) in &closed {
        run.unfill(path);
    }
    Ok(())
}

fn vast(run: &mut Run) -> Result<()> {
    let held = run.size(VAST_HELD);
    let mut subjects = run.subjects(VAST_HELD, &[]);
    subjects.retain(|subject| subject.name == stores::CARLOG);
    let mut contenders = run.fresh(&subjects)?;
    run.each(&mut contenders, "fill", |contender| {
        bulk_import(&*contender.store, &mut Blocks::new(FILLED_SEED, VAST_BYTES), held, VAST_BATCH)?;
        Ok(contender.store.close()?)
    });
    let closed: Vec<_> = contenders.into_iter().filter(|one| !one.out).map(|one| (one.subject, one.path)).collect();
    openings(run, VAST.name, &closed, held, VAST_BYTES);
    for (_, path) in &closed {
        run.unfill(path);
    }
    Ok(())
}

/// The blocks of one round: spread over the store, in no order, and different in each round.
fn asked(held: usize, rounds: usize, round: usize) -> Vec<Block> {
    // A prime that divides no size used here, so that multiples of it visit every place once.
    const STEP: usize = 7_919;
    let supply = Blocks::new(FILLED_SEED, SMALL);
    let read = READ.min(held / rounds);
    (round * read..(round + 1) * read).map(|place| supply.at((place * STEP % held) as u64)).collect()
}

fn reads(run: &mut Run, group: &str, contenders: &mut [Contender], held: usize) {
    let rounds = run.options.rounds;
    let row = |what: &str| format!("{what}, of {} blocks", thousands(held));
    // One half of a round's blocks is for `get`, the other for `has`, so neither finds what the other has cached.
    run.rounds(group, contenders, |contender, round| {
        let store = &*contender.store;
        let asked = asked(held, rounds, round);
        let (read, looked_for) = asked.split_at(asked.len() / 2);
        let absent: Vec<_> = Blocks::new(1_000 + round as u64, SMALL).take(looked_for.len()).collect();
        let each = |time: Duration, count: usize| time.as_secs_f64() / count as f64;
        Ok(vec![
            (row("get"), Unit::Seconds, each(get_all_threads(store, read, 1)?, read.len())),
            (row("has, present"), Unit::Seconds, each(has_all_threads(store, looked_for, true, 1)?, looked_for.len())),
            (row("has, absent"), Unit::Seconds, each(has_all_threads(store, &absent, false, 1)?, absent.len())),
        ])
    });
    run.rounds(group, contenders, |contender, _| {
        let time = enumerate(&*contender.store, held as u64)?;
        Ok(vec![(format!("list {} CIDs", thousands(held)), Unit::Seconds, time.as_secs_f64())])
    });
}

fn commits(run: &mut Run, group: &str, contenders: &mut [Contender], held: usize) {
    let mut supplies: HashMap<&str, Blocks> = HashMap::new();
    let largest = run.size(50_000);
    for (blocks, commits) in SIZES.into_iter().filter(|(blocks, _)| *blocks <= largest) {
        run.rounds(group, contenders, |contender, _| {
            let supply = supplies.entry(contender.subject.name).or_insert_with(|| Blocks::new(11, SMALL));
            let row = format!("{}, into {} blocks", commits::row(blocks), thousands(held));
            (0..commits)
                .map(|_| Ok((row.clone(), Unit::Seconds, commit(&*contender.store, supply, blocks)?.as_secs_f64())))
                .collect()
        });
    }
}

fn puts(run: &mut Run, group: &str, contenders: &mut [Contender], held: usize) {
    let count = run.size(200);
    run.rounds(group, contenders, |contender, round| {
        let times = single_puts(&*contender.store, &mut Blocks::new(2_000 + round as u64, SMALL), count)?;
        let row = format!("single put into {} blocks, median", thousands(held));
        Ok(vec![(row, Unit::Seconds, times.quantile(0.5).as_secs_f64())])
    });
    for writers in WRITERS {
        let each = (run.size(640) / writers).max(2);
        run.rounds(group, contenders, |contender, round| {
            let seen = concurrent_puts(&*contender.store, 10_000 * writers as u64 + round as u64, writers, each)?;
            let per_second = seen.times.len() as f64 / seen.wall.as_secs_f64();
            Ok(vec![(format!("{writers} writers, puts into {} blocks", thousands(held)), Unit::PerSecond, per_second)])
        });
    }
}

fn steady(run: &mut Run, group: &str, contenders: &mut [Contender], held: usize) {
    let mut supplies: HashMap<&str, Blocks> = HashMap::new();
    let commits = run.size(STEADY_COMMITS);
    run.rounds(group, contenders, |contender, _| {
        let supply = supplies.entry(contender.subject.name).or_insert_with(|| Blocks::new(12, SMALL));
        let mut times = Vec::with_capacity(commits);
        for _ in 0..commits {
            times.push(commit(&*contender.store, supply, STEADY)?);
        }
        let times: Times = times.into_iter().collect();
        let row =
            |what: &str| format!("{what} of commits of {STEADY} without a pause, into {} blocks", thousands(held));
        let quantile = |part| times.quantile(part).as_secs_f64();
        Ok(vec![
            (row("median"), Unit::Seconds, quantile(0.5)),
            (row("p99"), Unit::Seconds, quantile(0.99)),
            (row("longest"), Unit::Seconds, quantile(1.0)),
        ])
    });
}

/// Opens and reads one block in this process; reads many in a process of its own, for its memory.
fn openings(run: &mut Run, group: &str, closed: &[(Subject, PathBuf)], held: usize, block_bytes: usize) {
    let read = READ.min(held);
    for _ in 0..run.options.rounds {
        for (subject, path) in closed {
            let supply = Blocks::new(FILLED_SEED, block_bytes).take(1).collect::<Vec<_>>();
            match reopen(|| (subject.open)(path), &supply).and_then(|(time, store)| Ok((time, store.close()?))) {
                Ok((time, ())) => {
                    let row = format!("open {} blocks, read one", thousands(held));
                    run.results.record(group, &row, Unit::Seconds, subject.name, time.as_secs_f64());
                }
                Err(error) => run.failed("open", subject.name, &error),
            }
            match child::run("get", subject.name, path, &[read, held, block_bytes]) {
                Ok(seen) => {
                    let row = format!("open {} blocks, read {}", thousands(held), thousands(read));
                    let each = seen.seconds / read as f64;
                    run.results.record(group, &format!("{row}: a read"), Unit::Seconds, subject.name, each);
                    run.results.record(
                        group,
                        &format!("{row}: peak memory"),
                        Unit::Bytes,
                        subject.name,
                        seen.peak_bytes,
                    );
                }
                Err(error) => run.failed("open", subject.name, &*error),
            }
        }
    }
}
