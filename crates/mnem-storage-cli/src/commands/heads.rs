//! `heads`: listing and changing the heads.

use std::collections::BTreeSet;

use clap::Subcommand;
use mnem_storage::{Cid, OpHeadsStore as _, StoreError, WriteBatch};
use serde_json::json;

use crate::{
    cid_short,
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
  mnem-store heads swap NEW                    set the first head; fails if there is one
  mnem-store heads rm OLD                      drop a head and keep the others";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    change: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Add a head and drop the heads that it supersedes
    #[command(after_help = "\
The block of the new head must be in the store (exit status 4). Superseding a CID that
is not a head is not an error.

Examples:
  mnem-store heads update NEW --store memory.redb
  mnem-store heads update NEW --supersedes OLD1 --supersedes OLD2")]
    Update {
        /// The new head
        new: String,
        /// Head to drop; repeatable
        #[arg(long, value_name = "CID")]
        supersedes: Vec<String>,
    },
    /// Replace all heads by one if they are as expected
    #[command(after_help = "\
The block of the new head must be in the store (exit status 4). If the heads are not as
expected, nothing changes (exit status 1).

Examples:
  mnem-store heads swap NEW --expected OLD --store memory.redb
  mnem-store heads swap NEW")]
    Swap {
        /// The new head
        new: String,
        /// Current head; give one for each head, or none for a store without heads
        #[arg(long, value_name = "CID")]
        expected: Vec<String>,
    },
    /// Drop heads and keep their blocks
    #[command(after_help = "\
Prints the remaining heads. If one of the CIDs is not a head, nothing changes (exit
status 4). The last head cannot be dropped: replace it with `heads swap`.

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
            let typed = Typed::parse(change)?;
            let store = context.open()?;
            make(context, &store, change, &typed)?;
            let heads = store.heads()?;
            store.close("changed its heads")?;
            heads
        }
    };
    print(context, &heads)?;
    Ok(Exit::Done)
}

/// The arguments of a change.
enum Typed {
    Update { new: cid_short::Typed, supersedes: Vec<cid_short::Typed> },
    Swap { new: cid_short::Typed, expected: Vec<cid_short::Typed> },
    Rm { heads: Vec<cid_short::Typed> },
}

impl Typed {
    fn parse(change: &Change) -> Result<Self> {
        let (one, all) = (cid_short::parse, cid_short::parse_all);
        Ok(match change {
            Change::Update { new, supersedes } => Self::Update { new: one(new)?, supersedes: all(supersedes)? },
            Change::Swap { new, expected } => Self::Swap { new: one(new)?, expected: all(expected)? },
            Change::Rm { cids } => Self::Rm { heads: all(cids)? },
        })
    }
}

fn make(context: &Context, store: &Target, change: &Change, typed: &Typed) -> Result<()> {
    let block = |typed: &cid_short::Typed| cid_short::find(context, &**store, typed);
    let heads = |typed: &[cid_short::Typed]| cid_short::find_heads(context, &**store, typed);
    // Require the block, so that no head is without one.
    let mut batch = WriteBatch::new();
    match typed {
        Typed::Update { new, supersedes } => {
            let new = block(new)?;
            batch.require(new).update(new, heads(supersedes)?);
        }
        Typed::Swap { new, expected } => {
            let new = block(new)?;
            batch.require(new).swap(heads(expected)?, new);
        }
        Typed::Rm { heads: dropped } => return drop_heads(context, store, &heads(dropped)?.into_iter().collect()),
    }
    store.commit(&batch).map_err(|error| moved(change, error))
}

/// Drops heads without adding one. Retries if another process changes the heads meanwhile.
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

/// The error for dropping all heads: a store with heads must keep at least one.
fn last_head(context: &Context, heads: &[Cid]) -> Result<Failure> {
    let path = context.path()?;
    let message = match heads {
        [head] => format!("{head} is the only head of {}: cannot drop the last head", path.display()),
        _ => format!("these are all heads of {}: cannot drop the last head", path.display()),
    };
    let expected: String = heads.iter().map(|head| format!(" --expected {head}")).collect();
    let hint = format!("run `mnem-store heads swap NEW{expected} --store {}` to replace the heads", quoted(&path));
    Ok(Failure::Refused { message, hint })
}

/// Adds the number of expected heads to the error of a swap; the store reports only those that it found.
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
