//! `get`: the bytes of one block.

use mnem_storage::Blockstore as _;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Writes the bytes and nothing else, after checking them against the CID. Exit
status 4: no such block. To find a CID that was cut short, all CIDs are listed.

Examples:
  mnem-store get CID --store memory.redb > block.bin
  mnem-store get CID | xxd | head
  mnem-store get bafyreic5uqrs > block.bin";

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
    let data = store.get(&cid)?;
    let Some(data) = data else { return Err(Failure::NoSuchBlock { cid: cid.to_string(), store: context.path()? }) };
    let mut out = context.out();
    out.bytes(&data)?;
    out.finish()?;
    Ok(Exit::Done)
}
