//! `get`: the bytes of one block.

use mnem_storage::Blockstore as _;

use crate::{
    cid_arg,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Writes the bytes and nothing else, after checking them against the CID. Exit
status 4: no such block.

Examples:
  mnem-store get CID --store memory.redb > block.bin
  mnem-store get CID | xxd | head";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which block
    cid: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let cid = cid_arg::parse(&args.cid)?;
    let data = context.open_read_only()?.get(&cid)?;
    let Some(data) = data else { return Err(Failure::NoSuchBlock { cid, store: context.path()? }) };
    let mut out = context.out();
    out.bytes(&data)?;
    out.finish()?;
    Ok(Exit::Done)
}
