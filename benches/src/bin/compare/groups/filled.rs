//! Writes to filled stores, and first reads of their blocks.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use mnem_benches::{Block, Blocks, commit, concurrent_puts, enumerate, get_all_threads, has_all_threads, single_puts};

use super::{Group, commits, thousands};
use crate::{
    results::Unit,
    run::{Contender, FILLED_SEED, Run, SMALL},
    stores::{self, Subject},
};

pub(super) const GROUP: Group = Group {
    name: "filled",
    title: "Filled stores",
    about: "Stores that already hold so many blocks of 300 bytes. No block is read twice in a run. Then commits \
            of new blocks and a head, and durable puts.",
    run: |run| filled(run, 500_000),
    opt_in: true,
};

pub(super) const LARGE: Group = Group {
    name: "filled-large",
    title: "Large stores",
    about: "The same with four million blocks, in the stores that are filled within minutes.",
    run: |run| filled(run, 4_000_000),
    opt_in: true,
};

/// Blocks that each round reads.
const READ: usize = 20_000;
/// Blocks per commit, and commits per round.
const SIZES: [(usize, usize); 4] = [(5, 20), (50, 20), (500, 4), (5_000, 1)];
const WRITERS: [usize; 2] = [16, 64];
/// Stores that take four million blocks within minutes.
const LARGE_STORES: [&str; 3] = [stores::LIMIT, stores::CARLOG, stores::REDB];

fn filled(run: &mut Run, held: usize) -> Result<()> {
    let group = if held > 1_000_000 { LARGE.name } else { GROUP.name };
    let mut subjects: Vec<Subject> = run.subjects(held, &[]);
    subjects.retain(|subject| group == GROUP.name || LARGE_STORES.contains(&subject.name));
    // The published backend syncs each block by itself.
    subjects.retain(|subject| subject.name != stores::PUBLISHED);
    let held = run.size(held);
    let mut contenders = run.filled(&subjects, held)?;
    reads(run, group, &mut contenders, held);
    commits(run, group, &mut contenders, held);
    puts(run, group, &mut contenders, held);
    // They hold more blocks now than other groups expect of a filled store.
    run.discard(contenders);
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
