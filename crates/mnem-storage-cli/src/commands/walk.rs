//! `walk`: the blocks that the heads, or other blocks, reach.

use mnem_storage::{Cid, Store, StoreError, Walk, is_opaque};
use serde_json::json;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
    left_out::tell_opaque,
    output::unless_closed,
};

const EXAMPLES: &str = "\
Walks from all heads, or from the CIDs given. One CID a line: depth-first, parents before
the blocks they link to, each block once. Every block is checked against its CID. Ends at
the first block that is missing (exit status 4) or damaged; `verify` finds them all. A
reader that goes away ends it, and no later block is read.

Links of DAG-CBOR, DAG-PB and DAG-JSON are followed. A block of another codec that may
have links is listed, what it links to is not, and a note at the end counts such blocks
(`opaque` in --json): do not remove what a walk has not listed before you have looked.

Examples:
  mnem-store walk --store memory.redb | wc -l
  mnem-store walk CID";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to begin instead of the heads; a CID may be cut short, to 8 characters or more
    #[arg(value_name = "CID")]
    cids: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse_all(&args.cids)?;
    let store = context.open_read_only()?;
    let roots =
        if typed.is_empty() { heads(context, &*store)? } else { cid_short::find_all(context, &*store, &typed)? };
    let mut out = context.out();
    let mut bar = context.bar_beside_output("walk");
    let mut walk = Walk::from_roots(&*store, roots);
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

/// A list of nothing would be taken for all that is alive.
fn heads(context: &Context, store: &dyn Store) -> Result<Vec<Cid>> {
    let heads = store.heads()?;
    if heads.is_empty() {
        return Err(Failure::Refused {
            message: format!("{} has no heads: there is nothing to walk from", context.path()?.display()),
            hint: "`mnem-store walk CID` walks from a block; `mnem-store heads update CID` sets a head".into(),
        });
    }
    Ok(heads)
}
