//! `compact`: returning free space to the file system.

use mnem_storage::{CompactReport, compact_at};
use serde::Serialize;

use crate::{
    context::Context,
    error::{Exit, Failure, Result},
    output::ExactSize,
    stop::Stop,
    target::elsewhere,
};

const EXAMPLES: &str = "\
Deletes leave free space inside a redb file, which later writes reuse; `stat` shows it as
`free`. compact moves the pages together and truncates the file. No other process may have
the file open. If compact is interrupted, the store is intact: run it again. After many
small commits, a `copy` is even smaller, because it fills the pages.

A simple store has no free space: compact removes the unfinished files of killed writers.
A carlog store is rewritten without its deleted blocks, which needs disk space for the new
copy. Other processes may read it meanwhile, but may not have it open for writing.

In a bucket, others may read and write meanwhile. compact moves the blocks of small commits
and of half-used packs to packs of 16 MiB. It keeps unused objects for readers for an hour:
run it again later to delete them, or give a shorter time with --grace.

Examples:
  mnem-store compact --store animals.redb
  mnem-store compact --json | jq .freed_bytes";

/// The option of the backend.
const GRACE: &str = "grace_ms";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// In a bucket: seconds to keep unused objects for other readers [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
}

#[derive(Serialize)]
struct Answer<'a> {
    store: String,
    #[serde(flatten)]
    report: &'a CompactReport,
    freed_bytes: u64,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    let kept = "the store is intact; part of its free space may be returned already";
    let _stop = Stop::at_once(context, kept, "run the same command again to resume")?;
    context.note(format_args!("opening {}", path.display()));
    let mut bar = context.bar("compact");
    bar.begin("pages", "compacting");
    let mut options = context.options();
    if let Some(seconds) = args.grace {
        let detected = options.detect(&path);
        if let Ok(Some(driver)) = detected
            && !driver.option_names().contains(&GRACE)
        {
            return Err(Failure::Usage {
                message: format!(
                    "--grace works only for stores in a bucket; {} is a {} store",
                    path.display(),
                    driver.name()
                ),
                hint: "omit --grace: other backends keep nothing for readers".to_owned(),
            });
        }
        options = options.set(GRACE, seconds.saturating_mul(1000).to_string());
    }
    let report = compact_at(&path, &options).map_err(|error| elsewhere(error, "compacted it"))?;
    drop(bar);
    let freed_bytes = report.before_bytes.saturating_sub(report.after_bytes);
    let answer = Answer { store: path.display().to_string(), report: &report, freed_bytes };
    let mut out = context.out();
    out.summary(text(&answer), &answer)?;
    out.finish()?;
    Ok(Exit::Done)
}

fn text(answer: &Answer<'_>) -> String {
    let CompactReport { before_bytes, after_bytes, pending_bytes, nothing_to_do, .. } = *answer.report;
    if let Some(why) = nothing_to_do {
        return format!("nothing to compact in {}: {why}", answer.store);
    }
    let mut lines = vec![
        format!("compacted {}", answer.store),
        format!("before  {}", ExactSize(before_bytes)),
        format!("after   {}", ExactSize(after_bytes)),
        format!("freed   {}", ExactSize(answer.freed_bytes)),
    ];
    if pending_bytes > 0 {
        lines.push(format!("unused  {}, kept for readers: compact again later", ExactSize(pending_bytes)));
    }
    lines.join("\n")
}
