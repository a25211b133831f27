//! Reads and listings of filled stores.

use anyhow::Result;
use mnem_benches::{Block, Blocks, enumerate, get_all, get_all_threads, has_all_threads};

use super::{Group, thousands};
use crate::{
    child,
    results::Unit,
    run::{FILLED_SEED, Run, SMALL},
    stores::{self, Subject},
};

pub(super) const GROUP: Group = Group {
    name: "read",
    title: "Reads",
    about: "The same 20,000 blocks of 300 bytes in each round, in no order, with the files in the page cache. The \
            time is that of one call, as one thread sees it. In all stores, `get` hashes the bytes. A listing covers \
            the whole store; a separate process measures how much its peak memory grows.",
    run,
    opt_in: false,
};

/// Blocks that each thread reads per round.
const READ: usize = 20_000;

pub(crate) fn row(what: &str, held: usize, threads: usize) -> String {
    format!("{what}, {} blocks, {threads} {}", thousands(held), if threads == 1 { "thread" } else { "threads" })
}

pub(crate) fn list_row(held: usize) -> String {
    format!("list {} CIDs", thousands(held))
}

pub(crate) fn list_memory_row(held: usize) -> String {
    format!("{}: growth of peak memory", list_row(held))
}

fn run(run: &mut Run) -> Result<()> {
    for held in [100_000, 1_000_000] {
        let held = run.size(held);
        let subjects = run.subjects(held, &[]);
        reads(run, &subjects, held)?;
        let subjects = run.subjects(held, &[stores::SMALL_CACHE]);
        list_memory(run, &subjects, held)?;
    }
    Ok(())
}

fn reads(run: &mut Run, subjects: &[Subject], held: usize) -> Result<()> {
    let supply = Blocks::new(FILLED_SEED, SMALL);
    let read = READ.min(held);
    // Spread over the store, and not in key order.
    let known: Vec<Block> = (0..read).map(|place| supply.at((place * (held / read)) as u64)).collect();
    let absent: Vec<Block> = Blocks::new(40, SMALL).take(read).collect();
    let mut contenders = run.filled(subjects, held)?;
    run.each(&mut contenders, "read", |contender| get_all(&*contender.store, &known).map(drop));
    run.rounds("read", &mut contenders, |contender, _| {
        let store = &*contender.store;
        let mut times = Vec::new();
        for threads in [1, 2] {
            let mut add = |what: &str, time: std::time::Duration| {
                times.push((row(what, held, threads), Unit::Seconds, time.as_secs_f64() / read as f64));
            };
            add("get", get_all_threads(store, &known, threads)?);
            add("has, present", has_all_threads(store, &known, true, threads)?);
            add("has, absent", has_all_threads(store, &absent, false, threads)?);
        }
        Ok(times)
    });
    run.rounds("read", &mut contenders, |contender, _| {
        let time = enumerate(&*contender.store, held as u64)?;
        Ok(vec![(list_row(held), Unit::Seconds, time.as_secs_f64())])
    });
    run.each(&mut contenders, "close", |contender| Ok(contender.store.close()?));
    Ok(())
}

/// The stores are closed by now. Variants read the files that the default has filled.
fn list_memory(run: &mut Run, subjects: &[Subject], held: usize) -> Result<()> {
    for _ in 0..run.options.rounds.min(3) {
        for subject in subjects {
            let file = if subject.name == stores::SMALL_CACHE { stores::REDB } else { subject.name };
            let Some(owner) = stores::named(file) else { continue };
            let path = run.filled_path(&owner, held)?;
            // A store without a listing was skipped above.
            if !path.exists() || (file == subject.name && run.results.find(&list_row(held), file).is_none()) {
                continue;
            }
            match child::run("list", subject.name, &path, &[held]) {
                Ok(seen) => {
                    let row = list_memory_row(held);
                    run.results.record("read", &row, Unit::Bytes, subject.name, seen.growth_bytes);
                }
                Err(error) => run.failed("list", subject.name, &*error),
            }
        }
    }
    Ok(())
}
