//! The cost of letting other processes open the same store.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use mnem_benches::{
    Block, Blocks, UNTIL_KILLED_BLOCKS, bulk_import, commit, enumerate, get_all, get_all_threads, has_all_threads,
};

use super::{Group, commits, reads, thousands};
use crate::{
    child::Committing,
    results::Unit,
    run::{FILLED_SEED, Run, SMALL},
    stores::{self, Opened, Subject},
};

pub(super) const GROUP: Group = Group {
    name: "sharing",
    title: "Sharing between processes",
    about: "One process alone, in modes that admit others: redb with `Sharing::SingleWriter` (others may read) and \
            `MultiWriter` (others may write), simple, which is always shared, and carlog, which others may read. In \
            the last row, another process makes commits of 5 blocks without a pause. Blocks of 300 bytes.",
    run,
    opt_in: false,
};

const HELD: usize = 20_000;
const COMMITTED: usize = 50;
const COMMITS: usize = 8;
/// Commits that a writer acknowledges before another process reads beside it.
const WARM: u64 = 5;

fn run(run: &mut Run) -> Result<()> {
    let mut subjects = run.subjects(HELD, &[stores::SINGLE_WRITER, stores::MULTI_WRITER]);
    let shared = [stores::REDB, stores::SINGLE_WRITER, stores::MULTI_WRITER, stores::SIMPLE, stores::CARLOG];
    subjects.retain(|subject| shared.contains(&subject.name));
    let held = run.size(HELD);
    let known: Vec<_> = Blocks::new(FILLED_SEED, SMALL).take(held).collect();
    let absent: Vec<_> = Blocks::new(40, SMALL).take(held).collect();
    let mut contenders = run.fresh(&subjects)?;
    run.each(&mut contenders, "fill", |contender| {
        bulk_import(&*contender.store, &mut Blocks::new(FILLED_SEED, SMALL), held, 10_000).map(drop)
    });
    run.rounds("sharing", &mut contenders, |contender, _| {
        let store = &*contender.store;
        let each = |time: Duration| time.as_secs_f64() / held as f64;
        let get = get_all_threads(store, &known, 1)?;
        let absent = has_all_threads(store, &absent, false, 1)?;
        let list = enumerate(store, held as u64)?;
        Ok(vec![
            (reads::row("get", held, 1), Unit::Seconds, each(get)),
            (reads::row("has, absent", held, 1), Unit::Seconds, each(absent)),
            (reads::list_row(held), Unit::Seconds, list.as_secs_f64()),
        ])
    });
    // After the reads, because these commits change the number of blocks. Not in the row of commits to an empty store.
    let mut supplies: HashMap<&str, Blocks> = HashMap::new();
    run.rounds("sharing", &mut contenders, |contender, _| {
        let supply = supplies.entry(contender.subject.name).or_insert_with(|| Blocks::new(11, SMALL));
        let mut times = Vec::new();
        for _ in 0..COMMITS {
            let time = commit(&*contender.store, supply, COMMITTED)?;
            times.push((
                format!("{}, into a filled store", commits::row(COMMITTED)),
                Unit::Seconds,
                time.as_secs_f64(),
            ));
        }
        Ok(times)
    });
    run.each(&mut contenders, "close", |contender| Ok(contender.store.close()?));
    let (out, contenders): (Vec<_>, Vec<_>) = contenders.into_iter().partition(|contender| contender.out);
    run.discard(out);
    let closed: Vec<_> = contenders.into_iter().map(|contender| (contender.subject, contender.path)).collect();
    beside_a_writer(run, &closed, &known);
    for (_, path) in &closed {
        run.unfill(path);
    }
    Ok(())
}

/// Reads in this process while a child writes, in the stores that allow it.
fn beside_a_writer(run: &mut Run, closed: &[(Subject, PathBuf)], known: &[Block]) {
    for round in 0..run.options.rounds {
        for (subject, path) in closed {
            let Some(open) = subject.open_reader else { continue };
            match read_beside(subject, path, open, known, 7_000 + round as u64) {
                Ok(time) => {
                    let row = format!("get beside a writer in another process, {} blocks", thousands(known.len()));
                    let each = time.as_secs_f64() / known.len() as f64;
                    run.results.record("sharing", &row, Unit::Seconds, subject.name, each);
                }
                Err(error) => run.failed("sharing", subject.name, &*error),
            }
        }
    }
}

fn read_beside(
    subject: &Subject,
    path: &Path,
    open: fn(&Path) -> Opened,
    known: &[Block],
    seed: u64,
) -> Result<Duration> {
    let mut writer = Committing::start(subject.name, path, seed)?;
    ensure!(writer.wait_for(WARM)? == WARM, "the writer has ended");
    let reader = open(path)?;
    let start = Instant::now();
    get_all(&*reader, known)?;
    let time = start.elapsed();
    // It is still writing, and what it acknowledged before the reader came is there.
    ensure!(writer.is_running()?, "the writer ended while it was read");
    writer.kill()?;
    let committed: Vec<_> = Blocks::new(seed, SMALL).take(WARM as usize * UNTIL_KILLED_BLOCKS).collect();
    get_all(&*reader, &committed)?;
    reader.close()?;
    Ok(time)
}
