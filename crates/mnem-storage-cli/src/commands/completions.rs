//! `completions`: shell completion scripts.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{
    cli::Cli,
    context::Context,
    error::{Exit, Result},
};

const EXAMPLES: &str = "\
Examples:
  mnem-store completions bash > ~/.local/share/bash-completion/completions/mnem-store
  mnem-store completions zsh > ~/.zfunc/_mnem-store
  mnem-store completions fish > ~/.config/fish/completions/mnem-store.fish";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    // Generate into memory: the generator panics if its output fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mnem-store", &mut script);
    let mut out = context.out();
    out.bytes(&script)?;
    out.finish()?;
    Ok(Exit::Done)
}
