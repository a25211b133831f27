//! `size`: the size of a block.

use mnem_storage::Blockstore as _;
use serde_json::json;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Resolving a CID prefix scans all CIDs. Exit status 4: no such block.

Examples:
  mnem-store size CID --store memory.redb";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// CID of the block, or a prefix of 8 or more characters
    cid: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse(&args.cid)?;
    let store = context.open_read_only()?;
    let cid = cid_short::find(context, &*store, &typed)?;
    let size = store.size(&cid)?;
    let Some(size) = size else { return Err(Failure::NoSuchBlock { cid: cid.to_string(), store: context.path()? }) };
    let mut out = context.out();
    out.answer(size, json!({ "cid": cid.to_string(), "size_bytes": size }))?;
    out.finish()?;
    Ok(Exit::Done)
}
