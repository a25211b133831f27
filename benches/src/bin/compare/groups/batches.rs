//! Many blocks in one call.

use std::collections::HashMap;

use anyhow::Result;
use mnem_benches::{Blocks, put_many};

use super::{Group, thousands};
use crate::{
    results::Unit,
    run::{Run, SMALL},
};

pub(super) const GROUP: Group =
    Group { name: "batch", title: "Batches", about: "One `put_many` of new blocks.", run, opt_in: false };

fn run(run: &mut Run) -> Result<()> {
    for (count, block_bytes, name) in [(10_000, SMALL, "300 B"), (1_000, 64 << 10, "64 KiB")] {
        let count = run.size(count);
        let subjects = run.subjects(count * run.options.rounds, &[]);
        let mut contenders = run.fresh(&subjects)?;
        let mut supplies: HashMap<&str, Blocks> = HashMap::new();
        run.rounds("batch", &mut contenders, |contender, _| {
            let supply = supplies.entry(contender.subject.name).or_insert_with(|| Blocks::new(30, block_bytes));
            let time = put_many(&*contender.store, supply, count)?;
            Ok(vec![(format!("put_many of {} × {name}", thousands(count)), Unit::Seconds, time.as_secs_f64())])
        });
        run.discard(contenders);
    }
    Ok(())
}
