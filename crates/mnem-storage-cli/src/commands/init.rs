//! `init`: an empty store.

use mnem_storage::detect;
use serde_json::json;

use crate::{
    args::{BackendArg, LayoutArg},
    context::Context,
    error::{Exit, Failure, Result},
    hints::quoted,
    stop::Stop,
    target::Target,
};

const EXAMPLES: &str = "\
Which backend: --backend (redb: one file; simple: a folder with one plain file for
each block), else the path (.redb is redb; .simple, a trailing slash or an empty
folder is simple), else redb.

Examples:
  mnem-store init --store memory.redb
  mnem-store init --store memory/ --backend simple
  mnem-store init --store memory.redb --layout mnem01    for the published programs too";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The backend of the new store
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendArg>,
    /// mnem01: a redb file for the published programs (mnem-backend-redb 0.1.x) too
    #[arg(long, value_enum, default_value = "native")]
    layout: LayoutArg,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    if let Some(backend) = detect(&path)? {
        return Err(Failure::Refused {
            message: format!("a {backend} store is already at {}", path.display()),
            hint: format!("`mnem-store stat --store {}` says what is in it", quoted(&path)),
        });
    }
    // A store that is being made is better made whole.
    let _stop = Stop::when_asked(context)?;
    let options = context.options().create_new(true).published_layout(args.layout == LayoutArg::Mnem01);
    Target::open(&options.backend(args.backend.map(Into::into)), &path)?.close("made an empty store")?;
    let backend = detect(&path)?.map_or("unknown", |backend| backend.name());
    let mut out = context.out();
    out.summary(
        format_args!("made an empty {backend} store at {}", path.display()),
        json!({ "store": path.display().to_string(), "backend": backend }),
    )?;
    out.finish()?;
    Ok(Exit::Done)
}
