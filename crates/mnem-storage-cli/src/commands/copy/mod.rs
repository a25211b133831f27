//! `copy`: a store to another place or backend.

mod reachable;
mod salvage;

use std::path::PathBuf;

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
Copies blocks, side tables and heads. FROM may be written to meanwhile: everything that
it held when the copy began, and kept, is in TO at the end. TO may be an earlier copy: only what it
lacks is copied, its heads are replaced by those of FROM, and blocks that FROM has no
more stay. A head of TO whose block FROM does not hold is refused, since TO may be the
copy of another store; --merge-heads keeps such heads. A copy that was interrupted is
finished by running it again.

The last lines say what was proved: that both stores hold the same blocks and have the
same heads; or that TO holds everything that FROM held when the copy began, and kept, where FROM
has been written to since or TO holds more. Blocks that TO holds already are taken on
their name: --compare reads them, and `verify` checks TO by itself. --store is refused:
FROM and TO name the stores.
With --format 'mnem-backend-redb 0.1' the copy is a file for the published programs
too, and its indexes of nearest neighbours become rows as they read them.

With --reachable only what the heads reach is copied, then the copy is walked from its
heads. It stops at a block that is missing (--skip-missing leaves such blocks out and
lists them), and at one of a codec that may have links and is not followed
(--opaque-leaves copies such blocks without what they link to).

With --salvage FROM may be damaged, and TO must be new: every block that can be read
and matches its CID comes over, the heads whose blocks did, and the rows of side
tables. Of a store that was cut off or lost what leads to its blocks, the raw pages are
searched where its backend can: blocks that were deleted may be among them, and heads
are only listed as candidates. What could not be read is listed as `verify` lists it.
FROM is never written to.

Examples:
  mnem-store copy animals.redb animals.simple/        to plain files, which `ls` and `sha256sum` can read
  mnem-store copy animals.simple/ animals.redb        and back
  mnem-store copy animals.redb backup.redb            a compact copy; again, what is new
  mnem-store copy ours.redb theirs.redb --format 'mnem-backend-redb 0.1'
                                                      for the published programs
  mnem-store copy --reachable old.redb new.redb       without blocks that no head reaches
  mnem-store copy --salvage hurt.redb saved.redb      what is left of a damaged store";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The store to copy
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) from: PathBuf,
    /// Where to copy it: a new store, or an earlier copy
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) to: PathBuf,
    /// The backend of the copy; else its path decides, as in `init`
    #[arg(long, value_parser = drivers::names())]
    backend: Option<String>,
    /// The format of the copy, instead of the backend's newest
    #[arg(long, value_parser = drivers::formats())]
    format: Option<String>,
    /// Copy what can be read of a damaged store into a new one, and list what cannot. No proof. Exit status 3: something could not be read
    #[arg(long, conflicts_with_all = ["format", "reachable"])]
    salvage: bool,
    /// Copy only the heads, what they reach, and the side tables
    #[arg(long)]
    reachable: bool,
    /// Keep heads of TO that FROM does not know, beside those of FROM
    #[arg(long, conflicts_with = "salvage")]
    pub(crate) merge_heads: bool,
    /// Read the blocks that TO holds already, in both stores, and compare them
    #[arg(long, conflicts_with_all = ["salvage", "reachable"])]
    compare: bool,
    /// Copy blocks whose links are not followed, without what they link to
    #[arg(long, requires = "reachable")]
    pub(crate) opaque_leaves: bool,
    /// Leave out missing blocks and list them; damaged ones still end the copy
    #[arg(long, requires = "reachable")]
    pub(crate) skip_missing: bool,
}

/// What was copied, and what was proved.
#[derive(Serialize)]
struct Answer<'a> {
    from: String,
    to: String,
    equal_cids: bool,
    equal_heads: bool,
    /// Indexes that became rows for the published programs.
    knn_rows: u64,
    #[serde(flatten)]
    report: &'a CopyReport,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    if context.typed_store().is_some() {
        return Err(Failure::Usage {
            message: "copy takes its two stores as FROM TO, not with --store".into(),
            hint: "`mnem-store copy FROM TO`".into(),
        });
    }
    if is_same_place(&args.from, &args.to) {
        let (from, to) = (args.from.display(), args.to.display());
        return Err(Failure::Usage {
            message: if args.from == args.to {
                format!("{from} cannot be copied onto itself")
            } else {
                format!("{to} is the same store as {from}, by another name or link: it cannot be copied onto itself")
            },
            hint: "name another place for the copy: `mnem-store copy FROM TO`".into(),
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
    context.note(format_args!("opening {} for reading", args.from.display()));
    let from = context.checked_options().read_only(true).open(&args.from);
    let from = from.map_err(|error| failed(CopyError::Source(error.into())))?;
    // Before a store is made, which is better made whole.
    let stop = Stop::when_asked(context)?;
    context.note(format_args!("opening or making {}", args.to.display()));
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

/// How many blocks there are to copy, for whoever looks on. That the listing fails is for the copy to say.
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

/// A store that the published programs read holds no index which they cannot read. Not interrupted: the copy is made, and this is what is left.
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

/// What a copy did, or how it failed. One that was asked to end is closed first.
pub(crate) fn unless_stopped<R>(
    args: &Args,
    stop: &Stop,
    to: &Target,
    copied: std::result::Result<R, CopyError>,
) -> Result<R> {
    copied.or_else(|source| match source {
        CopyError::Stopped { blocks, new, .. } => {
            let in_all = in_all(&**to);
            to.close(&format!("interrupted after {}", counted(blocks, "block")))?;
            Err(interrupted(args, stop, blocks, new, &in_all))
        }
        // A target that has moved fails in many ways.
        CopyError::Target(_) | CopyError::Differs { .. } => Err(to.explained(failed(args, source))),
        source => Err(failed(args, source)),
    })
}

/// Closes the copy, and returns how many of its indexes became rows for the published programs.
pub(crate) fn finish(context: &Context, args: &Args, to: &Target, copied: &CopyReport) -> Result<u64> {
    let knn_rows = match to.knn_format() {
        Format::Row => store_as_rows(&**to).map_err(|error| failed(args, CopyError::Target(error.into())))?,
        _ => 0,
    };
    to.close(&format!("copied {}", counted(copied.blocks, "block")))?;
    for cid in &copied.unchecked_cids {
        context.remark(format_args!("{cid} was copied as stored: its hash function is unknown here"));
    }
    Ok(knn_rows)
}

/// Whether nothing came over: no block, and so no head.
pub(crate) fn is_empty(to: &Target) -> bool {
    to.cids().is_ok_and(|mut cids| cids.next().is_none())
}

pub(crate) fn failed(args: &Args, source: CopyError) -> Failure {
    Failure::Copy { from: args.from.clone(), to: args.to.clone(), merges: args.merge_heads, source }
}

fn interrupted(args: &Args, stop: &Stop, blocks: u64, new: u64, in_all: &str) -> Failure {
    let kept = format!(
        "copied to {} or found there: {}, {} of them new; it holds {in_all}, and is no whole copy yet",
        args.to.display(),
        counted(blocks, "block"),
        Count(new)
    );
    let options = args.typed_options();
    let again = format!(
        "`mnem-store copy {options}{} {}` goes on where this one stopped",
        quoted(&args.from),
        quoted(&args.to)
    );
    stop.interrupted(kept, again)
}

impl Args {
    /// The options that say what is copied and how it is looked at, as they are typed.
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

/// What was copied, line by line.
pub(crate) fn lines_of_copied(report: &CopyReport, knn_rows: u64, from: &str, to: &str) -> Vec<String> {
    let mut lines =
        vec![format!("copied {} ({}) from {from} to {to}", counted(report.blocks, "block"), Size(report.bytes))];
    lines.push(format!("new      {}", Count(report.new)));
    lines.push(format!("present  {}", Count(report.present)));
    for table in &report.tables {
        lines.push(format!("table    {}: {}, {}", table.name, counted(table.keys, "key"), Size(table.bytes)));
    }
    if knn_rows > 0 {
        lines
            .push(format!("knn      {} as the published programs read them", counted_as(knn_rows, "index", "indexes")));
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
        lines.push(format!("proved   it holds everything present at the start: {blocks}"));
        lines.push(format!("proved   it has the heads of the start: {}", counted(report.heads.len() as u64, "head")));
    }
    lines.extend(lines_of_heads(report));
    lines.join("\n")
}

/// The heads of the source, and what became of those that the copy had before.
pub(crate) fn lines_of_heads(report: &CopyReport) -> impl Iterator<Item = String> {
    let heads = report.heads.iter().map(|cid| format!("  {cid}"));
    let replaced = report.heads_replaced.iter().map(|cid| format!("replaced {cid}"));
    heads.chain(replaced).chain(report.heads_merged.iter().map(|cid| format!("kept     {cid}")))
}
