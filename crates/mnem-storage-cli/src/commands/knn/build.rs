//! `knn build`: building an index from vectors.

use std::{fmt::Display, ops::ControlFlow, path::PathBuf};

use clap::{ValueEnum, ValueHint};
use mnem_storage::{
    Blockstore as _, Cid, OpHeadsStore as _,
    knn::{self, Derive, DeriveError, Format, KnnEdge, KnnEdgeIndex, Order},
};
use serde_json::json;

use super::{Metric, name, number, table};
use crate::{
    args::whole_number,
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
    file_arg,
    json_lines::{self, Vectors},
    output::counted,
    stop::Stop,
    target::Target,
};

const EXAMPLES: &str = "\
Each line of the file is {\"id\": 32 hexadecimal digits, \"vector\": [numbers]}; other fields
are ignored. Compares every pair of vectors. Prints the CID of the index; the same vectors
give the same CID on every machine. Opens the store for writing only after the neighbours
are found.

Examples:
  mnem-store knn build --vectors animals.jsonl --store animals.redb
  mnem-store knn build --vectors raw.jsonl --normalize --k 8 --root CID
  zcat animals.jsonl.gz | mnem-store knn build --vectors -
  CID=$(mnem-store knn build -q --vectors animals.jsonl --metric l2)";

const LINES_HINT: &str = "give lines of the form {\"id\": 32 hexadecimal digits, \"vector\": [numbers]}";

const NOT_UNIT_HINT: &str = "give --normalize to divide each vector by its length, or give --metric dot or l2";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The vectors, as JSON lines; - is standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    vectors: PathBuf,
    /// Number of neighbours of each node
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = |text: &str| whole_number(text, 1..=u32::MAX))]
    k: u32,
    /// Similarity of two vectors; cosine needs vectors of length one
    #[arg(long, value_enum, default_value = "cosine")]
    metric: Metric,
    /// Block that the vectors belong to: a CID, or a prefix of 8 or more characters [default: the only head]
    #[arg(long, value_name = "CID")]
    root: Option<String>,
    /// Divide each vector by its length
    #[arg(long)]
    normalize: bool,
    /// Order of neighbours: by true distance, or by the weight as the published crates round it
    #[arg(long, value_enum, default_value = "true-distance")]
    order: OrderArg,
    /// packed: readable in parts; row: readable by the published crates [default: row in a store of their format, else packed]
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Packed,
    Row,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderArg {
    TrueDistance,
    AsPublished,
}

impl From<OrderArg> for Order {
    fn from(order: OrderArg) -> Self {
        match order {
            OrderArg::TrueDistance => Self::TrueDistance,
            OrderArg::AsPublished => Self::AsPublished,
        }
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    let root = root(context, args.root.as_deref())?;
    let stop = Stop::at_once(context, "no index was built; the store is unchanged", "run the same command again")?;
    let vectors = json_lines::vectors(&args.vectors, args.normalize)?;
    if vectors.ids.is_empty() {
        let message = format!("no vectors in {}", file_arg::named(&args.vectors));
        return Err(Failure::Refused { message, hint: LINES_HINT.into() });
    }
    let nodes = vectors.ids.len() as u64;
    let edges = derive(context, args, vectors)?;
    let index = KnnEdgeIndex::new(root, args.k, args.metric.into(), edges).map_err(refused)?;

    context.note(format_args!("opening {}", path.display()));
    stop.finish_first();
    let store = Target::open(&context.options(), path)?;
    let format = match args.format {
        Some(FormatArg::Packed) => Format::Packed,
        Some(FormatArg::Row) => Format::Row,
        None => store.knn_format(),
    };
    let table = table(&*store)?;
    let cid = if format == Format::Row { knn::store_row(&*table, &index) } else { knn::store(&*table, &index) }?;
    store.close(&format!("stored index {cid}"))?;
    tell(context, &index, &cid, nodes, format)
}

fn tell(context: &Context, index: &KnnEdgeIndex, cid: &Cid, nodes: u64, format: Format) -> Result<Exit> {
    let edges = index.edges().len() as u64;
    context.remark(format_args!(
        "{} of {}, for root {}",
        counted(edges, "edge"),
        counted(nodes, "node"),
        index.root_cid()
    ));
    let mut out = context.out();
    out.answer(
        cid,
        json!({
            "cid": cid.to_string(),
            "root_cid": index.root_cid().to_string(),
            "metric": name(index.metric()),
            "k": index.k(),
            "edges": edges,
            "nodes": nodes,
            "format": number(format),
        }),
    )?;
    out.finish()?;
    Ok(Exit::Done)
}

/// The root: `--root`, else the only head. Fails if its block is missing.
fn root(context: &Context, typed: Option<&str>) -> Result<Cid> {
    let typed = typed.map(cid_short::parse).transpose()?;
    let store = context.open_read_only()?;
    let cid = match &typed {
        Some(typed) => cid_short::find(context, &*store, typed)?,
        None => only_head(&store.heads()?)?,
    };
    if store.has(&cid)? { Ok(cid) } else { Err(Failure::NoSuchBlock { cid: cid.to_string(), store: context.path()? }) }
}

fn only_head(heads: &[Cid]) -> Result<Cid> {
    let message = match heads {
        [head] => return Ok(*head),
        [] => "the store has no head to use as the root of the index".to_owned(),
        _ => format!("the store has {} heads, but an index has one root", heads.len()),
    };
    Err(Failure::Refused { message, hint: "give the block that the vectors belong to with --root CID".into() })
}

/// The failure for invalid vectors or options.
fn refused(error: impl Display) -> Failure {
    let hint = "run `mnem-store knn build --help` for the valid vectors and options";
    Failure::Refused { message: error.to_string(), hint: hint.into() }
}

fn derive(context: &Context, args: &Args, from: Vectors) -> Result<Vec<KnnEdge>> {
    let mut bar = context.bar("knn build");
    let how = Derive::new().normalize(args.normalize).order(args.order.into());
    let derived = how.run(&from.ids, &from.vectors, args.k, args.metric.into(), &mut |done, all| {
        bar.count("neighbours", "node", done, Some(all));
        ControlFlow::Continue(())
    });
    derived.map_err(|error| match error {
        DeriveError::NotUnit { position, .. } => Failure::Line {
            file: args.vectors.clone(),
            line: from.lines.get(position).copied().unwrap_or_default(),
            why: "the vector does not have length one, as cosine requires".into(),
            hint: NOT_UNIT_HINT,
        },
        error => refused(error),
    })
}
