//! `stat`: the counts and sizes of a store.

use std::{cmp::Reverse, collections::BinaryHeap};

use mnem_storage::{Cid, Info, Store, StoreError, Walk, info_at};
use serde::Serialize;

use crate::{
    args::whole_number,
    context::Context,
    error::{Exit, Result},
    left_out::tell_opaque,
    output::{Count, ExactSize, counted, counted_as},
};

const EXAMPLES: &str = "\
`length` is the length of the files, `on disk` the space that they take, as in `du` (for
carlog and bucket, their length), and `free` the free space inside the files, which new
blocks reuse.

--reachable follows links from the heads; it needs memory for one CID per reached block.
--largest reads the size of every block.

Examples:
  mnem-store stat --store memory.redb
  mnem-store stat --reachable --largest 10
  mnem-store stat --json | jq .blocks";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Count the blocks that the heads reach, and the others
    #[arg(long)]
    reachable: bool,
    /// List the largest blocks
    #[arg(long, value_name = "N", value_parser = |text: &str| whole_number(text, 1..=100_000))]
    largest: Option<u32>,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    info: &'a Info,
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable: Option<Reachable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest: Option<Vec<Block>>,
}

/// The blocks that the heads reach.
#[derive(Clone, Copy, Default, Serialize)]
struct Reachable {
    blocks: u64,
    block_bytes: u64,
    missing_count: u64,
    opaque: u64,
}

#[derive(Serialize)]
struct Block {
    cid: String,
    size_bytes: u64,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    context.note(format_args!("opening {} for reading", path.display()));
    let info = info_at(&path, &context.reading_options())?;
    let mut answer = Answer { info: &info, reachable: None, largest: None };
    if args.reachable || args.largest.is_some() {
        let store = context.open_read_only()?;
        if args.reachable {
            answer.reachable = Some(reachable(context, &*store)?);
        }
        if let Some(most) = args.largest {
            answer.largest = Some(largest(context, &*store, most as usize)?);
        }
    }
    let mut out = context.out();
    out.answer(text(&answer), &answer)?;
    out.finish()?;
    tell_opaque(context, answer.reachable.unwrap_or_default().opaque, "counted as reached");
    Ok(Exit::Done)
}

fn reachable(context: &Context, store: &dyn Store) -> Result<Reachable> {
    let mut bar = context.bar("stat");
    let mut found = Reachable::default();
    let mut walk = Walk::from_roots(store, store.heads()?);
    for block in walk.by_ref() {
        match block {
            Ok((_, data)) => {
                found.blocks += 1;
                found.block_bytes += data.len() as u64;
                bar.count("links", "block", found.blocks, None);
            }
            Err(StoreError::MissingBlock { .. }) => found.missing_count += 1,
            Err(error) => return Err(error.into()),
        }
    }
    found.opaque = walk.opaque();
    Ok(found)
}

/// The largest blocks, largest first; by ascending CID within a size.
fn largest(context: &Context, store: &dyn Store, most: usize) -> Result<Vec<Block>> {
    let mut bar = context.bar("stat");
    let mut heap: BinaryHeap<(Reverse<u64>, Cid)> = BinaryHeap::new();
    for (number, cid) in (1..).zip(store.cids()?) {
        let cid = cid?;
        bar.count("sizes", "block", number, None);
        // The block was deleted since it was listed.
        let Some(size) = store.size(&cid)? else { continue };
        heap.push((Reverse(size), cid));
        if heap.len() > most {
            heap.pop();
        }
    }
    let block = |(Reverse(size_bytes), cid): (Reverse<u64>, Cid)| Block { cid: cid.to_string(), size_bytes };
    Ok(heap.into_sorted_vec().into_iter().map(block).collect())
}

fn text(answer: &Answer<'_>) -> String {
    let info = answer.info;
    let counts = &info.counts;
    let mut lines = vec![
        format!("backend     {} (format {})", info.backend, info.format),
        format!("blocks      {}, {}", Count(counts.blocks), ExactSize(counts.block_bytes)),
    ];
    if let Some(reached) = answer.reachable {
        let blocks = counts.blocks.saturating_sub(reached.blocks);
        let bytes = counts.block_bytes.saturating_sub(reached.block_bytes);
        lines.push(format!("reached     {}, {}", Count(reached.blocks), ExactSize(reached.block_bytes)));
        lines.push(format!("unreached   {}, {}", Count(blocks), ExactSize(bytes)));
        if reached.missing_count > 0 {
            lines.push(format!("missing     {}", Count(reached.missing_count)));
        }
    }
    lines.push(format!("heads       {}", Count(counts.heads)));
    if info.knn_indexes > 0 {
        lines.push(format!("knn         {}", counted_as(info.knn_indexes, "index", "indexes")));
    }
    for table in &counts.tables {
        lines.push(format!("table       {}: {}, {}", table.name, counted(table.keys, "key"), ExactSize(table.bytes)));
    }
    lines.push(format!("length      {}", ExactSize(counts.file_bytes)));
    lines.push(format!("on disk     {}", ExactSize(counts.allocated_bytes)));
    lines.push(format!("free        {}", ExactSize(counts.free_bytes)));
    for detail in &counts.details {
        lines.push(format!("{:<12}{}", detail.name.replace('_', " "), Count(detail.count)));
    }
    for block in answer.largest.iter().flatten() {
        lines.push(format!("largest     {}, {}", block.cid, ExactSize(block.size_bytes)));
    }
    lines.join("\n")
}
