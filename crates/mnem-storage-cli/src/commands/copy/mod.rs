//! `copy`: copying a store to another path or backend.

mod reachable;
mod salvage;

use std::{path::PathBuf, sync::Arc};

use clap::ValueHint;
use mnem_storage::{
    CopyError, CopyOptions, CopyReport, OpenOptions, Promise, Stage, Store, StoreError, copy_with, is_same_place,
    knn::{self, Format},
};
use serde::Serialize;

use crate::{
    context::Context,
    drivers,
    error::{Exit, Failure, Result},
    hints::quoted,
    output::{Count, Size, counted, counted_as},
    progress::Bar,
    stop::Stop,
    target::{Target, in_all},
};

const EXAMPLES: &str = "\
Copies blocks, side tables and heads. FROM may change meanwhile: TO then holds everything
that FROM held from the beginning to the end of the copy.

TO may be an earlier copy. Only missing blocks are copied, the heads of FROM replace those
of TO, and blocks that FROM no longer holds stay in TO. If FROM lacks the block of a head
of TO, the copy is refused, since TO may be the copy of another store; --merge-heads keeps
such heads. To finish an interrupted copy, run it again.

The last lines report what was proved: that both stores have the same blocks and heads; or,
if FROM changed meanwhile or TO holds more, that TO holds everything that FROM held from the
beginning to the end of the copy. Blocks that TO held before are compared by CID only:
--compare reads their bytes, and `verify` checks TO alone.

With --format 'mnem-backend-redb 0.1' the published programs can read the copy, and its
nearest-neighbour indexes become rows in their format.

With --reachable, only blocks that the heads reach are copied, and the copy is then walked
from its heads. It stops at a missing block (--skip-missing leaves it out and lists it),
and at a block that may contain links but whose codec is not followed (--opaque-leaves
copies it without the blocks that it links to).

With --salvage, FROM may be damaged, and TO must be new. It copies every readable block
that matches its CID, the heads of copied blocks, and the readable rows of side tables,
and lists the rest as `verify` does. If FROM is truncated or has lost its tables, its raw
pages are searched, if the backend supports that. Deleted blocks may then reappear, and
heads are only listed as candidates. FROM is never written to.

Examples:
  mnem-store copy animals.redb animals.simple/      into plain files, for `ls` and `sha256sum`
  mnem-store copy animals.simple/ animals.redb      and back
  mnem-store copy animals.redb backup.redb          a compact copy; run again to update it
  mnem-store copy ours.redb theirs.redb --format 'mnem-backend-redb 0.1'
                                                    readable by the published programs
  mnem-store copy --reachable old.redb new.redb     without unreachable blocks
  mnem-store copy --salvage bad.redb saved.redb     the readable part of a damaged store";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store to copy
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) from: PathBuf,
    /// The copy: a new store, or an earlier copy
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) to: PathBuf,
    /// Backend of a new copy [default: by its path, as in `init`]
    #[arg(long, value_parser = drivers::names())]
    backend: Option<String>,
    /// Format of a new copy [default: the backend's newest]
    #[arg(long, value_parser = drivers::formats())]
    format: Option<String>,
    /// Copy the readable part of a damaged store into a new one, without proof. Exit status 3: some parts could not be read
    #[arg(long, conflicts_with_all = ["format", "reachable"])]
    salvage: bool,
    /// Copy only the heads, the blocks that they reach, and the side tables
    #[arg(long)]
    reachable: bool,
    /// Keep heads of TO whose block is not in FROM, beside the heads of FROM
    #[arg(long, conflicts_with = "salvage")]
    pub(crate) merge_heads: bool,
    /// Compare the bytes of blocks that TO already holds
    #[arg(long, conflicts_with_all = ["salvage", "reachable"])]
    compare: bool,
    /// Treat blocks of unfollowed codecs as leaves: copy them without the blocks that they link to
    #[arg(long, requires = "reachable")]
    pub(crate) opaque_leaves: bool,
    /// Leave out missing blocks and list them; a damaged block still stops the copy
    #[arg(long, requires = "reachable")]
    pub(crate) skip_missing: bool,
}

/// The answer in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    from: String,
    to: String,
    equal_cids: bool,
    equal_heads: bool,
    /// Indexes converted to rows for the published programs.
    knn_rows: u64,
    #[serde(flatten)]
    report: &'a CopyReport,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    if context.typed_store().is_some() {
        return Err(Failure::Usage {
            message: "copy does not take --store".into(),
            hint: "run `mnem-store copy FROM TO`".into(),
        });
    }
    if is_same_place(&args.from, &args.to) {
        let (from, to) = (args.from.display(), args.to.display());
        return Err(Failure::Usage {
            message: if args.from == args.to {
                format!("{from} cannot be copied onto itself")
            } else {
                format!("{to} is another name for {from}, which cannot be copied onto itself")
            },
            hint: "give another path for the copy: `mnem-store copy FROM TO`".into(),
        });
    }
    context.refuse_archive_name(&args.to, args.backend.as_deref(), Some(&args.from))?;
    if args.salvage {
        return salvage::run(context, args);
    }
    if args.reachable {
        return reachable::run(context, args);
    }
    let failed = |source| failed(args, source);
    let of_target = |error: StoreError| failed(CopyError::Target(error.into()));
    let stop = stop_while_opening(context)?;
    let from = open_source(context, args)?;
    // Before creating a store, so that a signal does not interrupt its creation.
    stop.finish_first();
    context.note(format_args!("opening or creating {}", args.to.display()));
    let to = Target::open(&options_of_target(context, args), &args.to).map_err(of_target)?;
    let mut bar = context.bar("copy");
    let total = count(&*from, &mut bar, &stop);
    let options = CopyOptions::new().merge_heads(args.merge_heads).compare(args.compare);
    let copied = copy_with(&*from, &*to, &options, &mut |mut progress| {
        if progress.stage == Stage::Blocks {
            progress.total_blocks = total;
        }
        bar.show(&progress);
        stop.flow()
    });
    drop(bar);
    let report = unless_stopped(args, &stop, &to, copied)?;
    let knn_rows = finish(context, args, &to, &report)?;
    let equal = report.promise == Promise::Equal;
    let answer = Answer {
        from: args.from.display().to_string(),
        to: args.to.display().to_string(),
        equal_cids: equal,
        equal_heads: equal,
        knn_rows,
        report: &report,
    };
    let mut out = context.out();
    out.summary(text(&answer), &answer)?;
    out.finish()?;
    Ok(Exit::Done)
}

/// A signal ends the process while the source is opened: its check takes long, and reports no progress.
pub(crate) fn stop_while_opening(context: &Context) -> Result<Stop> {
    Stop::at_once(
        context,
        "nothing was copied: the source was being opened and checked",
        "run the same command again to start over",
    )
}

pub(crate) fn open_source(context: &Context, args: &Args) -> Result<Arc<dyn Store>> {
    context.note(format_args!("opening {} for reading", args.from.display()));
    let opened = context.checked_options().read_only(true).open(&args.from);
    opened.map_err(|error| failed(args, CopyError::Source(error.into())))
}

/// The number of blocks to copy, for the progress bar. Ignores errors: the copy will report them.
fn count(from: &dyn Store, bar: &mut Bar, stop: &Stop) -> Option<u64> {
    if !bar.is_shown() {
        return None;
    }
    let mut blocks = 0;
    for cid in from.cids().ok()? {
        cid.ok()?;
        blocks += 1;
        bar.count(Stage::Counting.name(), "block", blocks, None);
        if stop.flow().is_break() {
            return None;
        }
    }
    Some(blocks)
}

/// Converts the indexes of the copy to rows for the published programs. Not interruptible: it is the last step.
fn store_as_rows(to: &dyn Store) -> std::result::Result<u64, StoreError> {
    if to.side_tables()?.iter().any(|name| name == knn::TABLE) {
        knn::store_all_as_rows(&*to.side_table(knn::TABLE)?)
    } else {
        Ok(0)
    }
}

pub(crate) fn options_of_target(context: &Context, args: &Args) -> OpenOptions {
    context.options_for_new(args.backend.as_deref(), args.format.as_deref()).create(true)
}

/// Converts the result of a copy. Closes the target of an interrupted copy.
pub(crate) fn unless_stopped<R>(
    args: &Args,
    stop: &Stop,
    to: &Target,
    copied: std::result::Result<R, CopyError>,
) -> Result<R> {
    copied.or_else(|source| match source {
        CopyError::Stopped { blocks, new, .. } => {
            let in_all = in_all(&**to, blocks);
            to.close(&format!("interrupted after {}", counted(blocks, "block")))?;
            Err(interrupted(args, stop, blocks, new, &in_all))
        }
        // The cause may be that the target was moved, replaced or removed.
        CopyError::Target(_) | CopyError::Differs { .. } => Err(to.explained(failed(args, source))),
        source => Err(failed(args, source)),
    })
}

/// Closes the copy, and returns the number of indexes converted to rows for the published programs.
pub(crate) fn finish(context: &Context, args: &Args, to: &Target, copied: &CopyReport) -> Result<u64> {
    let knn_rows = match to.knn_format() {
        Format::Row => store_as_rows(&**to).map_err(|error| failed(args, CopyError::Target(error.into())))?,
        _ => 0,
    };
    to.close(&format!("copied {}", counted(copied.blocks, "block")))?;
    for cid in &copied.unchecked_cids {
        context.remark(format_args!("copied {cid} unverified: unknown hash function"));
    }
    Ok(knn_rows)
}

/// Whether the target holds no block.
pub(crate) fn is_empty(to: &Target) -> bool {
    to.cids().is_ok_and(|mut cids| cids.next().is_none())
}

pub(crate) fn failed(args: &Args, source: CopyError) -> Failure {
    let (from, to) = (args.from.clone(), args.to.clone());
    Failure::Copy { from, to, merges: args.merge_heads, salvages: args.salvage, source }
}

fn interrupted(args: &Args, stop: &Stop, blocks: u64, new: u64, in_all: &str) -> Failure {
    let kept = format!(
        "copied {} ({} new) to {}; it holds {in_all}, and the copy is incomplete",
        counted(blocks, "block"),
        Count(new),
        args.to.display()
    );
    let options = args.typed_options();
    let again = format!("run `mnem-store copy {options}{} {}` to resume", quoted(&args.from), quoted(&args.to));
    stop.interrupted(kept, again)
}

impl Args {
    /// The options to repeat in the hint for an interrupted copy.
    fn typed_options(&self) -> String {
        let options = [
            (self.reachable, "--reachable "),
            (self.opaque_leaves, "--opaque-leaves "),
            (self.skip_missing, "--skip-missing "),
            (self.merge_heads, "--merge-heads "),
            (self.compare, "--compare "),
        ];
        options.into_iter().filter(|(given, _)| *given).map(|(_, option)| option).collect()
    }
}

/// The lines of the summary.
pub(crate) fn lines_of_copied(report: &CopyReport, knn_rows: u64, from: &str, to: &str) -> Vec<String> {
    let mut lines = vec![format!("copied {} from {from} to {to}", counted(report.blocks, "block"))];
    lines.push(format!("new      {}, {}", Count(report.new), Size(report.new_bytes)));
    lines.push(format!("present  {}", Count(report.present)));
    for table in &report.tables {
        lines.push(format!("table    {}: {}, {}", table.name, counted(table.keys, "key"), Size(table.bytes)));
    }
    if knn_rows > 0 {
        lines.push(format!("knn      {} in the published format", counted_as(knn_rows, "index", "indexes")));
    }
    lines
}

fn text(answer: &Answer<'_>) -> String {
    let report = answer.report;
    let mut lines = lines_of_copied(report, answer.knn_rows, &answer.from, &answer.to);
    let blocks = counted(report.blocks, "block");
    if report.promise == Promise::Equal {
        lines.push(format!("proved   the CID sets are equal: {blocks} in both"));
        lines.push(format!("proved   the heads are equal: {} in both", counted(report.heads.len() as u64, "head")));
    } else {
        lines.push(format!("proved   the copy holds everything present at the start: {blocks}"));
        lines.push(format!(
            "proved   the copy has the heads that the source had at the start: {}",
            counted(report.heads.len() as u64, "head")
        ));
    }
    lines.extend(lines_of_heads(report));
    lines.join("\n")
}

/// The heads of the source, and the earlier heads of the copy: replaced or kept.
pub(crate) fn lines_of_heads(report: &CopyReport) -> impl Iterator<Item = String> {
    let heads = report.heads.iter().map(|cid| format!("  {cid}"));
    let replaced = report.heads_replaced.iter().map(|cid| format!("replaced {cid}"));
    heads.chain(replaced).chain(report.heads_merged.iter().map(|cid| format!("kept     {cid}")))
}
