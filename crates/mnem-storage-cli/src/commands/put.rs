//! `put`: one block in, its CID out.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{ValueEnum, ValueHint};
use mnem_storage::{Blockstore as _, Bytes, DAG_CBOR, RAW, Store as _, cid_of, links};
use serde_json::json;

use crate::{
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
The CID is a CIDv1 with sha2-256. A block that is there is not written again.

Examples:
  mnem-store put photo.jpg --store memory.redb
  printf '\\xa0' | mnem-store put - --codec dag-cbor --store memory.redb
  CID=$(mnem-store put notes.txt)";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The bytes of the block; - is standard input
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The codec in the CID; dag-cbor is checked to be valid
    #[arg(long, value_enum, default_value = "raw")]
    codec: Codec,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    Raw,
    DagCbor,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let input = open(&args.file)?;
    let store = context.open()?;
    let data = read(input, &args.file, store.capabilities().block_bytes_max)?;
    let codec = match args.codec {
        Codec::Raw => RAW,
        Codec::DagCbor => DAG_CBOR,
    };
    let cid = cid_of(codec, &data);
    links(&cid, &data)?;
    store.put(&cid, data)?;
    store.close()?;
    let mut out = context.out();
    out.answer(cid, json!({ "cid": cid.to_string() }))?;
    out.finish()?;
    Ok(Exit::Done)
}

fn open(file: &Path) -> Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(file) {
        Ok(file) => Ok(Box::new(file)),
        Err(source) => Err(Failure::Io { what: format!("open {}", file.display()), source }),
    }
}

/// Reads everything, and no more than one byte above the limit: then it is known to be too large.
fn read(input: Box<dyn Read>, file: &Path, block_bytes_max: u64) -> Result<Bytes> {
    let mut data = Vec::new();
    let read = input.take(block_bytes_max.saturating_add(1)).read_to_end(&mut data);
    read.map_err(|source| Failure::Io { what: format!("read {}", file.display()), source })?;
    if data.len() as u64 > block_bytes_max {
        return Err(Failure::Refused {
            message: format!(
                "{} has more than {block_bytes_max} bytes, the most that this store takes in a block",
                file.display()
            ),
            hint: Some("split it, and let one block link to the parts".into()),
        });
    }
    Ok(data.into())
}
