//! `ls`: listing all CIDs.

use mnem_storage::Blockstore as _;
use serde_json::json;

use crate::{
    context::Context,
    error::{Exit, Result},
};

const EXAMPLES: &str = "\
Prints one CID per line, in no particular order. Memory does not grow with the number of
blocks, except for a store in a bucket.

Examples:
  mnem-store ls --store memory.redb | wc -l
  mnem-store ls --json | head -1";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(context: &Context, _: &Args) -> Result<Exit> {
    let store = context.open_read_only()?;
    let mut out = context.out();
    let mut bar = context.bar_beside_output("ls");
    for (number, cid) in (1..).zip(store.cids()?) {
        let cid = cid?;
        bar.count("blocks", "block", number, None);
        out.answer_with(cid, || json!({ "cid": cid.to_string() }))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}
