//! `rm`: removing one block.

use serde_json::json;

use crate::{
    cid_arg,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
For garbage collection, and for healing: a damaged block is removed, then imported
again. Nothing asks whether other blocks link to the block, so remove only what no
head reaches, and never while another process writes blocks that may rely on it.
Exit status 4: no such block.

Examples:
  mnem-store rm CID --store memory.redb
  mnem-store rm CID && mnem-store import backup.car     heal a damaged block";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Which block
    cid: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let cid = cid_arg::parse(&args.cid)?;
    let store = context.open()?;
    if !store.has(&cid)? {
        return Err(Failure::NoSuchBlock { cid: cid.to_string(), store: context.path()? });
    }
    let is_head = store.heads()?.contains(&cid);
    store.delete(&cid)?;
    store.close(&format!("removed {cid}"))?;
    if is_head {
        context.remark(format_args!("{cid} is still a head, which now has no block"));
    }
    let mut out = context.out();
    out.summary(format_args!("removed {cid}"), json!({ "cid": cid.to_string(), "removed": true, "is_head": is_head }))?;
    out.finish()?;
    Ok(Exit::Done)
}
