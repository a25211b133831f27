//! `copy --reachable`: copying without unreachable blocks.

use mnem_storage::{CopyError, ReachableOptions, ReachableReport, StoreError, copy_reachable};
use serde::Serialize;

use crate::{
    commands::copy::{
        Args, failed, finish, lines_of_copied, lines_of_heads, open_source, options_of_target, stop_while_opening,
        unless_stopped,
    },
    context::Context,
    error::{Exit, Result},
    left_out::{tell_missing, tell_opaque},
    output::counted,
    target::Target,
};

/// The answer in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    from: String,
    to: String,
    equal_heads: bool,
    knn_rows: u64,
    #[serde(flatten)]
    report: &'a ReachableReport,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let failed = |source| failed(args, source);
    let of_target = |error: StoreError| failed(CopyError::Target(error.into()));
    let stop = stop_while_opening(context)?;
    let from = open_source(context, args)?;
    // Before a store is created, so that a signal lets its creation finish.
    stop.finish_first();
    let existed = args.to.exists();
    let to = Target::open(&options_of_target(context, args), &args.to).map_err(of_target)?;
    let mut bar = context.bar("copy");
    let options = ReachableOptions::new()
        .opaque_leaves(args.opaque_leaves)
        .skip_missing(args.skip_missing)
        .merge_heads(args.merge_heads);
    let copied = copy_reachable(&*from, &*to, &options, &mut |progress| {
        bar.show(&progress);
        stop.flow()
    });
    drop(bar);
    if matches!(copied, Err(CopyError::Source(_) | CopyError::Opaque { .. })) && !existed {
        context.remark(format_args!("{} was created, and {}", args.to.display(), what_is_in(&to)));
    }
    let report = unless_stopped(args, &stop, &to, copied)?;
    let knn_rows = finish(context, args, &to, &report.copied)?;
    tell_opaque(context, report.opaque, "copied");
    tell_missing(context, report.missing_count, &report.missing, "left out");
    let answer = Answer {
        from: args.from.display().to_string(),
        to: args.to.display().to_string(),
        equal_heads: report.copied.heads_merged.is_empty(),
        knn_rows,
        report: &report,
    };
    let mut out = context.out();
    out.summary(text(&answer), &answer)?;
    out.finish()?;
    Ok(Exit::Done)
}

/// The contents of a store created by a failed copy. Heads are written last, so it has none.
fn what_is_in(to: &Target) -> String {
    match to.cids().map(Iterator::count) {
        Ok(0) => "is empty".to_owned(),
        Ok(blocks) => format!("holds {} and no head: the copy is incomplete", counted(blocks as u64, "block")),
        Err(_) => "the copy is incomplete".to_owned(),
    }
}

fn text(answer: &Answer<'_>) -> String {
    let report = answer.report;
    let copied = &report.copied;
    let mut lines = lines_of_copied(copied, answer.knn_rows, &answer.from, &answer.to);
    let whole = if report.missing_count == 0 { "" } else { ", without the missing ones" };
    lines.push(format!("proved   the heads of the copy reach {}{whole}", counted(copied.blocks, "block")));
    let heads = counted(copied.heads.len() as u64, "head");
    let others = if copied.heads_merged.is_empty() { " and no others" } else { "" };
    lines.push(format!("proved   the copy has the heads that the source had at the start{others}: {heads}"));
    lines.extend(lines_of_heads(copied));
    lines.join("\n")
}
