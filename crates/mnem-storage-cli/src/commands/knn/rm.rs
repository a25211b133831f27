//! `knn rm`: removing an index.

use mnem_storage::{Cid, SideTable, StoreError, knn};
use serde_json::json;

use super::{find, no_such_index, table};
use crate::{
    cid_short,
    context::Context,
    error::{Exit, Result},
};

const EXAMPLES: &str = "\
Removes a damaged or incomplete index too. Does not remove blocks. Do not run it while
another process reads or writes the same index. Exit status 4: no such index.

Examples:
  mnem-store knn rm CID --store animals.redb";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// CID of the index, or a prefix of 8 or more characters
    cid: String,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse(&args.cid)?;
    let store = context.open()?;
    let table = table(&*store)?;
    let cid = find(context, &*table, &typed)?;
    if !is_there(&*table, &cid)? {
        return Err(no_such_index(context, cid.to_string())?);
    }
    knn::delete(&*table, &cid)?;
    store.close(&format!("removed {cid}"))?;
    let mut out = context.out();
    out.summary(format_args!("removed {cid}"), json!({ "cid": cid.to_string(), "removed": true }))?;
    out.finish()?;
    Ok(Exit::Done)
}

/// Whether the store has the index, readable or not, or parts of it.
fn is_there(table: &dyn SideTable, cid: &Cid) -> Result<bool> {
    if !knn::is_key(&cid.to_bytes()) {
        return Ok(false);
    }
    match table.get(&cid.to_bytes()) {
        Ok(Some(_)) | Err(StoreError::Damaged { .. }) => Ok(true),
        Ok(None) => Ok(knn::unfinished(table)?.contains(cid)),
        Err(error) => Err(error.into()),
    }
}
