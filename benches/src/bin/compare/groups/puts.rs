//! Single puts: alone, beside other writers, and of present blocks.

use anyhow::Result;
use mnem_benches::{Blocks, concurrent_puts, put_present, single_puts};

use super::Group;
use crate::{
    results::Unit,
    run::{FILLED_SEED, Run, SMALL},
    stores,
};

pub(super) const GROUP: Group = Group {
    name: "put",
    title: "Durable puts",
    about: "New blocks of 300 bytes, each durable when its `put` returns; then puts of blocks that the store holds already.",
    run,
    opt_in: false,
};

pub(crate) const SINGLE: &str = "single put, median";
pub(crate) const PRESENT: &str = "put of a present block";
const WRITERS: [usize; 4] = [1, 4, 16, 64];

pub(crate) fn row(writers: usize) -> String {
    format!("{writers} writers, puts")
}

fn run(run: &mut Run) -> Result<()> {
    let count = run.size(200);
    let subjects = run.subjects(0, &[stores::ONE_PHASE]);
    let mut contenders = run.fresh(&subjects)?;
    run.rounds("put", &mut contenders, |contender, round| {
        let times = single_puts(&*contender.store, &mut Blocks::new(20 + round as u64, SMALL), count)?;
        Ok(vec![
            (SINGLE.into(), Unit::Seconds, times.quantile(0.5).as_secs_f64()),
            ("single put, p99".into(), Unit::Seconds, times.quantile(0.99).as_secs_f64()),
        ])
    });
    for writers in WRITERS {
        let each = (run.size(640) / writers).max(2);
        run.rounds("put", &mut contenders, |contender, round| {
            let seed = 1000 * writers as u64 + round as u64;
            let seen = concurrent_puts(&*contender.store, seed, writers, each)?;
            let per_second = seen.times.len() as f64 / seen.wall.as_secs_f64();
            Ok(vec![
                (row(writers), Unit::PerSecond, per_second),
                (format!("{writers} writers, p99"), Unit::Seconds, seen.times.quantile(0.99).as_secs_f64()),
            ])
        });
    }
    run.discard(contenders);
    present(run)
}

fn present(run: &mut Run) -> Result<()> {
    let held = run.size(10_000);
    let subjects = run.subjects(held, &[stores::ONE_PHASE]);
    let mut contenders = run.filled(&subjects, held)?;
    let known: Vec<_> = Blocks::new(FILLED_SEED, SMALL).step_by((held / 200).max(1)).take(200.min(held)).collect();
    run.rounds("put", &mut contenders, |contender, _| {
        let times = put_present(&*contender.store, &known)?;
        Ok(vec![(PRESENT.into(), Unit::Seconds, times.quantile(0.5).as_secs_f64())])
    });
    Ok(())
}
