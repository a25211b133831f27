//! `copy --salvage`: copying the readable part of a damaged store.

use std::error::Error as _;

use mnem_storage::{
    Component, CopyError, ErrorKind, SalvageOptions, SalvageReport, StoreError, is_salvageable, salvage_at,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    commands::{
        copy::{Args, failed, is_empty, options_of_target},
        verify::tell_each,
    },
    context::Context,
    error::{Exit, Failure, Result},
    hints::{BUCKET, FOR_DAMAGED_LOG, quoted},
    output::{Count, Out, Size, counted, unless_closed},
    stop::Stop,
    target::Target,
};

#[derive(Serialize)]
struct SummaryLine {
    r#type: &'static str,
    from: String,
    to: String,
    #[serde(flatten)]
    report: Value,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let of_target = |error: StoreError| failed(args, CopyError::Target(error.into()));
    // Check the source first, so that no store is created in vain.
    look(context, args).map_err(|error| failed(args, CopyError::Source(error.into())))?;
    // Before creating a store, so that a signal does not interrupt its creation.
    let stop = Stop::when_asked(context)?;
    let existed = args.to.exists();
    let to = Target::open(&options_of_target(context, args), &args.to).map_err(of_target)?;
    let mut bar = context.bar("salvage");
    let options = SalvageOptions::new().open(context.reading_options());
    let salvaged = salvage_at(&args.from, &*to, &options, &mut |progress| {
        bar.show(&progress);
        stop.flow()
    });
    drop(bar);
    let done = match &salvaged {
        Ok(report) => format!("salvaged {}", counted(report.blocks, "block")),
        Err(_) => "the command did not finish".to_owned(),
    };
    let made_in_vain = matches!(salvaged, Err(CopyError::Source(_))) && !existed && is_empty(&to);
    let closed = to.close(&done);
    let report = match salvaged {
        Err(CopyError::Stopped { blocks, .. }) => return Err(interrupted(args, &stop, blocks)),
        Err(error) => {
            if made_in_vain {
                context.remark(format_args!("{} was created, and is empty", args.to.display()));
            }
            return Err(refused(args, error));
        }
        Ok(report) => report,
    };
    closed?;
    unless_closed(tell(context, args, &report))?;
    if report.fault_count == 0 {
        return Ok(Exit::Done);
    }
    let to = quoted(&args.to);
    context.remark("this copy is not proved complete: the unreadable parts may have held more than is listed here");
    context.remark(format_args!(
        "run `mnem-store verify --store {to}` to list missing blocks; to restore them, import an archive that holds them"
    ));
    if report.raw > 0 {
        context.remark("the blocks found in the raw files may include blocks that were deleted earlier");
    }
    if !report.head_candidates.is_empty() {
        context.remark("the candidates were heads at the last commit or an earlier one; none of them is set");
    }
    if report.heads_from_raw {
        context.remark("the heads are those of the newest commit record that was found; later ones may be lost");
    }
    if report.heads.is_empty() {
        context.remark(format_args!("no head was copied; run `mnem-store heads update CID --store {to}` to set one"));
    }
    Ok(Exit::DamageFound)
}

/// Fails unless the source is a store, damaged or not, or raw files that may hold blocks.
fn look(context: &Context, args: &Args) -> std::result::Result<(), StoreError> {
    let from = context.reading_options().read_only(true);
    let looked = from.detect(&args.from).and_then(|found| match found {
        Some(_) => Ok(()),
        None => from.open(&args.from).map(drop),
    });
    match looked {
        Err(error) if error.kind() == ErrorKind::NotAStore && is_salvageable(&args.from, &from)? => Ok(()),
        looked => looked,
    }
}

/// Converts the error: nothing is readable, or the target is not empty.
fn refused(args: &Args, error: CopyError) -> Failure {
    let with_cause = |error: &StoreError| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    match &error {
        CopyError::Source(source) if source.kind() == ErrorKind::Damaged => Failure::Refused {
            message: format!("nothing in {} is readable: {}", args.from.display(), with_cause(source)),
            hint: match &**source {
                StoreError::Damaged { component: Component::Store(BUCKET), .. } => FOR_DAMAGED_LOG.into(),
                _ => "restore the store from a copy or an archive".into(),
            },
        },
        CopyError::Target(target) if target.kind() == ErrorKind::InvalidArgument => Failure::Refused {
            message: format!("cannot salvage into {}: {}", args.to.display(), reason_alone(target)),
            hint: format!("run `mnem-store copy --salvage {} NEW` with a path that does not exist", quoted(&args.from)),
        },
        _ => failed(args, error),
    }
}

/// The reason without the name of the operation, which the message has already.
fn reason_alone(error: &StoreError) -> String {
    match error {
        StoreError::InvalidArgument { reason, .. } => reason.clone(),
        error => error.to_string(),
    }
}

fn interrupted(args: &Args, stop: &Stop, blocks: u64) -> Failure {
    let kept = format!("copied {} and no heads to {}", counted(blocks, "block"), args.to.display());
    stop.interrupted(kept, format!("remove {}, then run the command again to start over", quoted(&args.to)))
}

fn tell(context: &Context, args: &Args, report: &SalvageReport) -> Result<()> {
    let mut out = context.out();
    tell_each(context, &mut out, &report.faults)?;
    summary(&mut out, args, report)?;
    out.finish()
}

fn summary(out: &mut Out, args: &Args, report: &SalvageReport) -> Result<()> {
    let (from, to) = (args.from.display().to_string(), args.to.display().to_string());
    let mut lines =
        vec![format!("salvaged {} ({}) from {from} to {to}", counted(report.blocks, "block"), Size(report.bytes))];
    if report.walked > 0 {
        lines.push(format!("walked   {} found only by links", counted(report.walked, "block")));
    }
    if report.raw > 0 {
        lines.push(format!("raw      {} found in the raw files", counted(report.raw, "block")));
    }
    if report.unchecked > 0 {
        lines.push(format!("as read  {} of unknown hash functions, unverified", counted(report.unchecked, "block")));
    }
    for table in &report.tables {
        lines.push(format!("table    {}: {}, {}", table.name, counted(table.keys, "key"), Size(table.bytes)));
    }
    lines.push(format!("faults   {}", Count(report.fault_count)));
    lines.push(format!("heads    {}", report.heads.len()));
    lines.extend(report.heads.iter().map(|cid| format!("  {cid}")));
    lines.extend(report.head_candidates.iter().map(|cid| format!("candidate {cid}")));
    let mut report = serde_json::to_value(report).map_err(|error| Failure::output(error.into()))?;
    if let Some(fields) = report.as_object_mut() {
        // Each fault has a line of its own.
        fields.remove("faults");
    }
    out.summary(lines.join("\n"), SummaryLine { r#type: "summary", from, to, report })
}
