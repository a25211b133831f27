//! `import`: reading an archive into a store.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, IsTerminal as _},
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use clap::ValueHint;
use mnem_storage::{
    Cid, Progress,
    car::{self, CarError, CarFault, ImportError, ImportOptions, ImportReport, Kept},
};
use serde::Serialize;

use crate::{
    args::size,
    context::Context,
    drivers,
    error::{Exit, Failure, Result},
    file_arg,
    limits::{COMMON_BLOCK_BYTES_MAX, UNCHECKED_SHOWN_MAX},
    memory,
    output::{Count, Size, counted},
    stop::{
        Stop,
        input::{self, Source, was_asked},
    },
    streams,
    target::{Target, in_all},
};

const EXAMPLES: &str = "\
Reads CARv1 and CARv2. Checks every block against its CID before storing it. Blocks that
are already in the store are not written again, so run an interrupted import again to
finish it. `verify` checks their stored bytes.

Without --heads or --complete, no head changes. --heads makes the roots heads and does
not follow links: run `verify` to check that the graph is complete. --complete makes the
roots heads only if the store then holds every block that they reach.

--adopt stores the blocks in the order of the archive, in large commits: faster, and with
less memory. Only a carlog store can do this. Checks, messages and heads are the same.

Examples:
  mnem-store import animals.car --heads --store animals.redb
  curl https://example.org/animals.car | mnem-store import - --heads
  mnem-store import animals.car --complete --store animals.redb
  mnem-store import animals.car --store animals/ --backend simple
  mnem-store import animals.car --adopt --heads --store animals.carlog";

/// How much to read ahead, to recognize an archive before creating a store for it.
const PEEK_BYTES: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The archive to read; - is standard input
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Add the roots of the archive to the heads
    #[arg(long)]
    heads: bool,
    /// Like --heads, but fail if a block that the roots reach is missing after the import
    #[arg(long)]
    complete: bool,
    /// Store the blocks in the order of the archive, which is faster; only for carlog stores
    #[arg(long)]
    adopt: bool,
    /// Largest block to accept, such as 20000000, 20MB or 20MiB
    #[arg(long, value_name = "BYTES", default_value = "16MiB", value_parser = size)]
    max_block: ByteSize,
    /// Store blocks of unknown hash functions unverified, and list them
    #[arg(long)]
    keep_unknown_hashes: bool,
    /// Accept zeros after the last block of the archive
    #[arg(long)]
    allow_padding: bool,
    /// Backend of a new store [default: by its path, as in `init`]
    #[arg(long, value_parser = drivers::names())]
    backend: Option<String>,
}

impl Args {
    fn sets_heads(&self) -> bool {
        self.heads || self.complete
    }
}

type Input = BufReader<Source>;

/// The answer in JSON.
#[derive(Serialize)]
struct Answer<'a> {
    store: String,
    #[serde(flatten)]
    report: &'a ImportReport,
    heads: Vec<String>,
    /// Roots of the archive that are not heads of the store.
    roots_not_heads: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    let (mut input, file_bytes) = open(&args.file)?;
    let is_new = || matches!(context.options().detect(&path), Ok(None));
    refuse_what_needs_no_store(&mut input, file_bytes, is_new, args)?;
    if args.adopt {
        refuse_unless_adopting(context, &path, args)?;
    }
    let options = ImportOptions::new()
        .batch_bytes(memory::import_batch_bytes(ImportOptions::BATCH_BYTES))
        .heads(args.heads)
        .complete(args.complete)
        .block_bytes_max(args.max_block.as_u64())
        .keep_unknown_hashes(args.keep_unknown_hashes)
        .allow_padding(args.allow_padding)
        .total_bytes(file_bytes);
    // Before creating a store, so that a signal does not interrupt its creation.
    let stop = Stop::when_asked(context)?;
    let store = context.open_or_create(args.backend.as_deref())?;
    let mut bar = context.bar("import");
    let input = input::Input { input, stop: &stop };
    let mut show = |progress: Progress| {
        bar.show(&progress);
        stop.flow()
    };
    let imported = if args.adopt {
        car::adopt(store.managed(), input, &options, &mut show)
    } else {
        car::import(&*store, input, &options, &mut show)
    };
    drop(bar);
    let report = match imported {
        Err(ImportError::Stopped { kept, .. }) => return Err(interrupted(&stop, &store, &path, kept)?),
        Err(ImportError::Read { kept, source, .. }) if was_asked(&source) => {
            return Err(interrupted(&stop, &store, &path, kept)?);
        }
        imported => imported.map_err(|source| of_store(&store, failed(args, source)))?,
    };
    let heads = store.heads()?;
    store.close(&format!("imported {}", counted(report.blocks, "block")))?;
    // Heads are sorted, and both lists may be long.
    let roots_not_heads: Vec<&Cid> = report.roots.iter().filter(|root| heads.binary_search(root).is_err()).collect();
    remarks(context, &report, args.sets_heads(), !roots_not_heads.is_empty());
    let answer = Answer {
        store: path.display().to_string(),
        report: &report,
        heads: heads.iter().map(Cid::to_string).collect(),
        roots_not_heads: roots_not_heads.into_iter().map(Cid::to_string).collect(),
    };
    let mut out = context.out();
    out.summary(text(&answer), &answer)?;
    out.finish()?;
    Ok(Exit::Done)
}

fn open(file: &Path) -> Result<(Input, Option<u64>)> {
    if file_arg::is_standard_input(file) {
        if io::stdin().is_terminal() {
            return Err(Failure::Usage {
                message: "cannot read an archive from a terminal".into(),
                hint: "run `mnem-store import FILE` or `mnem-store import - < FILE`".into(),
            });
        }
        return Ok((BufReader::with_capacity(PEEK_BYTES, Source::Standard(streams::Input)), None));
    }
    let failed = |source| Failure::Io { what: format!("open {}", file.display()), source };
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::Refused {
            message: format!("{} is a folder, not a CAR archive", file.display()),
            hint: "give a CAR archive, as `mnem-store export FILE` writes it".into(),
        });
    }
    let file_bytes = metadata.is_file().then_some(metadata.len());
    Ok((BufReader::with_capacity(PEEK_BYTES, Source::File(opened)), file_bytes))
}

/// Checks the start of the input without consuming it, so that no store is created for an input that is not an archive,
/// or for roots without a block.
fn refuse_what_needs_no_store(
    input: &mut Input,
    file_bytes: Option<u64>,
    is_new: impl Fn() -> bool,
    args: &Args,
) -> Result<()> {
    let unreadable = |source| Failure::Io { what: format!("read {}", file_arg::named(&args.file)), source };
    let beginning = input.fill_buf().map_err(unreadable)?;
    let is_all = file_bytes.is_some_and(|bytes| bytes <= beginning.len() as u64);
    match car::Reader::new(beginning, args.max_block.as_u64()) {
        Err(source @ CarError::Fault { .. }) if is_all || !matches!(source.fault(), Some(CarFault::CutOff { .. })) => {
            Err(failed(args, ImportError::Archive { source, kept: Kept::default() }))
        }
        Ok(reader) if is_all && args.sets_heads() && is_new() => refuse_roots_alone(reader, args),
        _ => Ok(()),
    }
}

/// Fails if the archive has roots but no blocks: in a new store, such roots cannot become heads.
fn refuse_roots_alone(mut reader: car::Reader<&[u8]>, args: &Args) -> Result<()> {
    let mut roots = reader.roots().to_vec();
    if roots.is_empty() || !matches!(reader.next_section(), Ok(None)) {
        return Ok(());
    }
    roots.sort_unstable();
    roots.dedup();
    Err(failed(args, ImportError::MissingRoots { roots, kept: Kept::default() }))
}

/// Refuses a store that does not adopt archives, before it is created.
fn refuse_unless_adopting(context: &Context, path: &Path, args: &Args) -> Result<()> {
    // Opening the store finds what keeps a driver from being chosen, and explains it.
    let Ok(driver) = context.options_for_new(args.backend.as_deref(), None).create(true).driver_at(path) else {
        return Ok(());
    };
    if driver.adopts() {
        return Ok(());
    }
    let adopting = drivers::all().iter().find(|driver| driver.adopts());
    let hint = match adopting.map(|driver| driver.name()) {
        Some(name) => format!("omit --adopt, or import into a {name} store, such as NEW.{name}"),
        None => "omit --adopt: no backend of this build adopts archives".to_owned(),
    };
    let message = format!("a {} store does not keep the order of an archive, so it cannot adopt one", driver.name());
    Err(Failure::Refused { message, hint })
}

fn failed(args: &Args, source: ImportError) -> Failure {
    let from = file_arg::named(&args.file).into();
    let typed = if args.complete { "--complete" } else { "--heads" };
    Failure::Import { from, max_block: args.max_block.as_u64(), typed, source }
}

fn stored(blocks: u64) -> String {
    format!("interrupted after {}", counted(blocks, "verified block"))
}

/// Explains a failure of a store that was moved, replaced or removed.
fn of_store(store: &Target, failure: Failure) -> Failure {
    if failure.store_error().is_some() { store.explained(failure) } else { failure }
}

/// Closes the store, and reports what it holds.
fn interrupted(stop: &Stop, store: &Target, path: &Path, kept: Kept) -> Result<Failure> {
    // Only the new ones are all different: an archive may repeat a block.
    let in_all = in_all(&**store, kept.new);
    store.close(&stored(kept.blocks))?;
    let verified = if kept.unchecked == 0 { "verified block" } else { "block" };
    let not_verified = match kept.unchecked {
        0 => String::new(),
        unchecked => format!(" and {} unverified", Count(unchecked)),
    };
    let kept = format_args!(
        "{} {} in {}, {} of them new{not_verified}; {in_all}; the heads are unchanged",
        counted(kept.blocks, verified),
        if kept.blocks == 1 { "is" } else { "are" },
        path.display(),
        Count(kept.new)
    );
    let hint = "run the same command again to resume: it does not write stored blocks again";
    Ok(stop.interrupted(kept, hint.into()))
}

fn remarks(context: &Context, report: &ImportReport, set_heads: bool, left_out: bool) {
    for warning in &report.warnings {
        context.warn(warning);
    }
    if !set_heads && left_out {
        context.insist("no head was changed; give --heads to make the roots of the archive heads");
    }
    match report.opaque {
        Some(1..) => {
            let blocks = counted(report.opaque.unwrap_or_default(), "block");
            context.remark(format_args!(
                "links were not followed in {blocks} of other codecs; blocks that only these link to were not checked"
            ));
        }
        Some(0) => {}
        None if report.heads_set.is_empty() => {}
        None => context.remark("links were not followed; run `mnem-store verify` to check that the graph is complete"),
    }
    if set_heads && report.roots.is_empty() {
        context.insist("the archive has no roots, so no head was changed");
    }
    if report.largest_block_bytes > COMMON_BLOCK_BYTES_MAX {
        let largest = Count(report.largest_block_bytes);
        context.remark(format_args!("the largest block has {largest} bytes; some tools refuse blocks above 2 MiB"));
    }
}

/// The unverified blocks, up to a limit.
fn unchecked(report: &ImportReport) -> Vec<String> {
    let mut lines =
        vec![format!("unchecked      {} of unknown hash functions, stored unverified", Count(report.unchecked))];
    lines.extend(report.unchecked_cids.iter().take(UNCHECKED_SHOWN_MAX).map(|cid| format!("  {cid}")));
    let more = report.unchecked.saturating_sub(UNCHECKED_SHOWN_MAX as u64);
    if more > 0 {
        lines.push(format!("  and {} more; --json lists up to 10,000", Count(more)));
    }
    lines
}

/// The limits of "complete".
fn unfollowed(report: &ImportReport) -> String {
    match report.opaque {
        None | Some(0) => String::new(),
        Some(opaque) => format!("; links were not followed in {} of other codecs", counted(opaque, "block")),
    }
}

fn text(answer: &Answer<'_>) -> String {
    let report = answer.report;
    let mut lines =
        vec![format!("imported {} ({}) into {}", counted(report.blocks, "block"), Size(report.bytes), answer.store)];
    if report.new == 0 && report.blocks > 0 {
        lines.push("new            0".to_owned());
    } else {
        lines.push(format!("new            {}", Count(report.new)));
    }
    lines.push(format!("present        {}", Count(report.present)));
    if report.unchecked > 0 {
        lines.extend(unchecked(report));
    }
    if report.padding_bytes > 0 {
        lines.push(format!("padding        {} of zeros after the last block", Size(report.padding_bytes)));
    }
    lines.push(format!("missing roots  {}", Count(report.missing_roots.len() as u64)));
    lines.extend(report.missing_roots.iter().map(|cid| format!("  {cid}")));
    if let Some(reached) = report.reached {
        let reach = if report.roots.len() == 1 { "the root reaches" } else { "the roots reach" };
        lines.push(format!(
            "complete       {reach} {}, and none is missing{}",
            counted(reached, "block"),
            unfollowed(report)
        ));
    }
    let made = match report.heads_set.len() {
        0 => String::new(),
        made => format!(" ({} new)", Count(made as u64)),
    };
    lines.push(format!("heads          {}{made}", Count(answer.heads.len() as u64)));
    lines.extend(answer.heads.iter().map(|cid| format!("  {cid}")));
    lines.join("\n")
}
