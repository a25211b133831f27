//! `export`: a store, or a part of it, as an archive.

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
Writes CARv1: the heads (or the roots given) and all blocks that they reach,
parents first, each once. The same store gives the same bytes, whatever its
backend. A file appears under its name only once it is whole. To find a root that was
cut short, all CIDs are listed.

Without heads or roots there is nothing to write: that is refused unless --allow-empty is
given.

It stops at a block that is missing (--skip-missing leaves such blocks out and lists
them), and at one of a codec that may have links and is not followed, so that nobody
knows what else the archive would have to hold (--opaque-leaves). Links of DAG-CBOR,
DAG-PB and DAG-JSON are followed.

Examples:
  mnem-store export animals.car --store animals.redb
  mnem-store export - --store animals.redb | ssh backup 'cat > animals.car'
  mnem-store export part.car --root CID
  mnem-store export part.car --skip-missing";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to write the archive; - is standard output
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// A root of the archive instead of the heads; may be given several times, and cut short to 8 characters or more
    #[arg(long, value_name = "CID")]
    root: Vec<String>,
    /// Export blocks whose links are not followed, without what they link to
    #[arg(long)]
    opaque_leaves: bool,
    /// Leave out missing blocks and list them; damaged ones still end the export
    #[arg(long)]
    skip_missing: bool,
    /// Write an archive without roots and blocks if the store has no heads
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

/// What a damaged store lacks would be lacking in an archive of all that its heads reach, without a sign.
fn open(context: &Context, roots: &[Typed]) -> Result<Arc<dyn Store>> {
    if roots.is_empty() { context.open_read_only_checked() } else { context.open_read_only() }
}

fn to_standard_output(context: &Context, args: &Args, roots: &[Typed]) -> Result<()> {
    if io::stdout().is_terminal() {
        return Err(Failure::Usage {
            message: "an archive is not written to a terminal".into(),
            hint: "`mnem-store export FILE`, or `mnem-store export - > FILE`".into(),
        });
    }
    let store = open(context, roots)?;
    let mut out = context.out();
    match export(context, &store, out.writer(), args, roots, &mut || ControlFlow::Continue(())) {
        // The answer on standard output is the archive, so what was done is told beside it.
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
    let store = open(context, roots)?;
    let stop = Stop::when_asked(context)?;
    let mut file = NewFile::beside(&target, folder).map_err(failed)?;
    stop.without(file.path());
    let report = match export(context, &store, file.file(), args, roots, &mut || stop.flow()) {
        Err(Failure::Export(ExportError::Stopped { .. })) => {
            let state = if args.force && target.exists() { "as it was" } else { "not made" };
            let kept = format_args!("{} is {state}, and nothing is left beside it", target.display());
            file.discard().map_err(failed)?;
            return Err(stop.interrupted(kept, "run the same command again: it begins anew".into()));
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

/// Makes the archive's name durable. Where that cannot be, the archive is there, and its bytes are durable: no reason to fail.
fn make_durable(context: &Context, target: &Path, folder: &Path) -> Result<()> {
    let what = || format!("sync the folder of {}, which is written", target.display());
    if !sync_folder(folder).map_err(|source| Failure::Io { what: what(), source })? {
        let (target, folder) = (target.display(), folder.display());
        context.remark(format_args!(
            "the folder {folder} cannot be synced: look for {target} again if the power fails within the next minute"
        ));
    }
    Ok(())
}

/// What was done, where standard output is taken by the archive.
fn tell_beside(context: &Context, report: &ExportReport) {
    match serde_json::to_string(&Versioned::new(report)) {
        _ if context.quiet() => {}
        Ok(json) if context.json() => terminal::say(json),
        _ => terminal::say(text(report, "standard output")),
    }
}

/// Names the file that could not be written.
fn naming(failure: Failure, target: &Path) -> Failure {
    match failure {
        Failure::Export(ExportError::Write { offset, source }) => {
            Failure::Io { what: format!("write {} after byte {offset} of the archive", target.display()), source }
        }
        other => other,
    }
}

/// What the readers of archives refuse. In JSON, `unchecked` and `largest_block_bytes` say it.
fn remarks(context: &Context, report: &ExportReport) {
    if report.unchecked > 0 {
        let blocks = counted(report.unchecked, "block");
        context.remark(format_args!("{blocks} of unknown hash functions exported as stored: `import` refuses them"));
    }
    tell_opaque(context, report.opaque, "exported");
    tell_missing(context, report.missing_count, &report.missing, "left out");
    let largest = Count(report.largest_block_bytes);
    if report.largest_block_bytes > IMPORT_BLOCK_BYTES_MAX {
        let largest_bytes = report.largest_block_bytes;
        context.remark(format_args!(
            "the largest block has {largest} bytes: `import` needs --max-block {largest_bytes}, other tools may refuse it"
        ));
    } else if report.largest_block_bytes > COMMON_BLOCK_BYTES_MAX {
        context.remark(format_args!("the largest block has {largest} bytes; some tools refuse blocks above 2 MiB"));
    }
}

/// Exports, and flushes what was written.
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

/// A backup that lost its heads would be an empty archive, night after night.
fn no_heads(store: &Path) -> Failure {
    Failure::Refused {
        message: format!("{} has no heads: the archive would be empty", store.display()),
        hint: "`mnem-store heads update CID` sets a head; --root CID exports what a block reaches; --allow-empty writes the empty archive".into(),
    }
}

/// Where the archive is to be: the file behind a symbolic link, so that the link stays. Refuses what must not be replaced.
fn target(file: &Path, force: bool) -> Result<PathBuf> {
    let failed = |source| Failure::Io { what: format!("look at {}", file.display()), source };
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(file.to_owned()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !force && (found.is_file() || found.is_symlink()) => return Err(exists(file)),
        Ok(_) => {}
    }
    let target = fs::canonicalize(file).map_err(failed)?;
    if !fs::metadata(&target).map_err(failed)?.is_file() {
        return Err(Failure::Refused {
            message: format!("{} is not a plain file, so it is not replaced", file.display()),
            hint: "name another file; `mnem-store export -` writes to standard output".into(),
        });
    }
    Ok(target)
}

/// The folder of the archive, which is there.
fn folder_of(target: &Path) -> Result<&Path> {
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if folder.exists() {
        return Ok(folder);
    }
    Err(Failure::Refused {
        message: format!("cannot write {}: there is no folder {}", target.display(), folder.display()),
        hint: format!("`mkdir -p {}`, then the same again", quoted(folder)),
    })
}

/// The archive must not replace the store that it is made from, nor lie inside of any.
fn refuse_a_store(target: &Path, store: &Path) -> Result<()> {
    let replaces = matches!((fs::canonicalize(target), fs::canonicalize(store)), (Ok(one), Ok(other)) if one == other);
    if !replaces && enclosing_store(target).is_none() {
        return Ok(());
    }
    Err(Failure::Refused {
        message: format!("{} is a store, or lies inside of one", target.display()),
        hint: "name another file".into(),
    })
}

fn exists(file: &Path) -> Failure {
    Failure::Refused {
        message: format!("{} exists", file.display()),
        hint: "--force replaces it; or name another file".into(),
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
