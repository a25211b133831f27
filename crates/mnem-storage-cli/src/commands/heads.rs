//! `heads`: which operations are current, and changing that.

use clap::Subcommand;
use mnem_storage::{Cid, OpHeadsStore as _, StoreError, WriteBatch};
use serde_json::json;

use crate::{
    cid_arg,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Examples:
  mnem-store heads --store memory.redb
  mnem-store heads update NEW --supersedes OLD
  mnem-store heads swap NEW --expected OLD     fails unless OLD is the only head
  mnem-store heads swap NEW                    the first head: fails if there is one";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Add a head, and drop those that it supersedes
    #[command(after_help = "\
The new head's block must be in the store (exit status 4). Superseding what is no
head is no error.

Examples:
  mnem-store heads update NEW --store memory.redb
  mnem-store heads update NEW --supersedes OLD1 --supersedes OLD2")]
    Update {
        /// The new head
        new: String,
        /// A head that it replaces; may be given several times
        #[arg(long, value_name = "CID")]
        supersedes: Vec<String>,
    },
    /// Replace all heads by one, if they are those expected
    #[command(after_help = "\
The new head's block must be in the store (exit status 4). If the heads are others
than expected, nothing changes (exit status 1).

Examples:
  mnem-store heads swap NEW --expected OLD --store memory.redb
  mnem-store heads swap NEW")]
    Swap {
        /// The new head
        new: String,
        /// A current head; give all of them, none if there is no head yet
        #[arg(long, value_name = "CID")]
        expected: Vec<String>,
    },
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let heads = match &args.change {
        None => context.open_read_only()?.heads()?,
        Some(change) => {
            // Requiring the block makes sure that no head is left without it.
            let mut batch = WriteBatch::new();
            match change {
                Change::Update { new, supersedes } => {
                    let new = cid_arg::parse(new)?;
                    batch.require(new).update(new, cid_arg::parse_all(supersedes)?)
                }
                Change::Swap { new, expected } => {
                    let new = cid_arg::parse(new)?;
                    batch.require(new).swap(cid_arg::parse_all(expected)?, new)
                }
            };
            let store = context.open()?;
            store.commit(&batch).map_err(|error| moved(change, error))?;
            let heads = store.heads()?;
            store.close("changed its heads")?;
            heads
        }
    };
    print(context, &heads)?;
    Ok(Exit::Done)
}

/// Of heads that moved, the store knows how many it found, and the command line how many were expected.
fn moved(change: &Change, error: StoreError) -> Failure {
    match (change, error) {
        (Change::Swap { expected, .. }, error @ StoreError::HeadsMoved { .. }) => {
            Failure::HeadsMoved { expected: expected.len(), error: Box::new(error) }
        }
        (_, error) => error.into(),
    }
}

fn print(context: &Context, heads: &[Cid]) -> Result<()> {
    let mut out = context.out();
    if context.json() {
        out.json_line(json!({ "heads": heads.iter().map(Cid::to_string).collect::<Vec<_>>() }))?;
    } else {
        for head in heads {
            out.line(head)?;
        }
    }
    if heads.is_empty() {
        context.remark("the store has no heads");
    }
    out.finish()
}
