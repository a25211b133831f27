//! `size`: the length of a block.

use mnem_storage::Blockstore as _;
use serde_json::json;

use crate::{
    cid_arg,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Exit status 4: no such block.

Examples:
  mnem-store size CID --store memory.redb";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which block
    cid: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let cid = cid_arg::parse(&args.cid)?;
    let size = context.open_read_only()?.size(&cid)?;
    let Some(size) = size else { return Err(Failure::NoSuchBlock { cid, store: context.path()? }) };
    let mut out = context.out();
    out.answer(size, json!({ "cid": cid.to_string(), "size_bytes": size }))?;
    out.finish()?;
    Ok(Exit::Done)
}
