//! A large store: filled, opened, read, copied, verified and walked.

use std::{
    fs::File,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use mnem_backend_bucket::{BucketStore, OpenOptions};
use mnem_benches::{Blocks, bulk_import, enumerate};
use mnem_storage::{
    Blockstore as _, BlockstoreExt as _, VerifyOptions,
    car::{self, ImportOptions},
    copy, unwatched, verify,
};
use mnem_store_traits::Store;

use super::{commits::open, service::Service};
use crate::{
    groups::thousands,
    results::Unit,
    run::{FILLED_SEED, Run, SMALL},
};

const BUCKET: &str = "bucket";
const MANY: usize = 1_000_000;
/// Blocks of one `put_many`.
const BATCH: usize = 50_000;
/// Gets of blocks far from each other.
const GETS: usize = 40;

pub(super) fn run(run: &mut Run) -> Result<()> {
    many_blocks(run)?;
    archive(run)
}

fn record(run: &mut Run, row: &str, time: Duration) {
    run.results.record("remote", row, Unit::Seconds, BUCKET, time.as_secs_f64());
}

fn reopened(service: &Service) -> Result<(BucketStore, Duration)> {
    let start = Instant::now();
    let store = OpenOptions::new().open_in(Arc::new(service.clone()), "store")?;
    Ok((store, start.elapsed()))
}

fn timed<T, E>(call: impl FnOnce() -> Result<T, E>) -> Result<(T, Duration), E> {
    let start = Instant::now();
    let value = call()?;
    Ok((value, start.elapsed()))
}

fn many_blocks(run: &mut Run) -> Result<()> {
    let (many, batch) = (run.size(MANY), run.size(BATCH));
    let service = Service::default();
    let store = open(&service)?;
    let import = bulk_import(&store, &mut Blocks::new(FILLED_SEED, SMALL), many, batch)?;
    record(run, &format!("import of {} × 300 B by {}", thousands(many), thousands(batch)), import);
    store.close()?;
    for round in 0..run.options.rounds {
        let (store, open) = reopened(&service)?;
        record(run, &format!("open at {} blocks", thousands(many)), open);
        record(run, &format!("list {} CIDs", thousands(many)), enumerate(&store, many as u64)?);
        // Far from each other, so that none lies in a window that another has fetched.
        let blocks = Blocks::new(FILLED_SEED, SMALL);
        for n in 0..GETS.min(many / 20) {
            let (cid, data) = blocks.at(((n * 24_989 + round * 7_919) % many) as u64);
            let (first, cold) = timed(|| store.get(&cid))?;
            let (second, warm) = timed(|| store.get(&cid))?;
            ensure!(first.as_ref() == Some(&data) && second == first, "a wrong block");
            record(run, "get of a block that is not in memory", cold);
            record(run, "get of the same block again", warm);
        }
    }
    Ok(())
}

fn archive(run: &mut Run) -> Result<()> {
    let path = run.options.archive.clone();
    if !path.exists() {
        eprintln!("remote: WordNet is left out, there is no {}; benches/wordnet.sh makes it", path.display());
        return Ok(());
    }
    let local = mnem_backend_redb::OpenOptions::new().create(true).open(run.folder()?.join("wordnet.redb"))?;
    let options = ImportOptions::new().heads(true);
    let blocks = car::import(&local, File::open(&path)?, &options, &mut unwatched).context("import")?.blocks;
    for _ in 0..run.options.rounds {
        let service = Service::default();
        let target = open(&service)?;
        let (_, time) = timed(|| copy(&local, &target, &mut unwatched))?;
        record(run, "WordNet copied up, and proved", time);
        target.close()?;
        let (store, _) = reopened(&service)?;
        let (report, time) = timed(|| verify(&store, &VerifyOptions::new(), &mut unwatched))?;
        ensure!(report.faults.is_empty() && report.blocks == blocks, "verify: {report:?}");
        record(run, "WordNet verified", time);
        let (store, _) = reopened(&service)?;
        for row in ["WordNet walked, nothing in memory", "WordNet walked again"] {
            record(run, row, walk(&store, blocks)?);
        }
    }
    Ok(())
}

fn walk(store: &dyn Store, blocks: u64) -> Result<Duration> {
    let start = Instant::now();
    let mut found = 0;
    for head in store.heads()? {
        for block in store.walk(&head) {
            block?;
            found += 1;
        }
    }
    let time = start.elapsed();
    ensure!(found == blocks, "walked {found} blocks of {blocks}");
    Ok(time)
}
