//! `rm`: removing blocks.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use mnem_storage::Cid;
use serde_json::json;

use crate::{
    cid_list::CidList,
    cid_short,
    context::Context,
    error::{Exit, Failure, Result},
    hints::quoted,
    limits::{MISSING_LISTED_MAX, REMOVED_TOGETHER_MAX, REMOVED_TOGETHER_MIN},
    output::{Out, counted, unless_closed},
    stop::Stop,
    target::{Target, in_all},
};

const EXAMPLES: &str = "\
rm does not check whether other blocks link to a block. Remove only blocks that no head
reaches (or a damaged block that you import again), and only while no other process
writes blocks that may link to them; `gc` does both. The block of a head needs --force;
`heads rm` drops a head. CIDs on standard input are all read before the store is opened.
Resolving a CID prefix scans all CIDs.
Exit status 4: some of the blocks are not in the store; the others are removed.

Examples:
  mnem-store rm CID --store memory.redb
  mnem-store rm - --store memory.redb < dead.txt
  export MNEM_STORE=memory.redb
  mnem-store rm CID && mnem-store import backup.car     repair a damaged block";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// CIDs of the blocks, or prefixes of 8 or more characters; - reads full CIDs from standard input, one per line
    #[arg(value_name = "CID|-", required = true)]
    cids: Vec<String>,
    /// Remove the blocks of heads too
    #[arg(long)]
    force: bool,
}

/// How long a batch should take: a signal takes effect only after it, since nothing interrupts a sync.
const BATCH_TIME: Duration = Duration::from_millis(400);

/// A removal in progress.
struct Removal<'a> {
    store: &'a Target,
    heads: &'a BTreeSet<Cid>,
    out: Out,
    removed: u64,
    absent: u64,
    /// The first absent blocks.
    absent_cids: Vec<Cid>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<Exit> {
    let path = context.path()?;
    let typed = if args.cids == ["-"] { Vec::new() } else { cid_short::parse_all(&args.cids)? };
    let from_input = if typed.is_empty() { CidList::from_standard_input("mnem-store rm")? } else { CidList::default() };
    let stop = Stop::when_asked(context)?;
    let store = context.open()?;
    let cids = if typed.is_empty() {
        from_input
    } else {
        cid_short::find_all(context, &*store, &typed)?.into_iter().collect()
    };
    let heads: BTreeSet<Cid> = store.heads()?.into_iter().collect();
    let of_heads: BTreeSet<Cid> = cids.iter().filter(|cid| heads.contains(cid)).collect();
    if let (Some(head), false) = (of_heads.first(), args.force) {
        return Err(Failure::Refused {
            message: format!("{head} is a head of {}: nothing was removed", path.display()),
            hint: match heads.len() {
                1 => "give --force to remove the block anyway; its CID stays a head".to_owned(),
                _ => format!(
                    "run `mnem-store heads rm {head} --store {}` to drop the head first, or give --force to remove its block anyway",
                    quoted(&path)
                ),
            },
        });
    }
    let out = context.out();
    let mut removal = Removal { store: &store, heads: &heads, out, removed: 0, absent: 0, absent_cids: Vec::new() };
    let ended = removal.all(context, &cids, &stop);
    let Removal { out, removed, absent, absent_cids, .. } = removal;
    store.close(&format!("removed {}", counted(removed, "block")))?;
    for head in &of_heads {
        context.remark(format_args!("{head} is still a head, now without a block"));
    }
    let told = out.finish();
    ended?;
    unless_closed(told)?;
    match &*absent_cids {
        [] => Ok(Exit::Done),
        [cid] if removed == 0 => Err(Failure::NoSuchBlock { cid: cid.to_string(), store: path }),
        _ => Err(Failure::NoSuchBlocks { cids: absent_cids, count: absent, removed, store: path }),
    }
}

impl Removal<'_> {
    fn all(&mut self, context: &Context, cids: &CidList, stop: &Stop) -> Result<()> {
        let mut bar = context.bar_beside_output("rm");
        let mut cids = cids.iter();
        let mut together = REMOVED_TOGETHER_MIN;
        loop {
            let began = Instant::now();
            let batch: BTreeSet<Cid> = cids.by_ref().take(together).collect();
            if batch.is_empty() {
                return Ok(());
            }
            if stop.flow().is_break() {
                let kept = format_args!("removed {}; {}", counted(self.removed, "block"), in_all(&**self.store, 0));
                return Err(stop.interrupted(kept, "run the same command again to remove the rest".into()));
            }
            self.batch(batch)?;
            bar.count("blocks", "block", self.removed, None);
            together = if began.elapsed() > BATCH_TIME { together / 2 } else { together * 2 };
            together = together.clamp(REMOVED_TOGETHER_MIN, REMOVED_TOGETHER_MAX);
        }
    }

    fn batch(&mut self, batch: BTreeSet<Cid>) -> Result<()> {
        let (mut present, batch) = (Vec::new(), batch.into_iter().collect::<Vec<_>>());
        for (cid, is_present) in batch.iter().copied().zip(self.store.has_many(&batch)?) {
            if is_present {
                present.push(cid);
            } else {
                self.absent += 1;
                if self.absent_cids.len() < MISSING_LISTED_MAX {
                    self.absent_cids.push(cid);
                }
            }
        }
        self.store.delete_many(&mut present.iter().copied().map(Ok))?;
        self.removed += present.len() as u64;
        for cid in present {
            let is_head = self.heads.contains(&cid);
            let line = || json!({ "cid": cid.to_string(), "removed": true, "is_head": is_head });
            unless_closed(self.out.summary_with(format_args!("removed {cid}"), line))?;
        }
        Ok(())
    }
}
