//! `knn list`: listing the indexes.

use std::sync::Arc;

use mnem_storage::{Cid, SideTable, StoreError, knn};
use serde_json::json;

use super::{described, name, table};
use crate::{
    context::Context,
    error::{Exit, Result},
    output::{Count, Out},
    terminal::Printable,
};

const EXAMPLES: &str = "\
Prints one index per line, ascending by CID: CID, metric, k, number of edges, root.

Examples:
  mnem-store knn list --store animals.redb
  mnem-store knn list --json | jq -r 'select(.edges > 1000) | .cid'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(context: &Context, _: &Args) -> Result<Exit> {
    let store = context.open_read_only()?;
    let table = table(&*store)?;
    let mut out = context.out();
    for cid in knn::list(&*table)? {
        match cid {
            Ok(cid) => line(context, &mut out, &table, &cid)?,
            Err(error @ StoreError::Damaged { .. }) => context.remark(error),
            Err(error) => return Err(error.into()),
        }
    }
    for cid in knn::unfinished(&*table)? {
        context.remark(format_args!("{cid} is incomplete: it is being written, or its writer was stopped"));
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// Prints the line of an index, readable or not.
fn line(context: &Context, out: &mut Out, table: &Arc<dyn SideTable>, cid: &Cid) -> Result<()> {
    match knn::open(Arc::clone(table), cid) {
        Ok(Some(index)) => {
            let (metric, k, edges) = (name(index.metric()), index.k(), Count(index.len()));
            let text = format_args!("{cid}  {metric}  k={k}  edges={edges}  root={}", index.root_cid());
            out.answer_with(text, || described(&index))
        }
        // The index was removed since it was listed.
        Ok(None) => Ok(()),
        Err(error @ (StoreError::Damaged { .. } | StoreError::UnsupportedFormat { .. })) => {
            let error = context.as_typed(error.to_string());
            let text = format_args!("{cid}  unreadable: {}", Printable(&error));
            out.answer_with(text, || json!({ "cid": cid.to_string(), "unreadable": error }))
        }
        Err(error) => Err(error.into()),
    }
}
