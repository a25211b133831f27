//! `put`: storing one block.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::{ValueEnum, ValueHint};
use mnem_storage::{Bytes, DAG_CBOR, RAW, StoreError, cid_of, links};
use serde_json::json;

use crate::{
    context::Context,
    error::{Exit, Failure, Result},
    file_arg,
    limits::BLOCK_BYTES_MAX,
};

const EXAMPLES: &str = "\
Prints the CID: a CIDv1 with sha2-256. A block that is already in the store is not
written again.

Examples:
  mnem-store put photo.jpg --store memory.redb
  printf '\\240' | mnem-store put - --codec dag-cbor --store memory.redb
  CID=$(mnem-store put notes.txt)";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The bytes of the block; - is standard input
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Codec of the CID; dag-cbor fails if the bytes are not valid DAG-CBOR
    #[arg(long, value_enum, default_value = "raw")]
    codec: Codec,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    Raw,
    DagCbor,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    // Check the path first: do not read input in vain.
    context.path()?;
    // Read the input before opening the store, which locks it: the input may be slow.
    let data = read(file_arg::open(&args.file, "a block", "mnem-store put")?, &args.file)?;
    let codec = match args.codec {
        Codec::Raw => RAW,
        Codec::DagCbor => DAG_CBOR,
    };
    let cid = cid_of(codec, &data);
    links(&cid, &data).map_err(|error| unfit(error, &args.file))?;
    let store = context.open()?;
    store.put(&cid, data)?;
    store.close(&format!("stored {cid}"))?;
    let mut out = context.out();
    out.answer(cid, json!({ "cid": cid.to_string() }))?;
    out.finish()?;
    Ok(Exit::Done)
}

/// Reports malformed DAG-CBOR as an error of the input.
fn unfit(error: StoreError, file: &Path) -> Failure {
    match error {
        StoreError::Malformed { source, .. } => Failure::NotDagCbor { from: file_arg::named(file), source },
        other => other.into(),
    }
}

/// Reads the input, up to one byte above the largest limit of any store, which shows that it is too large.
fn read(input: Box<dyn Read>, file: &Path) -> Result<Bytes> {
    let mut data = Vec::new();
    let read = input.take(BLOCK_BYTES_MAX + 1).read_to_end(&mut data);
    read.map_err(|source| Failure::Io { what: format!("read {}", file_arg::named(file)), source })?;
    if data.len() as u64 > BLOCK_BYTES_MAX {
        return Err(Failure::Refused {
            message: format!(
                "{} has more than {BLOCK_BYTES_MAX} bytes, the largest block of any store",
                file_arg::named(file)
            ),
            hint: "split it into blocks, and link to the parts from another block".into(),
        });
    }
    Ok(data.into())
}
