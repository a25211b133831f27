//! `conformance`: does a backend keep its promises on this machine?

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
Runs every law of the storage contract on stores in the system's folder for
temporary files, and says to which profiles the backend conforms. It takes a
minute or two. Exit status 3: a law was broken.

Examples:
  mnem-store conformance
  mnem-store conformance --backend simple --only heads::
  mnem-store conformance --json | jq .conforms_to
  TMPDIR=/mnt/disk mnem-store conformance      on another file system";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The backend; else the one that stores are made with
    #[arg(long, value_parser = drivers::names())]
    backend: Option<String>,
    /// Only laws whose path contains this, such as blocks::put
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// What random laws begin with
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many seeds random laws go through
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
}

/// Some laws panic on purpose. A panic that breaks a law is told in the report.
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
            message: "conformance runs on new stores of its own, not on that of --store".into(),
            hint: "leave out --store, and name the backend with --backend; `mnem-store verify` checks a store".into(),
        });
    }
    let stop = Stop::when_asked(context)?;
    // The suite may leave threads behind, which the end of the program keeps from cleaning up: this removes what is theirs.
    let root = TempDir::new().map_err(|source| Failure::Io { what: "make a temporary folder".into(), source })?;
    stop.without(root.path());
    let name = args.backend.as_deref();
    let driver = drivers::all().iter().find(|driver| name.is_none_or(|name| driver.name() == name));
    let place = driver.map_or_else(|| root.path().join("store").into(), |driver| driver.trial_place(root.path()));
    // A backend that this build lacks is one error here, and not one for each law.
    let store = context.options_for_new(args.backend.as_deref(), None).create(true).open_managed(place)?;
    let fixture = DriverFixture::new(store.driver()).in_folder(root.path());
    drop(store);
    let options = Options::default();
    let options = args.only.iter().fold(options, |options, text| options.only(text));
    let options = args.seed.into_iter().fold(options, Options::seed);
    let options = args.rounds.into_iter().fold(options, Options::rounds);
    let kept = "nothing was kept, and not every law was run";
    stop.at_once_from_here(kept, "run it again, or fewer laws with --only")?;
    context.note(format_args!("running the laws on stores in {}", root.path().display()));
    quiet_laws();
    let report = conformance::run(fixture, &options);
    if report.entries.is_empty() {
        return Err(Failure::Usage {
            message: format!("no law has {:?} in its path", args.only.as_deref().unwrap_or_default()),
            hint: "the report of a whole run names them all, as blocks::put_twice_is_ok".into(),
        });
    }
    let mut out = context.out();
    let told = if context.json() { out.line(report.to_json()) } else { out.summary(report.to_string().trim_end(), ()) };
    unless_closed(told.and_then(|()| out.finish()))?;
    Ok(if report.is_ok() { Exit::Done } else { Exit::DamageFound })
}
