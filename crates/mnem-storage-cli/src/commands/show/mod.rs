//! `show`: printing a block in readable form.

mod dag_json;
mod dag_pb;
mod preview;

use mnem_storage::{
    Blockstore as _, Bytes, Cause, Cid, DAG_CBOR, DAG_JSON, DAG_PB, Store, StoreError, codec_name, from_dag_cbor, links,
};
use serde::Serialize;
use serde_json::json;

use self::{dag_json::DagJson, preview::Preview};
use crate::{
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
};

const EXAMPLES: &str = "\
Prints DAG-CBOR and DAG-PB as DAG-JSON: a link is {\"/\": CID}, bytes are {\"/\": {\"bytes\":
base64}}. Prints DAG-JSON unchanged. Prints the first bytes of other blocks, as text or in
hexadecimal; `get` writes all bytes. Checks the block against its CID and decodes it
strictly. Resolving a CID prefix scans all CIDs. Exit status 4: no such block.

Examples:
  mnem-store show CID --store memory.redb
  mnem-store show --links CID
  mnem-store show CID | jq .name";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// CID of the block, or a prefix of 8 or more characters
    cid: String,
    /// List the links instead, one CID per line, in block order
    #[arg(long)]
    links: bool,
}

/// The content of a block.
enum Content {
    Value(DagJson),
    /// DAG-JSON: its text and its value.
    Text {
        text: String,
        value: serde_json::Value,
    },
    Bytes(Preview),
}

#[derive(Serialize)]
struct Answer<'a> {
    cid: String,
    codec: String,
    size_bytes: usize,
    links: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    preview: Option<&'a Preview>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Decoded(&'a DagJson),
    Parsed(&'a serde_json::Value),
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let typed = cid_short::parse(&args.cid)?;
    let store = context.open_read_only()?;
    let cid = cid_short::find(context, &*store, &typed)?;
    let Some(data) = store.get(&cid)? else {
        return Err(Failure::NoSuchBlock { cid: cid.to_string(), store: context.path()? });
    };
    let links = links(&cid, &data)?;
    if args.links {
        return list(context, &*store, &links);
    }
    let content = content(&cid, &data)?;
    let mut out = context.out();
    if context.json() {
        out.json_line(answer(&cid, &data, &links, &content))?;
    } else {
        out.line(match &content {
            Content::Value(value) => value.pretty(),
            Content::Text { text, .. } => text.clone(),
            Content::Bytes(preview) => preview.to_string(),
        })?;
        if let Content::Bytes(preview) = &content {
            preview.tell_rest(context, &cid, data.len());
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn list(context: &Context, store: &dyn Store, links: &[Cid]) -> Result<Exit> {
    let mut out = context.out();
    for cid in links {
        let present = !context.json() || store.has(cid)?;
        out.answer_with(cid, || json!({ "cid": cid.to_string(), "present": present }))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// Decodes a block that is valid in its codec: call [`links`] first.
fn content(cid: &Cid, data: &Bytes) -> Result<Content> {
    let malformed = |source| StoreError::Malformed { cid: *cid, source };
    Ok(match cid.codec() {
        DAG_CBOR => Content::Value(DagJson(from_dag_cbor(data).map_err(|error| malformed(Cause::new(error)))?)),
        DAG_PB => match dag_pb::decode(data) {
            Some(node) => Content::Value(DagJson(node)),
            None => Content::Bytes(Preview::of(data)),
        },
        DAG_JSON => match (str::from_utf8(data), serde_json::from_slice(data)) {
            (Ok(text), Ok(value)) => Content::Text { text: dag_json::printable(text.trim_end()), value },
            // The block has a number that a float cannot hold.
            _ => Content::Bytes(Preview::of(data)),
        },
        _ => Content::Bytes(Preview::of(data)),
    })
}

fn answer<'a>(cid: &Cid, data: &Bytes, links: &[Cid], content: &'a Content) -> Answer<'a> {
    let codec = codec_name(cid.codec()).map_or_else(|| format!("{:#04x}", cid.codec()), str::to_owned);
    let (value, preview) = match content {
        Content::Value(value) => (Some(Value::Decoded(value)), None),
        Content::Text { value, .. } => (Some(Value::Parsed(value)), None),
        Content::Bytes(preview) => (None, Some(preview)),
    };
    let links = links.iter().map(Cid::to_string).collect();
    Answer { cid: cid.to_string(), codec, size_bytes: data.len(), links, value, preview }
}
