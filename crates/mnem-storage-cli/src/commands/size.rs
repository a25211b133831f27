//! `size`: the length of a block.

use mnem_storage::Blockstore as _;
use serde_json::json;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Exit status 4: no such block. To find a CID that was cut short, all CIDs are listed.

Examples:
  mnem-store size CID --store memory.redb";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which block; a CID may be cut short, to 8 characters or more
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
