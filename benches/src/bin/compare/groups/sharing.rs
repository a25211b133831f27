//! The cost of letting other processes open the same store.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use mnem_benches::{Blocks, bulk_import, commit, enumerate, get_all_threads, has_all_threads};

use super::{Group, commits, reads};
use crate::{
    results::Unit,
    run::{FILLED_SEED, Run, SMALL},
    stores,
};

pub(super) const GROUP: Group = Group {
    name: "sharing",
    title: "Sharing between processes",
    about: "One process alone, in modes that would let others in: redb with `Sharing::SingleWriter` (others read) and `MultiWriter` (others write), \
            and simple, which is always shared. Blocks of 300 bytes.",
    run,
    opt_in: false,
};

const HELD: usize = 20_000;
const COMMITTED: usize = 50;
const COMMITS: usize = 8;

fn run(run: &mut Run) -> Result<()> {
    let mut subjects = run.subjects(HELD, &[stores::SINGLE_WRITER, stores::MULTI_WRITER]);
    let shared = [stores::REDB, stores::SINGLE_WRITER, stores::MULTI_WRITER, stores::SIMPLE];
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
    run.discard(contenders);
    Ok(())
}
