//! `walk`: the blocks below a block.

use mnem_storage::{BlockstoreExt as _, StoreError, is_opaque};
use serde_json::json;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
    left_out::tell_opaque,
    output::unless_closed,
};

const EXAMPLES: &str = "\
One CID a line: depth-first, parents before the blocks they link to, each block
once. Every block is checked against its CID. Ends at the first block that is
missing (exit status 4) or damaged; `verify` finds them all. A reader that goes
away ends it, and no later block is read.

Links of DAG-CBOR, DAG-PB and DAG-JSON are followed. A block of another codec that may
have links is listed, what it links to is not, and a note at the end counts such blocks
(`opaque` in --json): do not remove what a walk has not listed before you have looked.

Examples:
  mnem-store walk CID --store memory.redb | wc -l
  mnem-store walk \"$(mnem-store heads | head -1)\"";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to begin; a CID may be cut short, to 8 characters or more
    cid: String,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse(&args.cid)?;
    let store = context.open_read_only()?;
    let cid = cid_short::find(context, &*store, &typed)?;
    let mut out = context.out();
    let mut bar = context.bar_beside_output("walk");
    let mut walk = store.walk(&cid);
    let mut steps = walk.by_ref().zip(1..);
    let end = loop {
        match steps.next() {
            None => break Ok(Exit::Done),
            Some((Ok((cid, data)), number)) => {
                bar.count("blocks", "block", number, None);
                out.answer_with(
                    cid,
                    || json!({ "cid": cid.to_string(), "size_bytes": data.len(), "opaque": is_opaque(&cid) }),
                )?;
            }
            Some((Err(StoreError::MissingBlock { cid, linked_from: None }), _)) => {
                break Err(Failure::NoSuchBlock { cid: cid.to_string(), store: context.path()? });
            }
            Some((Err(error), _)) => break Err(error.into()),
        }
    };
    drop(bar);
    tell_opaque(context, walk.opaque(), "listed");
    unless_closed(out.finish())?;
    end
}
