//! `conformance`: the conformance suite, on this machine.

use std::{panic, thread};

use mnem_store_traits::conformance::{self, DriverFixture, Options};
use tempfile::TempDir;

use crate::{
    context::Context,
    drivers,
    error::{Exit, Failure, Result},
    output::unless_closed,
    stop::Stop,
};

const EXAMPLES: &str = "\
Runs every law of the storage contract on stores in the temporary folder, and reports
the profiles to which the backend conforms. Takes a minute or two.
Exit status 3: the backend broke a law, or no selected law could be tested.

Examples:
  mnem-store conformance
  mnem-store conformance --backend simple --only heads::
  mnem-store conformance --json | jq .conforms_to
  TMPDIR=/mnt/disk mnem-store conformance      on another file system";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The backend to test [default: that of a new store]
    #[arg(long, value_parser = drivers::names())]
    backend: Option<String>,
    /// Run only laws whose path contains this text, such as blocks::put
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// First seed of randomised laws
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Number of seeds of randomised laws
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
}

/// Silences panics in other threads: some laws panic on purpose, and the report has any panic that breaks a law.
fn quiet_laws() {
    let (hook, own) = (panic::take_hook(), thread::current().id());
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == own {
            hook(info);
        }
    }));
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    if context.typed_store().is_some() {
        return Err(Failure::Usage {
            message: "conformance creates its own stores and does not take --store".into(),
            hint: "give the backend with --backend, or run `mnem-store verify` to check a store".into(),
        });
    }
    let stop = Stop::when_asked(context)?;
    // The suite may leave threads that have no time to clean up at exit. Dropping this folder removes their files.
    let root = TempDir::new().map_err(|source| Failure::Io { what: "create a temporary folder".into(), source })?;
    stop.without(root.path());
    let name = args.backend.as_deref();
    let driver = drivers::all().iter().find(|driver| name.is_none_or(|name| driver.name() == name));
    let place = driver.map_or_else(|| root.path().join("store").into(), |driver| driver.trial_place(root.path()));
    // If the backend is not compiled in, fail once here instead of once per law.
    let store = context.options_for_new(args.backend.as_deref(), None).create(true).open_managed(place)?;
    let fixture = DriverFixture::new(store.driver()).in_folder(root.path());
    drop(store);
    let options = Options::default();
    let options = args.only.iter().fold(options, |options, text| options.only(text));
    let options = args.seed.into_iter().fold(options, Options::seed);
    let options = args.rounds.into_iter().fold(options, Options::rounds);
    let kept = "not every law ran, and the results are discarded";
    stop.at_once_from_here(kept, "run the command again, or run fewer laws with --only")?;
    context.note(format_args!("running the laws on stores in {}", root.path().display()));
    quiet_laws();
    let report = conformance::run(fixture, &options);
    if report.entries.is_empty() {
        return Err(Failure::Usage {
            message: format!("no law has a path that contains {:?}", args.only.as_deref().unwrap_or_default()),
            hint: "run `mnem-store conformance` without --only to list all paths, such as blocks::put_twice_is_ok"
                .into(),
        });
    }
    let mut out = context.out();
    let told = if context.json() { out.line(report.to_json()) } else { out.summary(report.to_string().trim_end(), ()) };
    unless_closed(told.and_then(|()| out.finish()))?;
    Ok(if report.is_ok() { Exit::Done } else { Exit::DamageFound })
}
