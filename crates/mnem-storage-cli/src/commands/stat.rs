//! `stat`: counts and sizes.

use mnem_storage::{Info, info_at};

use crate::{
    context::Context,
    error::{Exit, Result},
    output::{Count, ExactSize, counted, counted_as},
};

const EXAMPLES: &str = "\
Examples:
  mnem-store stat --store memory.redb
  mnem-store stat --json | jq .blocks";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(context: &Context, _: &Args) -> Result<Exit> {
    let path = context.path()?;
    let info = info_at(&path, &context.options())?;
    let mut out = context.out();
    out.answer(text(&info), &info)?;
    out.finish()?;
    Ok(Exit::Done)
}

fn text(info: &Info) -> String {
    let counts = &info.counts;
    let mut lines = vec![
        format!("backend     {} (format {})", info.backend, info.format),
        format!("blocks      {}, {}", Count(counts.blocks), ExactSize(counts.block_bytes)),
        format!("heads       {}", Count(counts.heads)),
    ];
    if info.knn_indexes > 0 {
        lines.push(format!("knn         {}", counted_as(info.knn_indexes, "index", "indexes")));
    }
    for table in &counts.tables {
        lines.push(format!("table       {}: {}, {}", table.name, counted(table.keys, "key"), ExactSize(table.bytes)));
    }
    lines.push(format!("on disk     {}", ExactSize(counts.file_bytes)));
    if counts.allocated_bytes != counts.file_bytes {
        lines.push(format!("allocated   {}", ExactSize(counts.allocated_bytes)));
    }
    lines.push(format!("free        {}", ExactSize(counts.free_bytes)));
    lines.join("\n")
}
