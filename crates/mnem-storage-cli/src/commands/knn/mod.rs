//! `knn`: nearest-neighbour indexes.

mod build;
mod list;
mod neighbors;
mod rm;
mod show;

use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use mnem_storage::{
    Cid, SideTable, Store, StoreError,
    knn::{self, DistanceMetric, EdgeReader, Format},
};
use serde_json::{Value, json};

use crate::{
    cid_short::{self, Typed},
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
An index lists the nearest neighbours of every node of a graph. The store keeps it beside
the blocks, under a CID that depends only on the root, k, metric and edges. You can rebuild
it from the vectors at any time.

Examples:
  mnem-store knn build --vectors animals.jsonl --store animals.redb
  mnem-store knn list
  mnem-store knn neighbors CID cfd68099963799f2e72c95b638e29746
  mnem-store knn neighbors CID dog --labels animals.jsonl";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an index from vectors
    Build(build::Args),
    /// List all indexes
    List(list::Args),
    /// Describe an index, or print all its edges
    Show(show::Args),
    /// List the neighbours of one node, nearest first
    Neighbors(neighbors::Args),
    /// Remove an index
    Rm(rm::Args),
}

/// The similarity of two vectors: the cosine of their angle, 1 / (1 + distance), or the dot product.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Metric {
    Cosine,
    L2,
    Dot,
}

impl From<Metric> for DistanceMetric {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Cosine => Self::Cosine,
            Metric::L2 => Self::L2,
            Metric::Dot => Self::Dot,
        }
    }
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    match &args.command {
        Command::Build(args) => build::run(context, args),
        Command::List(args) => list::run(context, args),
        Command::Show(args) => show::run(context, args),
        Command::Neighbors(args) => neighbors::run(context, args),
        Command::Rm(args) => rm::run(context, args),
    }
}

/// The side table of the indexes.
fn table(store: &dyn Store) -> Result<Arc<dyn SideTable>> {
    Ok(store.side_table(knn::TABLE)?)
}

/// Opens an existing index.
fn open(context: &Context, store: &dyn Store, typed: &Typed) -> Result<EdgeReader> {
    let table = table(store)?;
    let cid = find(context, &*table, typed)?;
    match knn::open(table, &cid)? {
        Some(reader) => Ok(reader),
        None => Err(no_such_index(context, cid.to_string())?),
    }
}

/// Resolves an index argument, readable or not.
fn find(context: &Context, table: &dyn SideTable, typed: &Typed) -> Result<Cid> {
    if let Typed::Whole(cid) = typed {
        return Ok(*cid);
    }
    let listed = knn::list(table)?.filter_map(|cid| match cid {
        // Skip keys that are not those of an index.
        Err(StoreError::Damaged { .. }) => None,
        cid => Some(cid.map_err(Failure::from)),
    });
    let unfinished = knn::unfinished(table)?.into_iter().map(Ok);
    cid_short::among(context, typed, listed.chain(unfinished), |text| no_such_index(context, text))
}

fn no_such_index(context: &Context, cid: String) -> Result<Failure> {
    Ok(Failure::NoSuchIndex { cid, store: context.path()? })
}

/// The metric's name on the command line.
fn name(metric: DistanceMetric) -> String {
    metric.name().to_ascii_lowercase()
}

/// The number of an index format.
pub(crate) fn number(format: Format) -> u8 {
    if format == Format::Row { 1 } else { 2 }
}

/// The answer in JSON: what the header of the index holds.
fn described(index: &EdgeReader) -> Value {
    json!({
        "cid": index.cid().to_string(),
        "root_cid": index.root_cid().to_string(),
        "metric": name(index.metric()),
        "k": index.k(),
        "edges": index.len(),
        "nodes": index.nodes(),
        "format": number(index.format()),
    })
}
