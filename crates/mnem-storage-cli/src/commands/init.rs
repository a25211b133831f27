//! `init`: creating an empty store.

use mnem_storage::{ErrorKind, driver::Driver};
use serde_json::json;

use crate::{
    context::Context,
    drivers,
    error::{Exit, Failure, Result},
    hints::quoted,
    stop::Stop,
    target::Target,
};

const EXAMPLES: &str = "\
Examples:
  mnem-store init --store memory.redb
  mnem-store init --store memory/ --backend simple
  mnem-store init --store memory.redb --format 'mnem-backend-redb 0.1'
                                          readable by the published programs";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}\n{EXAMPLES}{}", drivers::choice(), example_of_url()))]
pub(crate) struct Args {
    /// Backend of the new store
    #[arg(long, value_parser = drivers::names())]
    backend: Option<String>,
    /// Format of the new store [default: the backend's newest]
    #[arg(long, value_parser = drivers::formats())]
    format: Option<String>,
}

/// An example with a URL, if a backend of this build opens any.
fn example_of_url() -> &'static str {
    if drivers::all().iter().any(|driver| driver.schemes().contains(&"s3")) {
        "\n  mnem-store init --store 's3://BUCKET/PREFIX?region=eu-north-1'"
    } else {
        ""
    }
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    context.refuse_archive_name(&path, args.backend.as_deref(), None)?;
    let options = context.options_for_new(args.backend.as_deref(), args.format.as_deref()).create_new(true);
    let already = |driver: &dyn Driver| Failure::Refused {
        message: format!("{} is already a {} store", path.display(), driver.name()),
        hint: format!("run `mnem-store stat --store {}` to inspect it", quoted(&path)),
    };
    if let Some(driver) = options.detect(&path)? {
        return Err(already(driver));
    }
    // So that a signal does not interrupt the creation.
    let _stop = Stop::when_asked(context)?;
    context.note(format_args!("creating {}", path.display()));
    let made = Target::open(&options, &path).map_err(|error| match options.detect(&path) {
        // Another process created it first.
        Ok(Some(driver)) if error.kind() == ErrorKind::InvalidArgument => already(driver),
        _ => error.into(),
    })?;
    made.close("created an empty store")?;
    let backend = made.driver().name();
    let mut out = context.out();
    out.summary(
        format_args!("created an empty {backend} store at {}", path.display()),
        json!({ "store": path.display().to_string(), "backend": backend }),
    )?;
    out.finish()?;
    Ok(Exit::Done)
}
