//! `verify`: is everything whole?

use std::path::Path;

use mnem_storage::{Fault, FaultKind, Stage, StoreError, VerifyError, VerifyOptions, VerifyReport, verify_at};
use serde::Serialize;
use serde_json::Value;

use crate::{
    context::Context,
    error::{Exit, Failure, Result},
    hints::quoted,
    output::{Count, Out, Size, counted, counted_as, unless_closed},
    stop::Stop,
    terminal::Printable,
};

const EXAMPLES: &str = "\
Checks the store's own files, every block against its CID, every block of DAG-CBOR,
DAG-PB and DAG-JSON, every link of theirs that the heads reach, the side tables, and
every index of neighbours. Blocks of other codecs that may have links are counted: no
link of theirs is followed. Nothing is changed. Prints one line for each fault, then
how many there are. Exit status 3: there are some.

Examples:
  mnem-store verify --store animals.redb
  mnem-store verify -q && echo whole
  mnem-store verify --json | jq -r 'select(.type == \"fault\") | .cid'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// First open the store for writing, so that one that was not closed cleanly is recovered
    #[arg(long)]
    recover: bool,
}

#[derive(Serialize)]
struct FaultLine<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    fault: &'a Fault,
}

#[derive(Serialize)]
struct SummaryLine {
    r#type: &'static str,
    #[serde(flatten)]
    report: Value,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    if args.recover {
        recover(context)?;
    }
    let stop = Stop::at_once(context, "nothing was changed, and not everything was looked at", "run it again")?;
    let mut bar = context.bar("verify");
    context.note(format_args!("opening {} for reading", path.display()));
    let options = VerifyOptions::new().open(context.options()).count(bar.is_shown());
    let report = verify_at(&path, &options, &mut |progress| {
        bar.show(&progress);
        if progress.stage > Stage::Structure {
            // There may be faults to tell of.
            stop.finish_first();
        }
        stop.flow()
    });
    drop(bar);
    let report = match report {
        Ok(report) => report,
        Err(VerifyError::Stopped(report)) => {
            let mut out = context.out();
            unless_closed(tell_faults(&mut out, &report).and_then(|()| out.finish()))?;
            return Err(interrupted(&stop, &report));
        }
        Err(VerifyError::Store(error)) => return Err(error.into_inner().into()),
        Err(error) => return Err(Failure::Refused { message: error.to_string(), hint: "run it again".into() }),
    };
    let (unfinished, foreign): (Vec<_>, Vec<_>) = report.strays.iter().partition(|stray| stray.unfinished);
    if !unfinished.is_empty() {
        let files = counted(unfinished.len() as u64, "unfinished file");
        context
            .remark(format_args!("{files} of writers at work or killed; the next writer that is alone removes them"));
    }
    for stray in foreign {
        context.remark(format_args!("{:?} does not belong to the store", stray.path));
    }
    for cid in &report.knn_unfinished {
        context.remark(format_args!(
            "index {cid} is being written, or its writer was stopped: `knn rm` removes its parts"
        ));
    }
    unless_closed(tell(context, &report))?;
    advise(context, &path, &report);
    Ok(if report.fault_count == 0 { Exit::Done } else { Exit::DamageFound })
}

/// What to do about what was found. In JSON, the kinds of the faults say it.
fn advise(context: &Context, path: &Path, report: &VerifyReport) {
    let found = |kinds: &[FaultKind]| report.faults.iter().any(|fault| kinds.contains(&fault.kind));
    if found(&[FaultKind::Structure]) {
        context.remark(format_args!(
            "its structure is damaged: `mnem-store copy --salvage {} NEW` saves what can be read, or restore the store from a copy or an archive",
            quoted(path)
        ));
        return;
    }
    if found(&[FaultKind::Corrupt, FaultKind::Unreadable]) {
        context.remark("a damaged block is healed by `mnem-store rm CID`, then importing an archive that holds it");
    }
    if found(&[FaultKind::MissingHead, FaultKind::MissingLink]) {
        context.remark("what is missing comes back by importing an archive that holds it");
    }
    if found(&[FaultKind::KnnIndex]) {
        context
            .remark("a damaged index is removed by `mnem-store knn rm CID`, and made again by `mnem-store knn build`");
    }
}

/// Opens the store for writing, which recovers it. One that is damaged is left for `verify` to describe.
fn recover(context: &Context) -> Result<()> {
    let recovered = context.open().and_then(|store| store.close("recovered it"));
    match recovered {
        Err(Failure::Store(StoreError::Damaged { .. })) => Ok(()),
        other => other,
    }
}

fn tell(context: &Context, report: &VerifyReport) -> Result<()> {
    let mut out = context.out();
    tell_faults(&mut out, report)?;
    summary(&mut out, report)?;
    out.finish()
}

fn tell_faults(out: &mut Out, report: &VerifyReport) -> Result<()> {
    tell_each(out, &report.faults)
}

/// A line for each fault.
pub(crate) fn tell_each(out: &mut Out, faults: &[Fault]) -> Result<()> {
    for fault in faults {
        let line = format_args!("{}: {}", name(fault), fault.what);
        out.answer_with(Printable(line), || FaultLine { r#type: "fault", fault })?;
    }
    Ok(())
}

fn interrupted(stop: &Stop, report: &VerifyReport) -> Failure {
    let (faults, blocks) = (counted(report.fault_count, "fault"), counted(report.blocks, "block"));
    stop.interrupted(
        format_args!("{faults} in {blocks}; the rest was not looked at, and nothing was changed"),
        "run it again: it begins anew".into(),
    )
}

/// The class of a fault, as JSON spells it.
fn name(fault: &Fault) -> String {
    match serde_json::to_value(fault.kind) {
        Ok(Value::String(name)) => name,
        _ => "fault".to_owned(),
    }
}

fn indexes(count: u64) -> String {
    format!("{} of neighbours", counted_as(count, "index", "indexes"))
}

fn summary(out: &mut Out, report: &VerifyReport) -> Result<()> {
    let mut text = format!(
        "{} in {} ({})",
        counted(report.fault_count, "fault"),
        counted(report.blocks, "block"),
        Size(report.bytes)
    );
    let reach = if report.heads == 1 { "reaches" } else { "reach" };
    text.push_str(&format!("; {} {reach} {}", counted(report.heads, "head"), counted(report.reached, "block")));
    if report.rows > 0 {
        text.push_str(&format!("; {} in side tables", counted(report.rows, "row")));
    }
    if report.knn_indexes > 0 {
        text.push_str(&format!("; {}", indexes(report.knn_indexes)));
    }
    if report.knn_unchecked > 0 {
        text.push_str(&format!("; {} of a later format not checked", indexes(report.knn_unchecked)));
    }
    if report.unchecked > 0 {
        text.push_str(&format!("; {} of unknown hash functions not checked", counted(report.unchecked, "block")));
    }
    if report.structure_damaged {
        text.push_str("; the structure is damaged: this is what can be read all the same");
    }
    if report.opaque > 0 {
        text.push_str(&format!(
            "; links not followed in {} of other codecs, {} of them reached",
            counted(report.opaque, "block"),
            Count(report.opaque_reached)
        ));
    }
    let unlisted = report.fault_count.saturating_sub(report.faults.len() as u64);
    if unlisted > 0 {
        text.push_str(&format!("; {} not listed", counted(unlisted, "fault")));
    }
    let mut report = serde_json::to_value(report).map_err(|error| Failure::output(error.into()))?;
    if let Some(fields) = report.as_object_mut() {
        // Each has had its own line.
        fields.remove("faults");
    }
    out.summary(text, SummaryLine { r#type: "summary", report })
}
