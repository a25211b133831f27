//! Opening a store again.

use anyhow::Result;
use mnem_benches::{Blocks, reopen, reopen_after_kill};

use super::{Group, thousands};
use crate::{
    child,
    results::Unit,
    run::{FILLED_SEED, Run, SMALL},
    stores,
};

pub(super) const GROUP: Group = Group {
    name: "reopen",
    title: "Opening",
    about: "The time to open a store and read one block: after a clean close, and after its process was killed in a \
            stream of commits of 5 blocks (every acknowledged block must be present). The files are in the page \
            cache.",
    run,
    opt_in: false,
};

/// Commits that a process acknowledges before it is killed.
const COMMITS: u64 = 100;

fn run(run: &mut Run) -> Result<()> {
    for held in [100_000, 1_000_000] {
        let held = run.size(held);
        reopens(run, held)?;
    }
    Ok(())
}

fn reopens(run: &mut Run, held: usize) -> Result<()> {
    let subjects = run.subjects(held, &[stores::CHECKED]);
    let mut contenders = run.filled(&subjects, held)?;
    run.each(&mut contenders, "close", |contender| Ok(contender.store.close()?));
    let known: Vec<_> = Blocks::new(FILLED_SEED, SMALL).step_by((held / 100).max(1)).take(100.min(held)).collect();
    let paths: Vec<_> = contenders.into_iter().map(|contender| (contender.subject, contender.path)).collect();
    for round in 0..run.options.rounds {
        for (subject, path) in &paths {
            let clean = reopen(|| (subject.open)(path), &known).and_then(|(time, store)| Ok((time, store.close()?)));
            match clean {
                Ok((time, ())) => {
                    let row = format!("open {} blocks, closed cleanly", thousands(held));
                    run.results.record("reopen", &row, Unit::Seconds, subject.name, time.as_secs_f64());
                }
                Err(error) => run.failed("reopen", subject.name, &error),
            }
            // The stream continues in the filled store, with different blocks every time.
            if subject.name == "blockstore" {
                continue;
            }
            let seed = 5000 + round as u64;
            let row = format!("open {} blocks, killed", thousands(held));
            let killed = child::kill_after(subject.name, path, seed, COMMITS).and_then(|acknowledged| {
                let (time, store) = reopen_after_kill(|| (subject.open)(path), seed, acknowledged)?;
                store.close()?;
                Ok(time)
            });
            match killed {
                Ok(time) => run.results.record("reopen", &row, Unit::Seconds, subject.name, time.as_secs_f64()),
                Err(error) => run.failed("reopen after a kill", subject.name, &*error),
            }
        }
    }
    // They hold more blocks than other groups expect of a filled store.
    for (_, path) in &paths {
        run.unfill(path);
    }
    Ok(())
}
