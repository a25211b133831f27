//! `export`: writing an archive.

use std::{
    fs,
    io::{self, IsTerminal as _, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueHint;
use mnem_storage::{
    OpHeadsStore as _, Store,
    car::{self, ExportError, ExportErrorKind, ExportOptions, ExportReport},
    enclosing_store,
};

use crate::{
    cid_short::{self, Typed},
    context::Context,
    error::{Exit, Failure, Result},
    hints::quoted,
    left_out::{tell_missing, tell_opaque},
    limits::{COMMON_BLOCK_BYTES_MAX, IMPORT_BLOCK_BYTES_MAX},
    new_file::{NewFile, sync_folder},
    output::{Count, Size, Versioned, counted},
    stop::Stop,
    terminal,
};

const EXAMPLES: &str = "\
Writes a CARv1 archive of the heads, or the --root blocks, and all blocks that they
reach: parents first, each block once. The same blocks and roots give the same bytes with
every backend. The file appears under its name only when it is complete. Resolving a CID
prefix scans all CIDs.

If the store has no heads, give --root, or --allow-empty to write an empty archive.

The export stops at a missing block (--skip-missing leaves it out and lists it), and at a
block that may contain links but whose codec is not followed, since the archive could be
incomplete (--opaque-leaves exports it without the blocks that it links to). Links in
DAG-CBOR, DAG-PB and DAG-JSON are followed.

Examples:
  mnem-store export animals.car --store animals.redb
  mnem-store export - --store animals.redb | ssh backup 'cat > animals.car'
  mnem-store export part.car --root CID
  mnem-store export part.car --skip-missing";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The archive to write; - is standard output
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Root of the archive, instead of the heads: a CID, or a prefix of 8 or more characters; repeatable
    #[arg(long, value_name = "CID")]
    root: Vec<String>,
    /// Treat blocks of unfollowed codecs as leaves: export them without the blocks that they link to
    #[arg(long)]
    opaque_leaves: bool,
    /// Leave out missing blocks and list them; a damaged block still stops the export
    #[arg(long)]
    skip_missing: bool,
    /// Write an archive without roots or blocks if the store has no heads
    #[arg(long)]
    allow_empty: bool,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let roots = cid_short::parse_all(&args.root)?;
    if args.file == Path::new("-") {
        to_standard_output(context, args, &roots)?;
    } else {
        to_file(context, args, &roots)?;
    }
    Ok(Exit::Done)
}

/// Opens the store. An export of the heads checks the structure: damage can hide a head without any error.
fn open(context: &Context, roots: &[Typed]) -> Result<Arc<dyn Store>> {
    if roots.is_empty() { context.open_read_only_checked() } else { context.open_read_only() }
}

fn to_standard_output(context: &Context, args: &Args, roots: &[Typed]) -> Result<()> {
    if io::stdout().is_terminal() {
        return Err(Failure::Usage {
            message: "cannot write an archive to a terminal".into(),
            hint: "run `mnem-store export FILE` or `mnem-store export - > FILE`".into(),
        });
    }
    let store = open(context, roots)?;
    let mut out = context.out();
    match export(context, &store, out.writer(), args, roots, &mut || ControlFlow::Continue(())) {
        // The archive is on standard output, so the summary goes to standard error.
        Ok(report) => {
            out.finish()?;
            remarks(context, &report);
            tell_beside(context, &report);
            Ok(())
        }
        Err(Failure::Export(error)) if error.kind() == ExportErrorKind::BrokenPipe => Err(Failure::OutputClosed),
        Err(failure) => Err(failure),
    }
}

fn to_file(context: &Context, args: &Args, roots: &[Typed]) -> Result<()> {
    let path = context.path()?;
    refuse_a_store(&args.file, &path)?;
    let target = target(&args.file, args.force)?;
    refuse_a_store(&target, &path)?;
    let folder = folder_of(&target)?;
    let failed = |source| Failure::Io { what: format!("write {}", target.display()), source };
    // The check of the structure reports no progress, and nothing is written until it is over.
    let stop = Stop::at_once(
        context,
        "no archive was written: the store was being opened and checked",
        "run the same command again to start over",
    )?;
    let store = open(context, roots)?;
    stop.finish_first();
    let mut file = NewFile::beside(&target, folder).map_err(failed)?;
    stop.without(file.path());
    let report = match export(context, &store, file.file(), args, roots, &mut || stop.flow()) {
        Err(Failure::Export(ExportError::Stopped { .. })) => {
            let state = if args.force && target.exists() { "unchanged" } else { "not written" };
            let kept = format_args!("{} is {state}, and no temporary file is left", target.display());
            file.discard().map_err(failed)?;
            return Err(stop.interrupted(kept, "run the same command again to start over".into()));
        }
        exported => exported.map_err(|failure| naming(failure, &target))?,
    };
    let published = if args.force { file.publish_over(&target) } else { file.publish(&target) };
    published
        .map_err(|error| if error.kind() == io::ErrorKind::AlreadyExists { exists(&target) } else { failed(error) })?;
    make_durable(context, &target, folder)?;
    remarks(context, &report);
    let mut out = context.out();
    out.summary(text(&report, &target.display().to_string()), &report)?;
    out.finish()
}

/// Makes the archive's name durable. A file system that cannot sync folders is not an error: the file is complete, and
/// its bytes are durable.
fn make_durable(context: &Context, target: &Path, folder: &Path) -> Result<()> {
    let what = || format!("sync the folder of {}; the archive is written", target.display());
    if !sync_folder(folder).map_err(|source| Failure::Io { what: what(), source })? {
        let (target, folder) = (target.display(), folder.display());
        context.remark(format_args!(
            "the folder {folder} cannot be synced: a power cut within the next minute may lose {target}"
        ));
    }
    Ok(())
}

/// Prints the summary on standard error.
fn tell_beside(context: &Context, report: &ExportReport) {
    match serde_json::to_string(&Versioned::new(report)) {
        _ if context.quiet() => {}
        Ok(json) if context.json() => terminal::say(json),
        _ => terminal::say(text(report, "standard output")),
    }
}

/// Adds the file's name to a write error.
fn naming(failure: Failure, target: &Path) -> Failure {
    match failure {
        Failure::Export(ExportError::Write { offset, source }) => {
            Failure::Io { what: format!("write {} after byte {offset} of the archive", target.display()), source }
        }
        other => other,
    }
}

/// Notes on what readers may refuse. JSON has them in `unchecked` and `largest_block_bytes`.
fn remarks(context: &Context, report: &ExportReport) {
    if report.unchecked > 0 {
        let blocks = counted(report.unchecked, "block");
        context.remark(format_args!(
            "exported {blocks} of unknown hash functions unverified: `import` needs --keep-unknown-hashes"
        ));
    }
    tell_opaque(context, report.opaque, "exported");
    tell_missing(context, report.missing_count, &report.missing, "left out");
    let largest = Count(report.largest_block_bytes);
    if report.largest_block_bytes > IMPORT_BLOCK_BYTES_MAX {
        let largest_bytes = report.largest_block_bytes;
        context.remark(format_args!(
            "the largest block has {largest} bytes: `import` needs --max-block {largest_bytes}, and other tools may refuse it"
        ));
    } else if report.largest_block_bytes > COMMON_BLOCK_BYTES_MAX {
        context.remark(format_args!("the largest block has {largest} bytes; some tools refuse blocks above 2 MiB"));
    }
}

/// Exports to `output`, and flushes it.
fn export(
    context: &Context,
    store: &Arc<dyn Store>,
    output: &mut dyn Write,
    args: &Args,
    roots: &[Typed],
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<ExportReport> {
    let mut options = ExportOptions::new().opaque_leaves(args.opaque_leaves).skip_missing(args.skip_missing);
    if !roots.is_empty() {
        options = options.roots(cid_short::find_all(context, &**store, roots)?);
    } else if !args.allow_empty && store.heads()?.is_empty() {
        return Err(no_heads(&context.path()?));
    }
    let mut bar = context.bar("export");
    let report = car::export(&**store, output, &options, &mut |progress| {
        bar.show(&progress);
        go_on()
    })?;
    drop(bar);
    Ok(report)
}

/// The error for a store without heads: otherwise a scheduled backup could write empty archives unnoticed.
fn no_heads(store: &Path) -> Failure {
    Failure::Refused {
        message: format!("{} has no heads: the archive would be empty", store.display()),
        hint: format!(
            "run `mnem-store heads update CID --store {}` to set a head, give --root CID to export what a block \
             reaches, or give --allow-empty to write an empty archive",
            quoted(store)
        ),
    }
}

/// The file to write. Resolves a symbolic link, so that the link stays. Refuses to replace a file without `--force`, and
/// anything that is not a file.
fn target(file: &Path, force: bool) -> Result<PathBuf> {
    let failed = |source| Failure::Io { what: format!("inspect {}", file.display()), source };
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(file.to_owned()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !force && (found.is_file() || found.is_symlink()) => return Err(exists(file)),
        Ok(_) => {}
    }
    let target = fs::canonicalize(file).map_err(failed)?;
    if !fs::metadata(&target).map_err(failed)?.is_file() {
        return Err(Failure::Refused {
            message: format!("{} exists and is not a regular file", file.display()),
            hint: "give another file, or run `mnem-store export -` to write to standard output".into(),
        });
    }
    Ok(target)
}

/// The folder of the archive. Fails if it does not exist.
fn folder_of(target: &Path) -> Result<&Path> {
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if folder.exists() {
        return Ok(folder);
    }
    Err(Failure::Refused {
        message: format!("cannot write {}: folder {} does not exist", target.display(), folder.display()),
        hint: format!("run `mkdir -p {}`, then the same command again", quoted(folder)),
    })
}

/// Refuses to replace the store itself, and to write inside any store.
fn refuse_a_store(target: &Path, store: &Path) -> Result<()> {
    let replaces = matches!((fs::canonicalize(target), fs::canonicalize(store)), (Ok(one), Ok(other)) if one == other);
    if !replaces && enclosing_store(target).is_none() {
        return Ok(());
    }
    Err(Failure::Refused {
        message: format!("{} is a store or inside one", target.display()),
        hint: "give another file".into(),
    })
}

fn exists(file: &Path) -> Failure {
    Failure::Refused {
        message: format!("{} exists", file.display()),
        hint: "give --force to replace it, or give another file".into(),
    }
}

fn text(report: &ExportReport, to: &str) -> String {
    format!(
        "exported {} ({}) under {} to {to}, {}",
        counted(report.blocks, "block"),
        Size(report.bytes),
        counted(report.roots.len() as u64, "root"),
        Size(report.archive_bytes)
    )
}
