//! `knn show`: describing an index.

use mnem_storage::knn::EdgeReader;
use serde::Serialize;

use super::{described, name, number, open};
use crate::{
    cid_short,
    context::Context,
    error::{Exit, Result},
    output::{Count, Out},
};

const EXAMPLES: &str = "\
--edges prints one edge per line instead: source, destination, weight, sorted by source and
destination. It needs memory for 16 bytes per node. Exit status 4: no such index.

Examples:
  mnem-store knn show CID --store animals.redb
  mnem-store knn show CID --edges | awk '$3 > 0.9'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// CID of the index, or a prefix of 8 or more characters
    cid: String,
    /// Print all edges
    #[arg(long)]
    edges: bool,
}

#[derive(Serialize)]
struct EdgeLine {
    src: String,
    dst: String,
    weight: f32,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse(&args.cid)?;
    let store = context.open_read_only()?;
    let index = open(context, &*store, &typed)?;
    let mut out = context.out();
    if args.edges {
        edges(context, &mut out, &index)?;
    } else {
        out.answer(text(&index), described(&index))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn edges(context: &Context, out: &mut Out, index: &EdgeReader) -> Result<()> {
    let mut bar = context.bar_beside_output("knn show");
    for (number, edge) in (1..).zip(index.edges()?) {
        let edge = edge?;
        bar.count("edges", "edge", number, Some(index.len()));
        let text = format_args!("{} {} {}", edge.src, edge.dst, edge.weight);
        let line = || EdgeLine { src: edge.src.to_string(), dst: edge.dst.to_string(), weight: edge.weight };
        out.answer_with(text, line)?;
    }
    Ok(())
}

fn text(index: &EdgeReader) -> String {
    let mut lines = vec![
        format!("index   {}", index.cid()),
        format!("root    {}", index.root_cid()),
        format!("metric  {}", name(index.metric())),
        format!("k       {}", index.k()),
        format!("edges   {}", Count(index.len())),
    ];
    if let Some(nodes) = index.nodes() {
        lines.push(format!("nodes   {}", Count(nodes.into())));
    }
    lines.push(format!("format  {}", number(index.format())));
    lines.join("\n")
}
