//! Bulk imports, each in a process of its own.

use anyhow::Result;

use super::{Group, thousands};
use crate::{child, results::Unit, run::Run, stores};

pub(super) const GROUP: Group = Group {
    name: "import",
    title: "Bulk import",
    about: "A separate process puts new blocks of 300 bytes into an empty store, in durable batches. Its peak memory \
            includes one batch and the program itself.",
    run,
    opt_in: false,
};

pub(crate) fn row(count: usize, batch: usize) -> String {
    format!("import of {} × 300 B by {}", thousands(count), thousands(batch))
}

pub(crate) fn memory_row(count: usize, batch: usize) -> String {
    format!("{}: peak memory", row(count, batch))
}

/// Blocks per batch for which the whole process stays below 512 MiB of memory.
pub(crate) const LARGE_BATCH: usize = 500_000;

/// The stores that import a million blocks in every round: in large batches; the published backend also in batches of
/// its own client's size.
const MILLION: [&str; 5] = [stores::LIMIT, stores::CARLOG, stores::PUBLISHED, stores::REDB, stores::IMPORT_CACHE];

fn run(run: &mut Run) -> Result<()> {
    let (hundred_thousand, million) = (run.size(100_000), run.size(1_000_000));
    import(run, hundred_thousand, 10_000, &|name| name != stores::IMPORT_CACHE)?;
    import(run, million, 10_000, &|name| name == stores::PUBLISHED)?;
    import(run, million, run.size(LARGE_BATCH), &|name| MILLION.contains(&name))
}

fn import(run: &mut Run, count: usize, batch: usize, who: &dyn Fn(&str) -> bool) -> Result<()> {
    let mut subjects = run.subjects(count, &[stores::IMPORT_CACHE]);
    subjects.retain(|subject| who(subject.name));
    for round in 0..run.options.rounds {
        for subject in subjects.clone() {
            // Later groups read from the stores of the last round.
            let last = round + 1 == run.options.rounds;
            let path = if last { run.filled_path(&subject, count)? } else { run.folder()?.join(subject.name) };
            run.unfill(&path);
            match child::run("import", subject.name, &path, &[count, batch]) {
                Ok(seen) => {
                    let results = &mut run.results;
                    results.record("import", &row(count, batch), Unit::Seconds, subject.name, seen.seconds);
                    results.record("import", &memory_row(count, batch), Unit::Bytes, subject.name, seen.peak_bytes);
                    let written = format!("{}: bytes written", row(count, batch));
                    results.record("import", &written, Unit::Bytes, subject.name, seen.written_bytes);
                    run.is_filled(&path);
                }
                Err(error) => {
                    subjects.retain(|other| other.name != subject.name);
                    run.failed("import", subject.name, &*error);
                }
            }
            if !last {
                run.unfill(&path);
            }
        }
    }
    Ok(())
}
