//! `has`: is a block there?

use mnem_storage::{Blockstore as _, Cid};
use serde_json::json;

use crate::{
    cid_arg,
    context::Context,
    error::{Exit, Result},
    output::unless_closed,
};

const EXAMPLES: &str = "\
Prints yes or no (nothing with -q). Exit status 0: it is there; 4: it is not. The
bytes are not checked: `get` and `verify` do that.

Examples:
  mnem-store has CID --store memory.redb
  if mnem-store has -q CID; then echo present; fi";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which block
    cid: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let cid = cid_arg::parse(&args.cid)?;
    let present = context.open_read_only()?.has(&cid)?;
    unless_closed(tell(context, &cid, present))?;
    Ok(if present { Exit::Done } else { Exit::NoSuchBlock })
}

fn tell(context: &Context, cid: &Cid, present: bool) -> Result<()> {
    let mut out = context.out();
    out.summary(if present { "yes" } else { "no" }, json!({ "cid": cid.to_string(), "present": present }))?;
    out.finish()
}
