//! `knn build`: from vectors to an index in the store.

use std::{fmt::Display, ops::ControlFlow, path::PathBuf};

use clap::{ValueEnum, ValueHint};
use mnem_storage::{
    Blockstore as _, Cid, OpHeadsStore as _,
    knn::{self, Derive, DeriveError, Format, KnnEdge, KnnEdgeIndex, Order},
};
use serde_json::json;

use super::{Metric, name, number, table};
use crate::{
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
A line of the file is {\"id\": 32 hexadecimal digits, \"vector\": [numbers]}; other
fields are passed over. Every pair of vectors is compared. The same vectors give the
same CID on every machine, which is printed. The file is read and the neighbours are
found before the store is opened for writing.

Examples:
  mnem-store knn build --vectors animals.jsonl --store animals.redb
  mnem-store knn build --vectors raw.jsonl --normalize --k 8 --root CID
  zcat animals.jsonl.gz | mnem-store knn build --vectors -
  CID=$(mnem-store knn build -q --vectors animals.jsonl --metric l2)";

const LINES_HINT: &str = "a line of it is {\"id\": 32 hexadecimal digits, \"vector\": [numbers]}";

const NOT_UNIT_HINT: &str = "--normalize divides each vector by its length; or give --metric dot or l2";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The vectors, as JSON lines; - is standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    vectors: PathBuf,
    /// Neighbours of a node
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    k: u32,
    /// How near two vectors are; cosine needs vectors of length one
    #[arg(long, value_enum, default_value = "cosine")]
    metric: Metric,
    /// The block that the vectors came from; may be cut short, to 8 characters or more [default: the only head]
    #[arg(long, value_name = "CID")]
    root: Option<String>,
    /// Divide each vector by its length first
    #[arg(long)]
    normalize: bool,
    /// What makes a neighbour nearer: the true distance, or the weight as the published crates round it
    #[arg(long, value_enum, default_value = "true-distance")]
    order: OrderArg,
    /// packed: read in parts; row: as the published crates read it [default: row in a file of theirs, else packed]
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
    let stop = Stop::at_once(context, "no index was made, and the store is as it was", "run the same command again")?;
    let vectors = json_lines::vectors(&args.vectors, args.normalize)?;
    if vectors.ids.is_empty() {
        let message = format!("there are no vectors in {}", file_arg::named(&args.vectors));
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

/// The root that was typed, or else the only head; its block is there.
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
        [] => "the store has no head that the vectors could belong to".to_owned(),
        _ => format!("the store has {} heads, and the vectors belong to one root", heads.len()),
    };
    Err(Failure::Refused { message, hint: "name the block that they came from: --root CID".into() })
}

/// What the vectors and options do not allow.
fn refused(error: impl Display) -> Failure {
    let hint = "`mnem-store knn build --help` says what the vectors and options are to be";
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
            why: "the vector is not of length one, which the cosine needs".into(),
            hint: NOT_UNIT_HINT,
        },
        error => refused(error),
    })
}
