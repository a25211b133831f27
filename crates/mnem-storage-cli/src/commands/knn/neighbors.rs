//! `knn neighbors`: listing the neighbours of a node.

use std::{collections::HashMap, path::PathBuf};

use clap::ValueHint;
use mnem_storage::knn::NodeId;
use serde::Serialize;

use super::open;
use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
    json_lines,
    terminal::Printable,
};

const EXAMPLES: &str = "\
Prints one neighbour per line, nearest first: weight, id, and the label with --labels.
Reads only the part of the index that holds the node.
Exit status 4: no such index or node.

Examples:
  mnem-store knn neighbors CID cfd68099963799f2e72c95b638e29746 --store animals.redb
  mnem-store knn neighbors CID dog --labels animals.jsonl";

const NODES_HINT: &str = "run `mnem-store knn show CID --edges` to list the nodes of an index";

const LABELS_HINT: &str = "a label must match exactly: search the file with `grep -i` for similar labels and their ids";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// CID of the index, or a prefix of 8 or more characters
    cid: String,
    /// The node: its id, or its label with --labels
    #[arg(value_name = "NODE")]
    node: String,
    /// Labels of the nodes, as JSON lines {"id", "label"}; - is standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    labels: Option<PathBuf>,
}

#[derive(Serialize)]
struct NeighborLine<'a> {
    dst: String,
    weight: f32,
    /// Absent if the node has no label.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse(&args.cid)?;
    // Check the path first: reading the labels may be slow.
    context.path()?;
    let labels = args.labels.as_deref().map(json_lines::labels).transpose()?;
    let node = node(&args.node, labels.as_ref())?;
    let store = context.open_read_only()?;
    let index = open(context, &*store, &typed)?;
    let mut edges = index.neighbors(&node)?;
    if edges.is_empty() {
        let cid = index.cid();
        return Err(Failure::NoSuchNode { what: format!("node {node} in index {cid}"), hint: NODES_HINT });
    }
    edges.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.dst.cmp(&b.dst)));
    let mut out = context.out();
    for edge in edges {
        let label = labels.as_ref().and_then(|labels| labels.get(&edge.dst));
        let text = match label {
            Some(label) => format!("{:.6}  {}  {}", edge.weight, edge.dst, Printable(label)),
            None => format!("{:.6}  {}", edge.weight, edge.dst),
        };
        out.answer_with(text, || NeighborLine { dst: edge.dst.to_string(), weight: edge.weight, label })?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// Resolves the node argument.
fn node(text: &str, labels: Option<&HashMap<NodeId, String>>) -> Result<NodeId> {
    if let Ok(node) = text.parse() {
        return Ok(node);
    }
    let Some(labels) = labels else {
        return Err(Failure::Usage {
            message: format!("{text:?} is not a node id"),
            hint: "give an id of 32 hexadecimal digits, or give --labels FILE and a label".into(),
        });
    };
    let mut named: Vec<NodeId> = labels.iter().filter(|(_, label)| *label == text).map(|(id, _)| *id).collect();
    named.sort_unstable();
    match &named[..] {
        [] => Err(Failure::NoSuchNode { what: format!("node with the label {text:?}"), hint: LABELS_HINT }),
        [node] => Ok(*node),
        several => Err(Failure::Usage {
            message: format!("{} nodes have the label {text:?}", several.len()),
            hint: format!(
                "give one of their ids: {}",
                several.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}
