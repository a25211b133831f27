//! `compact`: space that a store no longer needs.

use mnem_storage::{Backend, CompactReport, compact};
use serde::Serialize;

use crate::{
    context::Context,
    error::{Exit, Result},
    output::{ExactSize, Size},
    stop::Stop,
    target::elsewhere,
};

const EXAMPLES: &str = "\
A redb file keeps what was freed in its midst for later writes; `free` in `stat` is
how much. This moves what is there together and cuts off the end. Nobody else may
have the file open. If it is interrupted the store is whole: run it again. After
many small commits a `copy` is smaller still, since it fills the pages anew.
A simple store has nothing to compact: a block that is removed gives its space back
at once. Only what killed writers left unfinished is cleared.

Examples:
  mnem-store compact --store animals.redb
  mnem-store compact --json | jq '.before_bytes - .after_bytes'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Answer<'a> {
    store: String,
    #[serde(flatten)]
    report: &'a CompactReport,
}

pub(crate) fn run(context: &Context, _: &Args) -> Result<Exit> {
    let path = context.path()?;
    let kept = "the store is whole and holds what it held; some of its space may be free already";
    let _stop = Stop::at_once(context, kept, "run the same command again: it goes on where this one stopped")?;
    context.note(format_args!("opening {}", path.display()));
    let mut bar = context.bar("compact");
    bar.begin("pages", "moving them together");
    let report = compact(&path, &context.options()).map_err(|error| elsewhere(error, "compacted it"))?;
    drop(bar);
    let answer = Answer { store: path.display().to_string(), report: &report };
    let mut out = context.out();
    out.summary(text(&answer), &answer)?;
    out.finish()?;
    Ok(Exit::Done)
}

fn text(answer: &Answer<'_>) -> String {
    let CompactReport { backend, before_bytes, after_bytes, .. } = *answer.report;
    let freed = before_bytes.saturating_sub(after_bytes);
    if backend == Backend::Simple {
        let nothing = format!(
            "nothing to compact in {}: it is plain files, and what is removed gives its space back at once",
            answer.store
        );
        return if freed == 0 { nothing } else { format!("{nothing}\ncleared {} of unfinished files", Size(freed)) };
    }
    let lines = [
        format!("compacted {}", answer.store),
        format!("before  {}", ExactSize(before_bytes)),
        format!("after   {}", ExactSize(after_bytes)),
        format!("freed   {}", ExactSize(freed)),
    ];
    lines.join("\n")
}
