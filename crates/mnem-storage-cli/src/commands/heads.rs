//! `heads`: which operations are current, and changing that.

use std::collections::BTreeSet;

use clap::Subcommand;
use mnem_storage::{Cid, OpHeadsStore as _, StoreError, WriteBatch};
use serde_json::json;

use crate::{
    cid_arg,
    context::Context,
    error::{Exit, Failure, Result},
    hints::quoted,
    limits::HEADS_TRIES_MAX,
    target::Target,
};

const EXAMPLES: &str = "\
Examples:
  mnem-store heads --store memory.redb
  mnem-store heads update NEW --supersedes OLD
  mnem-store heads swap NEW --expected OLD     fails unless OLD is the only head
  mnem-store heads swap NEW                    the first head: fails if there is one
  mnem-store heads rm OLD                      drop a head and keep the others";

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
    /// Drop heads, and leave their blocks alone
    #[command(after_help = "\
Prints the heads that are left. If one of the CIDs is no head (exit status 4), nothing
changes. A store that has had a head keeps at least one: `heads swap` replaces the last.

Examples:
  mnem-store heads rm OLD --store memory.redb
  mnem-store heads rm OLD1 OLD2")]
    Rm {
        /// The heads to drop
        #[arg(value_name = "CID", required = true)]
        cids: Vec<String>,
    },
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let heads = match &args.change {
        None => context.open_read_only()?.heads()?,
        Some(change) => {
            let edit = parse(change)?;
            let store = context.open()?;
            match edit {
                Edit::Commit(batch) => store.commit(&batch).map_err(|error| moved(change, error))?,
                Edit::Drop(cids) => drop_heads(context, &store, &cids)?,
            }
            let heads = store.heads()?;
            store.close("changed its heads")?;
            heads
        }
    };
    print(context, &heads)?;
    Ok(Exit::Done)
}

/// A change, ready to be made.
enum Edit {
    Commit(WriteBatch),
    Drop(BTreeSet<Cid>),
}

fn parse(change: &Change) -> Result<Edit> {
    let mut batch = WriteBatch::new();
    // Requiring the block makes sure that no head is left without it.
    match change {
        Change::Update { new, supersedes } => {
            let new = cid_arg::parse(new)?;
            batch.require(new).update(new, cid_arg::parse_all(supersedes)?);
        }
        Change::Swap { new, expected } => {
            let new = cid_arg::parse(new)?;
            batch.require(new).swap(cid_arg::parse_all(expected)?, new);
        }
        Change::Rm { cids } => return Ok(Edit::Drop(cid_arg::parse_all(cids)?.into_iter().collect())),
    }
    Ok(Edit::Commit(batch))
}

/// Drops heads without adding one. Heads that another process changes meanwhile are read again.
fn drop_heads(context: &Context, store: &Target, dropped: &BTreeSet<Cid>) -> Result<()> {
    for tries_left in (0..HEADS_TRIES_MAX).rev() {
        let heads = store.heads()?;
        if let Some(cid) = dropped.iter().find(|cid| !heads.contains(cid)) {
            return Err(Failure::NoSuchHead { cid: cid.to_string(), store: context.path()? });
        }
        let left: Vec<Cid> = heads.iter().filter(|head| !dropped.contains(head)).copied().collect();
        if left.is_empty() {
            return Err(last_head(context, &heads)?);
        }
        match store.commit(WriteBatch::new().swap_all(heads, left)) {
            Err(StoreError::HeadsMoved { .. }) if tries_left > 0 => {}
            committed => return Ok(committed?),
        }
    }
    Ok(())
}

/// No reader ever sees a store without heads that has had some.
fn last_head(context: &Context, heads: &[Cid]) -> Result<Failure> {
    let path = context.path()?;
    let message = match heads {
        [head] => format!("{head} is the only head of {}: a store keeps at least one", path.display()),
        _ => format!("these are all heads of {}: a store keeps at least one", path.display()),
    };
    let expected: String = heads.iter().map(|head| format!(" --expected {head}")).collect();
    let hint = format!("`mnem-store heads swap NEW{expected} --store {}` replaces what is there", quoted(&path));
    Ok(Failure::Refused { message, hint })
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
