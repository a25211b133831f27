//! `gc`: removing the blocks that nothing reaches.

use mnem_storage::{CollectError, CollectOptions, CollectReport, Store, collect};
use serde::Serialize;

use crate::{
    cid_short::{self, Typed},
    context::Context,
    error::{Exit, Failure, Result},
    left_out::tell_missing,
    output::{Count, Size, counted, counted_as},
    stop::Stop,
    target::{Target, in_all},
};

const EXAMPLES: &str = "\
Removes every block that no head reaches. --keep names other blocks to keep, with all
that they reach. Nobody else may write to the store meanwhile: it is opened for this
command alone, and exit status 11 says that another process has it open.

It refuses, and removes nothing, where a live block might be lost: in a store whose
structure is damaged, which is verified first; without heads and without --keep; at a
reached block that is missing, damaged or not valid in its codec (--allow-missing goes on,
and keeps nothing that only such a block links to); and at one of a codec that may have
links and is not followed (--opaque-leaves keeps such blocks, and nothing that only they
link to). Links of DAG-CBOR, DAG-PB and DAG-JSON are followed.

An index of nearest neighbours whose root nothing reaches is listed, and removed with
--indexes. Interrupted or killed, it has removed some of the dead blocks: run it again.
The file of a store may stay as large as it was: `compact` gives the space back.

Examples:
  mnem-store gc --dry-run --store animals.redb        only count
  mnem-store gc --store animals.redb && mnem-store compact --store animals.redb
  mnem-store gc --keep CID --keep CID                 keep these and what they reach too";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A block to keep beside the heads, with all that it reaches; may be given several times, and cut short to 8 characters or more
    #[arg(long, value_name = "CID")]
    keep: Vec<String>,
    /// Only count: remove nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Go on at reached blocks that are missing or damaged, and list them. What only they link to is removed
    #[arg(long)]
    allow_missing: bool,
    /// Keep blocks whose links are not followed, without what only they link to
    #[arg(long)]
    opaque_leaves: bool,
    /// Remove the indexes of nearest neighbours whose root nothing reaches
    #[arg(long)]
    indexes: bool,
}

/// What was found and removed.
#[derive(Serialize)]
struct Answer<'a> {
    store: String,
    dry_run: bool,
    #[serde(flatten)]
    report: &'a CollectReport,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let keep = cid_short::parse_all(&args.keep)?;
    let options = CollectOptions::new()
        .dry_run(args.dry_run)
        .allow_missing(args.allow_missing)
        .opaque_leaves(args.opaque_leaves)
        .indexes(args.indexes);
    let report = if args.dry_run {
        let store = context.open_read_only_checked()?;
        watched(context, &*store, options, &keep)?
    } else {
        let store = context.open_exclusive()?;
        match watched(context, &*store, options, &keep) {
            Ok(report) => {
                store.close(&format!("removed {}", counted(report.removed, "block")))?;
                report
            }
            Err(failure) => return Err(ended(&store, failure)),
        }
    };
    remarks(context, &report);
    let answer = Answer { store: context.path()?.display().to_string(), dry_run: args.dry_run, report: &report };
    let mut out = context.out();
    out.summary(text(&answer), &answer)?;
    out.finish()?;
    Ok(Exit::Done)
}

fn watched(context: &Context, store: &dyn Store, options: CollectOptions, keep: &[Typed]) -> Result<CollectReport> {
    let options = options.keep(cid_short::find_all(context, store, keep)?);
    let stop = Stop::when_asked(context)?;
    let mut bar = context.bar("gc");
    let collected = collect(store, &options, &mut |progress| {
        bar.show(&progress);
        stop.flow()
    });
    drop(bar);
    collected.map_err(|error| match error {
        CollectError::Stopped(report) => stop.interrupted(
            format_args!(
                "removed {}; {}, and every block that is reached is there",
                counted(report.removed, "block"),
                in_all(store)
            ),
            "run the same command again: it removes the rest".into(),
        ),
        error => Failure::Collect(error),
    })
}

/// Closes the store after a failure, which comes first unless the store has moved.
fn ended(store: &Target, failure: Failure) -> Failure {
    match store.close("not everything was done") {
        Err(moved @ Failure::Elsewhere { .. }) => moved,
        _ => failure,
    }
}

/// In JSON, the fields of these names say it.
fn remarks(context: &Context, report: &CollectReport) {
    if report.opaque > 0 {
        let blocks = counted(report.opaque, "block");
        context.remark(format_args!(
            "links were not followed in {blocks} of other codecs: what only these link to counts as dead"
        ));
    }
    tell_missing(context, report.missing_count, &report.missing, "went on without");
    if report.unreadable_count > 0 {
        let blocks = counted(report.unreadable_count, "block");
        context.remark(format_args!("{blocks} cannot be read: what only these link to counts as dead"));
    }
    if report.indexes_unreadable > 0 {
        let indexes = counted_as(report.indexes_unreadable, "index", "indexes");
        context.remark(format_args!("{indexes} of neighbours cannot be read, and stay"));
    }
    let left = report.dead_indexes.len() as u64 - report.indexes_removed;
    if left > 0 {
        let indexes = counted_as(left, "index", "indexes");
        let them = if left == 1 { "it" } else { "them" };
        context.remark(format_args!("nothing reaches the root of {indexes} of neighbours: --indexes removes {them}"));
    }
}

fn text(answer: &Answer<'_>) -> String {
    let CollectReport { blocks, dead, dead_bytes, ref dead_indexes, indexes_removed, .. } = *answer.report;
    let mut lines =
        vec![format!("reached  {} of {} in {}", Count(blocks - dead), counted(blocks, "block"), answer.store)];
    let done = if answer.dry_run { "dead    " } else { "removed " };
    lines.push(format!("{done} {} ({})", counted(dead, "block"), Size(dead_bytes)));
    let done = if indexes_removed > 0 { "removed " } else { "dead    " };
    lines.extend(dead_indexes.iter().map(|index| format!("{done} index {}, root {}", index.cid, index.root_cid)));
    lines.join("\n")
}
