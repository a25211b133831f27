//! The commands, one per file: arguments, help and implementation.

pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod conformance;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod has;
pub(crate) mod heads;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod knn;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod put;
pub(crate) mod rm;
pub(crate) mod show;
pub(crate) mod size;
pub(crate) mod stat;
pub(crate) mod verify;
pub(crate) mod walk;

use std::path::Path;

use clap::Subcommand;

use crate::{
    context::Context,
    error::{Exit, Result},
    limits::{COPY_MEMORY_BYTES_MIN, MEMORY_BYTES_MIN},
};

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create an empty store
    Init(init::Args),
    /// Read a CAR archive into a store; create the store if needed
    Import(import::Args),
    /// Write a CAR archive of the blocks that the heads or other roots reach
    Export(export::Args),
    /// Store one block and print its CID
    Put(put::Args),
    /// Write the bytes of one block to standard output
    Get(get::Args),
    /// Print a block in readable form, or list its links
    Show(show::Args),
    /// Test whether a block is present
    Has(has::Args),
    /// Print the size of a block in bytes
    Size(size::Args),
    /// Remove blocks
    Rm(rm::Args),
    /// List the CIDs of all blocks
    Ls(ls::Args),
    /// List the blocks that the heads or other blocks reach, parents first
    Walk(walk::Args),
    /// List or change the heads
    Heads(heads::Args),
    /// Print the counts and sizes of a store
    Stat(stat::Args),
    /// List the entries of the log of a store in a bucket
    Log(log::Args),
    /// Check a store for damage
    Verify(verify::Args),
    /// Run the conformance suite on a backend of this build
    Conformance(conformance::Args),
    /// Copy a store to another path or backend, and verify the copy
    Copy(copy::Args),
    /// List the differences between two stores
    Diff(diff::Args),
    /// Remove the blocks that no head reaches
    Gc(gc::Args),
    /// Return a store's free space to the file system
    Compact(compact::Args),
    /// Build, list, read and remove nearest-neighbour indexes
    Knn(knn::Args),
    /// Print a shell completion script
    Completions(completions::Args),
    /// Print the manual page of a command, or write all pages
    Man(man::Args),
}

impl Command {
    /// The stores that the command takes as arguments.
    pub(crate) fn stores(&self) -> Vec<&Path> {
        match self {
            Self::Copy(args) => vec![&args.from, &args.to],
            Self::Diff(args) => vec![&args.a, &args.b],
            _ => Vec::new(),
        }
    }

    /// Whether the command uses the store of `--store` or `MNEM_STORE`.
    pub(crate) fn uses_store(&self) -> bool {
        !matches!(self, Self::Copy(_) | Self::Diff(_) | Self::Conformance(_) | Self::Completions(_) | Self::Man(_))
    }

    /// The memory that the command needs, in bytes.
    pub(crate) fn memory_bytes_min(&self) -> u64 {
        match self {
            Self::Completions(_) | Self::Man(_) => 0,
            Self::Copy(_) => COPY_MEMORY_BYTES_MIN,
            _ => MEMORY_BYTES_MIN,
        }
    }
}

/// Runs a command.
pub(crate) fn run(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Import(args) => import::run(context, &args),
        Command::Export(args) => export::run(context, &args),
        Command::Put(args) => put::run(context, &args),
        Command::Get(args) => get::run(context, &args),
        Command::Show(args) => show::run(context, &args),
        Command::Has(args) => has::run(context, &args),
        Command::Size(args) => size::run(context, &args),
        Command::Rm(args) => rm::run(context, &args),
        Command::Ls(args) => ls::run(context, &args),
        Command::Walk(args) => walk::run(context, &args),
        Command::Heads(args) => heads::run(context, &args),
        Command::Stat(args) => stat::run(context, &args),
        Command::Log(args) => log::run(context, &args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Conformance(args) => conformance::run(context, &args),
        Command::Copy(args) => copy::run(context, &args),
        Command::Diff(args) => diff::run(context, &args),
        Command::Gc(args) => gc::run(context, &args),
        Command::Compact(args) => compact::run(context, &args),
        Command::Knn(args) => knn::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
    }
}
