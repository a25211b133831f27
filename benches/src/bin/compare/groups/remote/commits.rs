//! Commits of one writer, of threads that share a handle, and of handles that share a store.

use std::{sync::Arc, thread, time::Instant};

use anyhow::{Context as _, Result};
use mnem_backend_bucket::{BucketStore, OpenOptions};
use mnem_benches::{Block, Blocks, Times};
use mnem_storage::Cid;
use tokio::runtime::Runtime;

use super::{
    peers::{ObjectPerBlock, OneManifest, Remote},
    service::{Requests, Service},
};
use crate::{
    results::Unit,
    run::{Run, SMALL},
};

/// Blocks per commit.
const BLOCKS: usize = 12;

/// Commits of each writer in one round.
const COMMITS: usize = 40;

/// Opens a handle.
type Open = fn(&Service, &Arc<Runtime>) -> Result<Box<dyn Remote>>;

const KINDS: [(&str, Open); 3] = [
    ("bucket", |service, _| Ok(Box::new(open(service)?))),
    ("object per block", |service, runtime| Ok(Box::new(ObjectPerBlock::new(service, runtime)))),
    ("one manifest", |service, runtime| Ok(Box::new(OneManifest::new(service, runtime)))),
];

pub(super) fn open(service: &Service) -> Result<BucketStore> {
    Ok(OpenOptions::new().create(true).open_in(Arc::new(service.clone()), "store")?)
}

/// Writers of one store: the number of handles, and of threads in each.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    handles: usize,
    threads: usize,
}

const CROWDS: [(Crowd, &str); 4] = [
    (Crowd { handles: 1, threads: 1 }, "one writer"),
    (Crowd { handles: 1, threads: 8 }, "8 threads, one handle"),
    (Crowd { handles: 1, threads: 32 }, "32 threads, one handle"),
    (Crowd { handles: 8, threads: 1 }, "8 handles"),
];

struct Outcome {
    times: Times,
    seconds: f64,
    requests: Requests,
}

pub(super) fn run(run: &mut Run) -> Result<()> {
    let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?);
    for (crowd, who) in CROWDS {
        for round in 0..run.options.rounds {
            for (name, open) in KINDS {
                let outcome = crowd.commits(open, &runtime, run.size(COMMITS), round as u64);
                let Outcome { times, seconds, requests } = outcome.with_context(|| format!("{name}, {who}"))?;
                let commits = times.len() as f64;
                let mut record = |row: String, unit, value| run.results.record("remote", &row, unit, name, value);
                record(format!("{who}: commits of {BLOCKS} + head"), Unit::PerSecond, commits / seconds);
                record(format!("{who}: median"), Unit::Seconds, times.quantile(0.5).as_secs_f64());
                record(format!("{who}: p99"), Unit::Seconds, times.quantile(0.99).as_secs_f64());
                let all = requests.puts + requests.gets + requests.lists;
                record(format!("{who}: requests per commit"), Unit::Count, all as f64 / commits);
                record(format!("{who}: a million commits"), Unit::Dollars, requests.dollars() / commits * 1e6);
            }
        }
    }
    Ok(())
}

impl Crowd {
    /// Each thread makes `commits` commits, and each replaces the head of the one before. Then a new handle must find
    /// all of it.
    fn commits(self, open: Open, runtime: &Arc<Runtime>, commits: usize, seed: u64) -> Result<Outcome> {
        let service = Service::default();
        let writers = self.handles * self.threads;
        let mut supply = Blocks::new(seed, SMALL);
        let mut own = || (&mut supply).take(commits * BLOCKS).collect::<Vec<_>>();
        let work: Vec<Vec<Block>> = (0..writers).map(|_| own()).collect();
        let handles: Vec<_> = (0..self.handles).map(|_| open(&service, runtime)).collect::<Result<_>>()?;
        let before = service.requests();
        let start = Instant::now();
        let times = thread::scope(|scope| {
            let writers: Vec<_> = (0..writers)
                .map(|writer| {
                    let (handle, own) = (&*handles[writer / self.threads], &work[writer]);
                    scope.spawn(move || write(handle, own))
                })
                .collect();
            writers.into_iter().try_fold(Times::default(), |mut all, writer| {
                all.extend(writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??);
                Ok::<_, anyhow::Error>(all)
            })
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let requests = service.requests().since(before);
        let heads: Vec<Cid> = work.iter().filter_map(|own| Some(own.last()?.0)).collect();
        open(&service, runtime)?.holds(&work.concat(), &heads)?;
        Ok(Outcome { times, seconds, requests })
    }
}

fn write(store: &dyn Remote, own: &[Block]) -> Result<Times> {
    let (mut times, mut before) = (Times::default(), None);
    for blocks in own.chunks(BLOCKS) {
        let head = blocks.last().map(|(cid, _)| *cid).context("a commit has blocks")?;
        times.time(|| store.commit(blocks, head, before))?;
        before = Some(head);
    }
    Ok(times)
}
