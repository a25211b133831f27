//! `gc`: removing unreachable blocks.

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
Removes every block that no head reaches. --keep names further blocks to keep, with all
that they reach. The store is opened exclusively. Exit status 11: another process has
the store open or, in a bucket, has written to it meanwhile; run gc again.

gc fails, and removes nothing, if it might lose a live block: if the structure of the
store is damaged (it is checked first); if there are no heads and no --keep; if a reached
block is missing, damaged or invalid in its codec (--allow-missing continues, and removes
the blocks that only such a block links to); or if a reached block may contain links but
its codec is not followed (--opaque-leaves keeps the block, and removes the blocks that
only it links to). Links in DAG-CBOR, DAG-PB and DAG-JSON are followed.

Nearest-neighbour indexes with an unreachable root are listed; --indexes removes them. If
gc is interrupted or killed, some dead blocks are gone: run it again. The file may keep
its size: `compact` returns the free space. Resolving a CID prefix scans all CIDs.

Examples:
  mnem-store gc --dry-run --store animals.redb        count only
  mnem-store gc --store animals.redb && mnem-store compact --store animals.redb
  mnem-store gc --keep CID --keep CID                 also keep these and all they reach";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Block to keep with all that it reaches: a CID, or a prefix of 8 or more characters; repeatable
    #[arg(long, value_name = "CID")]
    keep: Vec<String>,
    /// Count the dead blocks, and remove nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Continue at missing or damaged blocks and list them; remove the blocks that only they link to
    #[arg(long)]
    allow_missing: bool,
    /// Treat blocks of unfollowed codecs as leaves; remove the blocks that only they link to
    #[arg(long)]
    opaque_leaves: bool,
    /// Remove nearest-neighbour indexes with an unreachable root
    #[arg(long)]
    indexes: bool,
}

/// The answer in JSON.
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
    // The check of the structure reports no progress.
    let stop = Stop::at_once(
        context,
        "no block was removed: the store was being opened and checked",
        "run the same command again to start over",
    )?;
    let report = if args.dry_run {
        let store = context.open_read_only_checked()?;
        watched(context, &*store, options, &keep, &stop)?
    } else {
        if context.is_shared() {
            return Err(Failure::Usage {
                message: "gc needs exclusive access, so --sharing cannot be used".into(),
                hint: "omit --sharing, or give --dry-run".into(),
            });
        }
        let store = context.open_exclusive()?;
        match watched(context, &*store, options, &keep, &stop) {
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

fn watched(
    context: &Context,
    store: &dyn Store,
    options: CollectOptions,
    keep: &[Typed],
    stop: &Stop,
) -> Result<CollectReport> {
    let options = options.keep(cid_short::find_all(context, store, keep)?);
    stop.finish_first();
    let mut bar = context.bar("gc");
    let collected = collect(store, &options, &mut |progress| {
        bar.show(&progress);
        stop.flow()
    });
    drop(bar);
    collected.map_err(|error| match error {
        CollectError::Stopped(report) => stop.interrupted(
            format_args!(
                "removed {}; {}, and no live block is lost",
                counted(report.removed, "block"),
                in_all(store, report.blocks - report.removed)
            ),
            "run the same command again to remove the rest".into(),
        ),
        error => Failure::Collect(error),
    })
}

/// Closes the store after a failure, and returns that failure, unless the store was moved, replaced or removed.
fn ended(store: &Target, failure: Failure) -> Failure {
    match store.close("the command did not finish") {
        Err(moved @ Failure::Elsewhere { .. }) => moved,
        _ => failure,
    }
}

/// Notes. JSON has them in fields of the same names.
fn remarks(context: &Context, report: &CollectReport) {
    if report.opaque > 0 {
        let blocks = counted(report.opaque, "block");
        context.remark(format_args!(
            "links were not followed in {blocks} of other codecs; blocks that only these link to count as dead"
        ));
    }
    tell_missing(context, report.missing_count, &report.missing, "continued without");
    if report.unreadable_count > 0 {
        let blocks = counted(report.unreadable_count, "block");
        context.remark(format_args!("cannot read {blocks}; blocks that only these link to count as dead"));
    }
    if report.indexes_unreadable > 0 {
        let indexes = counted_as(report.indexes_unreadable, "index", "indexes");
        context.remark(format_args!("kept {indexes} that cannot be read"));
    }
    let left = report.dead_index_count - report.indexes_removed;
    if left > 0 {
        let indexes = counted_as(left, "index", "indexes");
        let them = if left == 1 { "it" } else { "them" };
        context.remark(format_args!("the root of {indexes} is unreachable: give --indexes to remove {them}"));
    }
}

fn text(answer: &Answer<'_>) -> String {
    let CollectReport { blocks, dead, dead_bytes, ref dead_indexes, dead_index_count, indexes_removed, .. } =
        *answer.report;
    let mut lines =
        vec![format!("reached  {} of {} in {}", Count(blocks - dead), counted(blocks, "block"), answer.store)];
    let done = if answer.dry_run { "dead    " } else { "removed " };
    lines.push(format!("{done} {} ({})", counted(dead, "block"), Size(dead_bytes)));
    let done = if indexes_removed > 0 { "removed " } else { "dead    " };
    lines.extend(dead_indexes.iter().map(|index| format!("{done} index {}, root {}", index.cid, index.root_cid)));
    let unlisted = dead_index_count - dead_indexes.len() as u64;
    if unlisted > 0 {
        lines.push(format!("{done} {} that are not listed", counted_as(unlisted, "index", "indexes")));
    }
    lines.join("\n")
}
