//! `has`: whether a block is present.

use mnem_storage::{Blockstore as _, Cid};
use serde_json::json;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Result},
    output::unless_closed,
};

const EXAMPLES: &str = "\
Prints yes or no (nothing with -q). Exit status 0: present; 4: absent. Does not check the
bytes: `get` and `verify` do. Resolving a CID prefix scans all CIDs; a prefix without a
match is an error, with exit status 4.

Examples:
  mnem-store has CID --store memory.redb
  if mnem-store has -q CID; then echo present; fi";

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
    let present = store.has(&cid)?;
    unless_closed(tell(context, &cid, present))?;
    Ok(if present { Exit::Done } else { Exit::NoSuchBlock })
}

fn tell(context: &Context, cid: &Cid, present: bool) -> Result<()> {
    let mut out = context.out();
    out.summary(if present { "yes" } else { "no" }, json!({ "cid": cid.to_string(), "present": present }))?;
    out.finish()
}
