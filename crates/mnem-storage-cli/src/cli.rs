//! The command line: its grammar, and the errors and suggestions of the parser.

use std::{ffi::OsString, io, path::Path, process::ExitCode, sync::LazyLock};

use clap::{
    CommandFactory as _, Parser,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};
use mnem_storage::{BACKENDS, driver::Driver, knn::Format};

use crate::{
    args::Global,
    cid_short,
    commands::{self, Command},
    common_words,
    context::is_archive_name,
    drivers,
    error::Exit,
    hints::{install_with, quoted},
    output,
    report::report_usage_as_json,
    terminal,
};

const ABOUT: &str = "Import, export, verify, copy and inspect stores of versioned knowledge graphs";

const EXAMPLES: &str = "\
Examples:
  mnem-store import animals.car --heads --store animals.redb   create a store from an archive
  mnem-store heads --store animals.redb                        list the current heads
  mnem-store verify --store animals.redb                       check the store
  mnem-store copy animals.redb animals.simple/                 copy it into plain files
  mnem-store export - --store animals.redb > out.car           write an archive

  export MNEM_STORE=animals.redb                               set the default store
  mnem-store ls | head -1
  mnem-store show CID                                          print a block in readable form
  mnem-store get CID | sha256sum

Environment:
  MNEM_STORE       the store to use without --store
  RUST_LOG         log filter, such as mnem_backend_redb=debug; takes precedence over -v
  NO_COLOR         if set, disables colours
  CLICOLOR_FORCE   if set to anything but 0, enables colours without a terminal

Exit status:
  0 success   1 failure, or stores differ   2 usage   3 damage, or a broken law, found
  4 no such block, head, index or node
  10 no store   11 locked   12 unsupported format or service   13 needs recovery
  128 + N killed by signal N: 130 SIGINT, 143 SIGTERM";

/// The parsed command line.
#[derive(Debug, Parser)]
#[command(name = "mnem-store", version, long_version = LONG_VERSION.as_str(), about = ABOUT, after_help = EXAMPLES)]
#[command(propagate_version = false, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Parses the command line.
///
/// # Errors
/// The exit status, after printing the help, the version or a usage error.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().and_then(refuse_two_stores).map_err(|mut error| {
        suggest_store(&mut error);
        suggest_owner(&mut error);
        suggest_command(&mut error);
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return match terminal::print(&error) {
                // A reader that closes the pipe early is not an error.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    terminal::say(format_args!("error: cannot write to standard output\n  caused by: {error}"));
                    Exit::Failed.into()
                }
                _ => ExitCode::SUCCESS,
            };
        }
        if json_was_asked_for() {
            report_usage_as_json(&error);
        } else {
            let _ = terminal::print(&error);
        }
        Exit::Usage.into()
    })
}

/// Suggests `--store`, `import` or what takes a CID for a positional argument that the command does not take.
fn suggest_store(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return };
    let word = word.clone();
    if error.kind() == ErrorKind::UnknownArgument
        && !word.starts_with('-')
        && error.get(ContextKind::Suggested).is_none()
    {
        let path = Path::new(&word);
        let tip = if is_archive_name(path) {
            format!("import archives one at a time: `mnem-store import {} --store STORE`", quoted(path))
        } else if cid_short::parse(&word).is_ok() {
            "this command takes no CID: `mnem-store get CID` checks one block, `export` and `knn build` take --root CID, \
             `gc` takes --keep CID"
                .to_owned()
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            format!("`knn build` takes a file of vectors: `--vectors {}`", quoted(path))
        } else {
            format!("name the store with --store: `--store {}`", quoted(path))
        };
        let tip = StyledStr::from(tip);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
}

/// Names the commands that take an unknown option, in place of clap's advice on passing it as a value.
fn suggest_owner(error: &mut clap::Error) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return };
    let Some(name) = typed.strip_prefix("--").filter(|_| error.kind() == ErrorKind::UnknownArgument) else { return };
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    let owners = owners(&Cli::command(), "", name);
    if owners.is_empty() || error.get(ContextKind::SuggestedArg).is_some() {
        return;
    }
    let mut tip = format!("--{name} is an option of {}", owners.join(", "));
    if name == "out" {
        tip.push_str("; other commands write to standard output: redirect it with `> FILE`");
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
}

/// The subcommands that take the option, as the user types them.
fn owners(command: &clap::Command, typed: &str, option: &str) -> Vec<String> {
    let mut owners = Vec::new();
    for command in command.get_subcommands() {
        let typed = format!("{typed}{} ", command.get_name());
        if command.get_arguments().any(|arg| arg.get_long() == Some(option)) {
            owners.push(format!("`{}`", typed.trim_end()));
        }
        owners.extend(self::owners(command, &typed, option));
    }
    owners
}

/// Suggests the command that a synonym stands for.
fn suggest_command(error: &mut clap::Error) {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return };
    let word = word.to_ascii_lowercase();
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let under = |command| usage.contains(&format!("mnem-store {command} "));
    let instead = match () {
        () if under("heads") => common_words::of_heads(&word),
        () if under("knn") => common_words::of_knn(&word),
        () => common_words::instead(&word),
    };
    let Some(instead) = instead else { return };
    // The synonym is right, so drop clap's guess by spelling.
    error.remove(ContextKind::SuggestedSubcommand);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(instead)]));
}

/// Refuses `--store` both before and after the command: clap would silently keep the second.
fn refuse_two_stores(cli: Cli) -> Result<Cli, clap::Error> {
    let named = options_typed().filter(|arg| arg == "--store" || arg.as_encoded_bytes().starts_with(b"--store="));
    if named.count() < 2 {
        return Ok(cli);
    }
    let what = "--store is given twice, before and after the command";
    Err(Cli::command().error(ErrorKind::ArgumentConflict, what))
}

/// The arguments before a `--`.
fn options_typed() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1).take_while(|arg| arg != "--")
}

/// Whether `--json` is given, for an error in a command line that could not be parsed.
fn json_was_asked_for() -> bool {
    options_typed().any(|arg| arg == "--json")
}

/// The version, and the backends and formats of this build.
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
        let name = backend.name;
        lines.push(format!("{name}: not in this build; to install the program with it, run {}", install_with(name)));
    }
    lines.push("archives: reads CARv1 and CARv2, writes CARv1".into());
    lines.push(format!(
        "nearest-neighbour indexes: formats {} (row) and {} (packed)",
        commands::knn::number(Format::Row),
        commands::knn::number(Format::Packed)
    ));
    lines.push(format!("contract: version {}", mnem_store_traits::conformance::CONTRACT_VERSION));
    lines.push(format!("JSON: schema {}", output::SCHEMA));
    lines.join("\n")
});
