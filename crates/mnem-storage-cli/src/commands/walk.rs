//! `walk`: listing reachable blocks.

use mnem_storage::{Cid, Store, StoreError, Walk, is_opaque};
use serde_json::json;

use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
    hints::quoted,
    left_out::tell_opaque,
    output::unless_closed,
};

const EXAMPLES: &str = "\
Walks from the heads, or from the given CIDs. Prints one CID per line: depth-first, parents
before the blocks that they link to, each block once. Checks every block against its CID.
Stops at the first block that is missing (exit status 4) or damaged; `verify` finds them
all. Stops reading when its output is closed. Resolving a CID prefix scans all CIDs.

Links in DAG-CBOR, DAG-PB and DAG-JSON are followed. A block of another codec that may
contain links is listed, but its links are not followed, and a note counts such blocks
(`opaque` in --json). If there are any, unlisted blocks may still be in use.

Examples:
  mnem-store walk --store memory.redb | wc -l
  mnem-store walk CID";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where to start, instead of the heads: CIDs, or prefixes of 8 or more characters
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

/// The heads. Fails if there are none: an empty list would look as if every block were dead.
fn heads(context: &Context, store: &dyn Store) -> Result<Vec<Cid>> {
    let heads = store.heads()?;
    if heads.is_empty() {
        let path = context.path()?;
        return Err(Failure::Refused {
            message: format!("{} has no heads to walk from", path.display()),
            hint: format!(
                "run `mnem-store walk CID --store {0}` to walk from a block, \
                 or `mnem-store heads update CID --store {0}` to set a head",
                quoted(&path)
            ),
        });
    }
    Ok(heads)
}
