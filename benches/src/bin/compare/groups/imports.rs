//! Bulk imports, each in a process of its own.

use anyhow::Result;

use super::{Group, thousands};
use crate::{
    child,
    results::Unit,
    run::Run,
    stores::{self, SIMPLE},
};

pub(super) const GROUP: Group = Group {
    name: "import",
    title: "Bulk import",
    about: "New blocks of 300 bytes into an empty store by batches, each batch durable, in a process of its own; with the most memory that the \
            process had, one batch and the program itself included. One round for simple.",
    run,
    opt_in: false,
};

pub(crate) fn row(count: usize, batch: usize) -> String {
    format!("import of {} × 300 B by {}", thousands(count), thousands(batch))
}

pub(crate) fn memory_row(count: usize, batch: usize) -> String {
    format!("{}: peak memory", row(count, batch))
}

/// Who imports a million in every round.
const MILLION: [&str; 3] = [stores::LIMIT, stores::PUBLISHED, stores::REDB];

fn run(run: &mut Run) -> Result<()> {
    let (hundred_thousand, million) = (run.size(100_000), run.size(1_000_000));
    import(run, hundred_thousand, 10_000, &|_| true)?;
    for batch in [10_000, 100_000] {
        import(run, million, batch, &|name| MILLION.contains(&name))?;
    }
    Ok(())
}

fn import(run: &mut Run, count: usize, batch: usize, who: &dyn Fn(&str) -> bool) -> Result<()> {
    let mut subjects = run.subjects(count, &[]);
    subjects.retain(|subject| who(subject.name));
    for round in 0..run.options.rounds {
        for subject in subjects.clone() {
            // A hundred thousand files: once is enough.
            if subject.name == SIMPLE && round > 0 {
                continue;
            }
            // The last round's stores are what others read from.
            let last = round + 1 == run.options.rounds || subject.name == SIMPLE;
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
