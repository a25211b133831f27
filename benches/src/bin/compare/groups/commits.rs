//! Blocks and a head in one step.

use std::collections::HashMap;

use anyhow::Result;
use mnem_benches::{Blocks, commit};

use super::{Group, thousands};
use crate::{
    results::Unit,
    run::{Run, SMALL},
    stores,
};

pub(super) const GROUP: Group = Group {
    name: "commit",
    title: "Commits",
    about: "A commit stores the given number of new blocks of 300 bytes, and a head that replaces the previous one. \
            Stores without heads are left out.",
    run,
    opt_in: false,
};

/// Blocks per commit, and commits per round.
const SIZES: [(usize, usize); 4] = [(5, 20), (50, 8), (500, 3), (5_000, 1)];

pub(crate) fn row(blocks: usize) -> String {
    format!("commit of {} + head", thousands(blocks))
}

fn run(run: &mut Run) -> Result<()> {
    let subjects = run.subjects(0, &[stores::ONE_PHASE, stores::PUBLISHED_BATCH]);
    let largest = run.size(50_000);
    for (blocks, commits) in SIZES.into_iter().filter(|(blocks, _)| *blocks <= largest) {
        let mut contenders = run.fresh(&subjects)?;
        let mut supplies: HashMap<&str, Blocks> = HashMap::new();
        run.rounds("commit", &mut contenders, |contender, _| {
            let supply = supplies.entry(contender.subject.name).or_insert_with(|| Blocks::new(11, SMALL));
            let mut times = Vec::new();
            for _ in 0..commits {
                times.push((row(blocks), Unit::Seconds, commit(&*contender.store, supply, blocks)?.as_secs_f64()));
            }
            Ok(times)
        });
        run.discard(contenders);
    }
    Ok(())
}
