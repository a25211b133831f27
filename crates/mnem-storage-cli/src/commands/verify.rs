//! `verify`: checking a store for damage.

use std::path::Path;

use mnem_storage::{Fault, FaultKind, Stage, StoreError, VerifyError, VerifyOptions, VerifyReport, verify_at};
use serde::Serialize;
use serde_json::Value;

use crate::{
    context::Context,
    error::{Exit, Failure, Result},
    hints::{BUCKET, FOR_DAMAGED_LOG, quoted},
    output::{Count, Out, Size, counted, counted_as, unless_closed},
    stop::Stop,
    terminal::Printable,
};

const EXAMPLES: &str = "\
Checks the store's own files, every block against its CID, the encoding of all DAG-CBOR,
DAG-PB and DAG-JSON blocks, the links in those that the heads reach, the side tables, and
every nearest-neighbour index. Blocks of other codecs that may contain links are counted;
their links are not followed. Changes nothing, unless --recover is given. Prints a line
for each fault, then a summary. Exit status 3: faults found.

Examples:
  mnem-store verify --store animals.redb
  mnem-store verify -q && echo intact
  mnem-store verify --json | jq -r 'select(.type == \"fault\") | .cid'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// First recover the store, if it was not closed cleanly
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
    let stop = Stop::at_once(context, "not everything was checked; nothing was changed", "run the command again")?;
    let mut bar = context.bar("verify");
    context.note(format_args!("opening {} for reading", path.display()));
    let options = VerifyOptions::new().open(context.reading_options()).count(bar.is_shown());
    let report = verify_at(&path, &options, &mut |progress| {
        bar.show(&progress);
        if progress.stage > Stage::Structure {
            // There may be faults to report.
            stop.finish_first();
        }
        stop.flow()
    });
    drop(bar);
    let report = match report {
        Ok(report) => report,
        Err(VerifyError::Stopped(report)) => {
            let mut out = context.out();
            unless_closed(tell_each(context, &mut out, &report.faults).and_then(|()| out.finish()))?;
            return Err(interrupted(&stop, &report));
        }
        Err(VerifyError::Store(error)) => return Err(error.into_inner().into()),
        Err(error) => {
            return Err(Failure::Refused { message: error.to_string(), hint: "run the command again".into() });
        }
    };
    let (unfinished, foreign): (Vec<_>, Vec<_>) = report.strays.iter().partition(|stray| stray.unfinished);
    if !unfinished.is_empty() {
        let files = counted(unfinished.len() as u64, "unfinished file");
        context
            .remark(format_args!("{files} of running or killed writers; the next writer without others removes them"));
    }
    for stray in foreign {
        context.remark(format_args!("{:?} does not belong to the store", stray.path));
    }
    for cid in &report.knn_unfinished {
        context.remark(format_args!(
            "index {cid} is incomplete: it is being written, or its writer was stopped; `knn rm` removes its parts"
        ));
    }
    unless_closed(tell(context, &report))?;
    advise(context, &path, &report);
    Ok(if report.fault_count == 0 { Exit::Done } else { Exit::DamageFound })
}

/// Notes on how to repair the faults. In JSON, the kinds of the faults tell.
fn advise(context: &Context, path: &Path, report: &VerifyReport) {
    let found = |kinds: &[FaultKind]| report.faults.iter().any(|fault| kinds.contains(&fault.kind));
    let in_bucket = || matches!(context.reading_options().detect(path), Ok(Some(driver)) if driver.name() == BUCKET);
    if found(&[FaultKind::Structure]) && in_bucket() {
        context.remark(format_args!("the log is damaged: {FOR_DAMAGED_LOG}"));
        return;
    }
    if found(&[FaultKind::Structure]) {
        context.remark(format_args!(
            "the structure is damaged: restore the store from a copy or an archive, \
             or run `mnem-store copy --salvage {} NEW` to copy what is still readable",
            quoted(path)
        ));
        return;
    }
    if found(&[FaultKind::Heads, FaultKind::Listing, FaultKind::SideTable]) {
        context.remark(format_args!(
            "a part of the store cannot be read: restore the store from a copy or an archive, \
             or run `mnem-store copy --salvage {} NEW` to copy what is still readable",
            quoted(path)
        ));
    }
    if found(&[FaultKind::Unreadable]) && in_bucket() {
        context.remark(format_args!(
            "restore the objects that these lines name from an old version or a backup of the bucket, \
             or run `mnem-store copy --salvage {} NEW` to copy what is still readable",
            quoted(path)
        ));
    }
    let store = quoted(path);
    // If the listing fails too, the block's folder or page is damaged, and `rm` fails like a read.
    let is_of_a_block = found(&[FaultKind::Unreadable]) && !found(&[FaultKind::Listing]) && !in_bucket();
    if found(&[FaultKind::Corrupt]) || is_of_a_block {
        context.remark(format_args!(
            "to repair a damaged block, run `mnem-store rm CID --store {store}` (with --force if it is a head), \
             then import an archive that holds it"
        ));
    }
    if found(&[FaultKind::MissingHead, FaultKind::MissingLink]) {
        context.remark(format_args!(
            "to restore missing blocks, run `mnem-store import FILE --store {store}` with an archive that holds them"
        ));
    }
    if found(&[FaultKind::KnnIndex]) {
        context.remark(format_args!(
            "to repair a damaged index, run `mnem-store knn rm CID --store {store}`, \
             then rebuild it with `mnem-store knn build`"
        ));
    }
}

/// Opens the store for writing, which recovers it. Ignores damage: `verify` reports it.
fn recover(context: &Context) -> Result<()> {
    let recovered = context.open().and_then(|store| store.close("recovered it"));
    match recovered {
        Err(Failure::Store(StoreError::Damaged { .. })) => Ok(()),
        other => other,
    }
}

fn tell(context: &Context, report: &VerifyReport) -> Result<()> {
    let mut out = context.out();
    tell_each(context, &mut out, &report.faults)?;
    summary(context, &mut out, report)?;
    out.finish()
}

/// Prints a line for each fault. It has the CID of the block or index, unless the problem names it.
pub(crate) fn tell_each(context: &Context, out: &mut Out, faults: &[Fault]) -> Result<()> {
    for fault in faults {
        let mut fault = fault.clone();
        fault.what = context.as_typed(fault.what);
        let named = fault.cid.map(|cid| cid.to_string()).filter(|cid| !fault.what.contains(cid));
        let cid = named.map_or_else(String::new, |cid| format!("{cid}: "));
        let line = format_args!("{}: {cid}{}", name(&fault), fault.what);
        out.answer_with(Printable(line), || FaultLine { r#type: "fault", fault: &fault })?;
    }
    Ok(())
}

fn interrupted(stop: &Stop, report: &VerifyReport) -> Failure {
    let (faults, blocks) = (counted(report.fault_count, "fault"), counted(report.blocks, "block"));
    stop.interrupted(
        format_args!("{faults} in {blocks}; the rest was not checked, and nothing was changed"),
        "run the command again to start over".into(),
    )
}

/// The kind of a fault, as in JSON.
fn name(fault: &Fault) -> String {
    match serde_json::to_value(fault.kind) {
        Ok(Value::String(name)) => name,
        _ => "fault".to_owned(),
    }
}

fn indexes(count: u64) -> String {
    counted_as(count, "index", "indexes")
}

fn summary(context: &Context, out: &mut Out, report: &VerifyReport) -> Result<()> {
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
        text.push_str(&format!("; {} of a newer format not checked", indexes(report.knn_unchecked)));
    }
    if report.unchecked > 0 {
        text.push_str(&format!("; {} of unknown hash functions not checked", counted(report.unchecked, "block")));
    }
    if report.structure_damaged {
        text.push_str("; the structure is damaged, so only the readable parts are counted");
    }
    if report.opaque > 0 {
        text.push_str(&format!(
            "; links not followed in {} of other codecs ({} reached)",
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
        // Each fault has a line of its own.
        fields.remove("faults");
        if let Some(Value::Array(strays)) = fields.get_mut("foreign") {
            for stray in strays {
                *stray = stray.as_str().map(|path| context.as_typed(path.to_owned())).into();
            }
        }
    }
    out.summary(text, SummaryLine { r#type: "summary", report })
}
