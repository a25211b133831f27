//! `conformance`: does a backend keep its promises on this machine?

use std::{panic, path::PathBuf, thread};

use mnem_storage::{
    Backend, OpenOptions,
    traits::conformance::{self, Fixture, FixtureError, Handles, Options, Profile},
};
use tempfile::TempDir;

use crate::{
    args::BackendArg,
    context::Context,
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
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendArg>,
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

/// Stores of one backend, each in a temporary folder of its own inside of `root`.
struct OnDisk {
    backend: Backend,
    root: PathBuf,
}

impl Fixture for OnDisk {
    type Place = TempDir;

    fn name(&self) -> &str {
        self.backend.name()
    }

    fn create(&self) -> std::result::Result<TempDir, FixtureError> {
        Ok(TempDir::new_in(&self.root)?)
    }

    fn open(&self, place: &TempDir) -> std::result::Result<Handles, FixtureError> {
        let options = OpenOptions::new().create(true).backend(Some(self.backend));
        Ok(Handles::from(options.open(place.path().join("store"))?))
    }

    fn profiles(&self) -> &[Profile] {
        match self.backend {
            Backend::Simple => &[Profile::Persistence, Profile::SecondHandle],
            // One handle at a time has the file.
            _ => &[Profile::Persistence],
        }
    }
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
    let backend = args.backend.map_or_else(Backend::default_backend, |backend| Some(backend.into()));
    let stop = Stop::when_asked(context)?;
    // The suite may leave threads behind, which the end of the program keeps from cleaning up: this removes what is theirs.
    let root = TempDir::new().map_err(|source| Failure::Io { what: "make a temporary folder".into(), source })?;
    stop.without(root.path());
    let fixture = OnDisk { backend: backend.unwrap_or(Backend::Redb), root: root.path().to_owned() };
    // A backend that is not compiled in is one error here, and not one for each law.
    OpenOptions::new().create(true).backend(Some(fixture.backend)).open(root.path().join("store"))?;
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
