//! The recorded calls of a real client, directly and through `Buffered`.

use std::sync::Arc;

use anyhow::Result;
use mnem_benches::{Counting, RECORDED, Trace, WorkloadError, usage};
use mnem_store_traits::{Buffered, Store};

use super::Group;
use crate::{
    results::Unit,
    run::{Contender, Run},
    stores,
};

pub(super) const GROUP: Group = Group {
    name: "trace",
    title: "A real client's calls",
    about: "The store calls of the published `mnem-core` 0.1.7 for one commit, replayed from [a \
            recording](../benches/traces/README.md); the time is that in the store alone. Our stores are behind \
            `Buffered` (*redb, put by put* is not); the others get the calls as the client makes them.",
    run,
    opt_in: false,
};

/// These stores are used through `Buffered`, as we advise our users.
const BUFFERED: [&str; 3] = [stores::CARLOG, stores::REDB, stores::SIMPLE];
pub(crate) const TIME: &str = "time";
pub(crate) const DURABLE: &str = "durable calls";
pub(crate) const BYTES: &str = "bytes written";
const PLAIN: &str = "redb, put by put";

fn run(run: &mut Run) -> Result<()> {
    let subjects = run.subjects(0, &[]);
    for (name, text) in RECORDED {
        let trace: Trace = text.parse()?;
        for _ in 0..run.options.rounds {
            let mut contenders = run.fresh(&subjects)?;
            if let Some(redb) = subjects.iter().find(|subject| subject.name == stores::REDB) {
                let mut plain = run.fresh(std::slice::from_ref(redb))?;
                plain.iter_mut().for_each(|contender| contender.subject.name = PLAIN);
                contenders.append(&mut plain);
            }
            let mut samples = Vec::new();
            run.each(&mut contenders, "trace", |contender| {
                let (time, commits, written) = replay(contender, &trace)?;
                samples.push((format!("{name}: {TIME}"), Unit::Seconds, contender.subject.name, time));
                samples.push((format!("{name}: {DURABLE}"), Unit::Count, contender.subject.name, commits));
                samples.push((format!("{name}: {BYTES}"), Unit::Bytes, contender.subject.name, written));
                Ok(())
            });
            for (row, unit, subject, value) in samples {
                run.results.record("trace", &row, unit, subject, value);
            }
            run.discard(contenders);
        }
    }
    Ok(())
}

/// Returns seconds, calls that must be durable, and bytes written.
fn replay(contender: &Contender, trace: &Trace) -> Result<(f64, f64, f64), WorkloadError> {
    trace.prepare(&*contender.store)?;
    let counting = Arc::new(Counting::new(Arc::clone(&contender.store)));
    let before = usage::written_bytes();
    let replayed = if BUFFERED.contains(&contender.subject.name) {
        let buffered = Buffered::new(Arc::clone(&counting));
        let replayed = trace.replay(&buffered)?;
        // Make sure that nothing stays staged.
        let landed = counting.writes();
        buffered.flush()?;
        if counting.writes() != landed {
            return Err(WorkloadError::Wrong("blocks stayed staged after the last head".into()));
        }
        replayed
    } else {
        trace.replay(&counting)?
    };
    let written = usage::written_bytes().unwrap_or_default() - before.unwrap_or_default();
    contender.store.close()?;
    Ok((replayed.time.as_secs_f64(), counting.writes() as f64, written as f64))
}
