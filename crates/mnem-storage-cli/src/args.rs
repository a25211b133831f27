//! The command line: options that every command takes, and the list of commands.

use std::{ffi::OsString, io, path::PathBuf, process::ExitCode, sync::LazyLock, time::Duration};

use clap::{ArgAction, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint, error::ErrorKind};
use mnem_storage::{BACKENDS, Sharing, driver::Driver, knn::Format};

use crate::{commands, drivers, error, error::Exit, output, terminal};

const ABOUT: &str = "Import, export, verify, copy and explain stores of versioned knowledge graphs";

const EXAMPLES: &str = "\
Examples:
  mnem-store import animals.car --heads --store animals.redb   from an archive
  mnem-store heads --store animals.redb                        what is current
  mnem-store verify --store animals.redb                       is it whole?
  mnem-store copy animals.redb animals.simple/                 as plain files
  mnem-store export - --store animals.redb > out.car           and back again

  export MNEM_STORE=animals.redb                               no more --store
  mnem-store ls | head -1
  mnem-store get CID | sha256sum

Environment:
  MNEM_STORE       the store, where --store names none
  NO_COLOR         set to anything: no colours
  CLICOLOR_FORCE   set to anything but 0: colours also where no terminal is

Exit status:
  0 done   1 failed   2 usage   3 damage found   4 no such block, index or node
  10 no store here   11 locked   12 wrong or newer format   13 needs recovery
  128 + N ended by signal N: 130 SIGINT, 143 SIGTERM";

/// Everything that was typed.
#[derive(Debug, Parser)]
#[command(name = "mnem-store", version, long_version = LONG_VERSION.as_str(), about = ABOUT, after_help = EXAMPLES)]
#[command(propagate_version = false, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that may stand before or after the command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options for every command")]
pub(crate) struct Global {
    /// The store: its path [env: MNEM_STORE]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) store: Option<PathBuf>,
    /// Answer in JSON: an object, or one a line for listings; errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but the answer and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is being opened and made
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
    /// Show progress on standard error (auto: on a terminal)
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds, help = lock_wait_help())]
    pub(crate) lock_wait: Option<Duration>,
    /// How a store is shared that cannot always be: in the mode in which others have it open
    #[arg(long, global = true, value_name = "MODE", default_value = "exclusive-writer")]
    pub(crate) concurrency: Mode,
    /// Open a store also where there are no file locks: nothing else may use it meanwhile
    #[arg(long, global = true)]
    pub(crate) without_locks: bool,
    /// Write to a store also where folders cannot be synced: a power cut may take new files away
    #[arg(long, global = true)]
    pub(crate) without_folder_sync: bool,
}

/// Who else may have a store open: see [`Sharing`]. The values have no help of their own, which would make that of every command long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    #[value(name = "exclusive-writer")]
    Exclusive,
    #[value(name = "single-writer")]
    Single,
    #[value(name = "multi-writer")]
    Multi,
}

impl From<Mode> for Sharing {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Exclusive => Self::ExclusiveWriter,
            Mode::Single => Self::SingleWriter,
            Mode::Multi => Self::MultiWriter,
        }
    }
}

/// When to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an empty store
    Init(commands::init::Args),
    /// Read a CAR archive into a store, which is created if need be
    Import(commands::import::Args),
    /// Write a store, or what some roots reach, as a CAR archive
    Export(commands::export::Args),
    /// Store one block and print its CID
    Put(commands::put::Args),
    /// Write the bytes of one block to standard output
    Get(commands::get::Args),
    /// Say whether a block is there
    Has(commands::has::Args),
    /// Print the size of a block in bytes
    Size(commands::size::Args),
    /// Remove one block (for garbage collection)
    Rm(commands::rm::Args),
    /// List the CIDs of all blocks
    Ls(commands::ls::Args),
    /// List the blocks that a block reaches, parents first
    Walk(commands::walk::Args),
    /// List the heads, or change them
    Heads(commands::heads::Args),
    /// Count and measure a store
    Stat(commands::stat::Args),
    /// Check everything in a store
    Verify(commands::verify::Args),
    /// Run the conformance suite on a backend of this build
    Conformance(commands::conformance::Args),
    /// Copy a store to another place or backend, and prove the copy
    Copy(commands::copy::Args),
    /// Give the space that a store no longer needs back to the file system
    Compact(commands::compact::Args),
    /// Build, list, read and remove indexes of nearest neighbours
    Knn(commands::knn::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
    /// Print the manual page of a command, or write those of all
    Man(commands::man::Args),
}

/// Parses the command line. `Err`: help, version or a usage error was printed, and this is the exit status.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().and_then(refuse_two_stores).map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return match terminal::print(&error) {
                // A reader that went away has seen enough.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    terminal::say(format_args!("error: cannot write to standard output\n  caused by: {error}"));
                    Exit::Failed.into()
                }
                _ => ExitCode::SUCCESS,
            };
        }
        if json_was_asked_for() {
            error::report_usage_as_json(&error);
        } else {
            let _ = terminal::print(&error);
        }
        Exit::Usage.into()
    })
}

/// The parser takes an option both before and behind the command, and keeps only the second.
fn refuse_two_stores(cli: Cli) -> Result<Cli, clap::Error> {
    let named = options_typed().filter(|arg| arg == "--store" || arg.as_encoded_bytes().starts_with(b"--store="));
    if named.count() < 2 {
        return Ok(cli);
    }
    let what = "--store is given both before and behind the command: which one is meant?\n";
    Err(Cli::command().error(ErrorKind::ArgumentConflict, what))
}

/// Everything that was typed before a `--`.
fn options_typed() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1).take_while(|arg| arg != "--")
}

/// Whether errors are to be JSON, when the command line could not be parsed.
fn json_was_asked_for() -> bool {
    options_typed().any(|arg| arg == "--json")
}

fn lock_wait_help() -> String {
    let defaults = drivers::list(|driver| driver.lock_wait().as_secs().to_string());
    format!("How long to wait for a lock that another process holds [default: {defaults}]")
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The version, and what this build reads and writes.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let name = |(place, driver): (usize, &&'static dyn Driver)| {
        let mark = if place == 0 { " (default)" } else { "" };
        format!("{}{mark}", driver.name())
    };
    let names: Vec<_> = drivers::all().iter().enumerate().map(name).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let mut lines = vec![env!("CARGO_PKG_VERSION").to_owned(), format!("backends: {names}")];
    lines.extend(
        drivers::all().iter().map(|driver| format!("{} formats: {}", driver.name(), driver.formats().join(", "))),
    );
    for backend in BACKENDS.iter().filter(|backend| drivers::all().iter().all(|driver| driver.name() != backend.name)) {
        lines.push(format!("{0}: not in this build; Cargo feature `{0}` adds it", backend.name));
    }
    lines.push("archives: CARv1 read and written, CARv2 read".into());
    lines.push(format!(
        "indexes of neighbours: formats {} (row) and {} (packed)",
        commands::knn::number(Format::Row),
        commands::knn::number(Format::Packed)
    ));
    lines.push(format!("contract: version {}", mnem_storage::traits::conformance::CONTRACT_VERSION));
    lines.push(format!("JSON: schema {}", output::SCHEMA));
    lines.join("\n")
});
