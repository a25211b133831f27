//! `log`: lists the entries of a store's log.

use mnem_storage::{
    StoreError,
    driver::{LogEntry, LogKind},
};
use serde::Serialize;

use crate::{
    args::whole_number,
    context::Context,
    error::{Exit, Failure, Result},
    output::{Size, counted},
    utc::Utc,
};

const EXAMPLES: &str = "\
Prints one line for each entry of the log of a store in a bucket, the newest first: its
number, when it was written by the clock of its writer (UTC), its kind, its blocks, and the
heads after it. Commits that several threads made at once share an entry.

A `compaction` has moved blocks and changed no content. An entry is `compacted` when its
blocks have all been moved or deleted since; what it wrote is then known only in part.

Examples:
  mnem-store log --store 's3://acme-notes/team?region=eu-north-1' --limit 10
  mnem-store log --json | jq -c '[.number, .written, .heads]'";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Print at most this many entries
    #[arg(short = 'n', long, value_name = "N", value_parser = |text: &str| whole_number(text, 1..=u32::MAX))]
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Line {
    number: u64,
    written: Option<String>,
    kind: &'static str,
    blocks: u64,
    block_bytes: Option<u64>,
    deleted: u64,
    rows: Option<u64>,
    heads: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    context.note(format_args!("opening {} for reading", path.display()));
    let store = context.reading_options().read_only(true).open_managed(&path)?;
    let entries = match store.log() {
        Err(StoreError::Unsupported { .. }) => {
            return Err(Failure::Usage {
                message: format!("{} is a {} store, which has no log to list", path.display(), store.driver().name()),
                hint: "give a store in a bucket; `mnem-store walk` lists the blocks that the heads reach".into(),
            });
        }
        entries => entries?,
    };
    let mut out = context.out();
    for entry in entries.take(args.limit.map_or(usize::MAX, |limit| limit as usize)) {
        let entry = entry?;
        out.answer_with(text(&entry), || line(&entry))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn line(entry: &LogEntry) -> Line {
    Line {
        number: entry.number,
        written: entry.written_ms.map(|ms| Utc(ms).to_string()),
        kind: entry.kind.as_str(),
        blocks: entry.blocks,
        block_bytes: entry.block_bytes,
        deleted: entry.deleted,
        rows: entry.rows,
        heads: entry.heads.iter().map(ToString::to_string).collect(),
    }
}

fn text(entry: &LogEntry) -> String {
    let written = entry.written_ms.map_or_else(|| "at an unknown time".to_owned(), |ms| Utc(ms).to_string());
    let verb = if entry.kind == LogKind::Compaction { "moved " } else { "" };
    let mut parts = vec![match entry.block_bytes {
        Some(bytes) => format!("{verb}{}, {}", counted(entry.blocks, "block"), Size(bytes)),
        None => counted(entry.blocks, "block"),
    }];
    if entry.deleted > 0 {
        parts.push(format!("{} deleted", entry.deleted));
    }
    if let Some(rows) = entry.rows.filter(|rows| *rows > 0) {
        parts.push(counted(rows, "row"));
    }
    let heads: Vec<String> = entry.heads.iter().map(ToString::to_string).collect();
    let heads = if heads.is_empty() { "no heads".to_owned() } else { format!("heads {}", heads.join(" ")) };
    format!("{} {written} {}: {}; {heads}", entry.number, entry.kind, parts.join(", "))
}
