//! A large real archive.

use std::path::Path;

use anyhow::Result;
use mnem_benches::import_archive;

use super::Group;
use crate::{
    results::Unit,
    run::Run,
    stores::{self, Subject},
};

pub(super) const GROUP: Group = Group {
    name: "wordnet",
    title: "Import of an archive",
    about: "The whole of WordNet 3.1 as a CAR of about 60 MB, made by `benches/wordnet.sh`, through `mnem_storage::car::import` into every store; \
            and through `mnem_storage::car::adopt` into the stores whose files are archives.",
    run,
    opt_in: false,
};

pub(crate) const ROW: &str = "import of the WordNet archive";

/// Stores that are measured only in the first round.
const ONCE: [&str; 3] = [stores::SIMPLE, stores::PUBLISHED, stores::EIGER];

fn run(run: &mut Run) -> Result<()> {
    let archive = run.options.archive.clone();
    if !archive.exists() {
        eprintln!("wordnet: left out, there is no {}; benches/wordnet.sh makes it", archive.display());
        return Ok(());
    }
    let subjects = run.subjects(200_000, &[]);
    for round in 0..run.options.rounds {
        let mut subjects = subjects.clone();
        // A file, or a sync, per block takes a minute or more for two hundred thousand blocks, so measure it once.
        subjects.retain(|subject| round == 0 || !ONCE.contains(&subject.name));
        let mut contenders = run.fresh(&subjects)?;
        let mut samples = Vec::new();
        run.each(&mut contenders, "wordnet", |contender| {
            let time = import_archive(&*contender.store, &archive)?;
            samples.push((contender.subject.name, time.as_secs_f64()));
            Ok(contender.store.close()?)
        });
        for (subject, seconds) in samples {
            run.results.record("wordnet", ROW, Unit::Seconds, subject, seconds);
        }
        run.discard(contenders);
        adopt(run, &subjects, &archive)?;
    }
    Ok(())
}

fn adopt(run: &mut Run, subjects: &[Subject], archive: &Path) -> Result<()> {
    for subject in subjects {
        let Some(adopt) = subject.adopt else { continue };
        let path = run.folder()?.join(subject.name);
        match adopt(&path, archive) {
            Ok(time) => {
                run.results.record(
                    "wordnet",
                    "the same archive, adopted",
                    Unit::Seconds,
                    subject.name,
                    time.as_secs_f64(),
                );
            }
            Err(error) => run.failed("adopt", subject.name, &*error),
        }
        run.unfill(&path);
    }
    Ok(())
}
