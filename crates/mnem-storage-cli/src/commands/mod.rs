//! One command in each file: its arguments, its help, and what it does.

pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod conformance;
pub(crate) mod copy;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod has;
pub(crate) mod heads;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod knn;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod put;
pub(crate) mod rm;
pub(crate) mod size;
pub(crate) mod stat;
pub(crate) mod verify;
pub(crate) mod walk;

use crate::{
    args::Command,
    context::Context,
    error::{Exit, Result},
};

/// Runs a command.
pub(crate) fn run(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Import(args) => import::run(context, &args),
        Command::Export(args) => export::run(context, &args),
        Command::Put(args) => put::run(context, &args),
        Command::Get(args) => get::run(context, &args),
        Command::Has(args) => has::run(context, &args),
        Command::Size(args) => size::run(context, &args),
        Command::Rm(args) => rm::run(context, &args),
        Command::Ls(args) => ls::run(context, &args),
        Command::Walk(args) => walk::run(context, &args),
        Command::Heads(args) => heads::run(context, &args),
        Command::Stat(args) => stat::run(context, &args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Conformance(args) => conformance::run(context, &args),
        Command::Copy(args) => copy::run(context, &args),
        Command::Compact(args) => compact::run(context, &args),
        Command::Knn(args) => knn::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
    }
}
