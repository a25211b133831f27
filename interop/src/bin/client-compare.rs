//! The unmodified client over the published backend and over ours through the bridge: time, syncs and bytes written for one commit, and the
//! client's own computing. Interleaved rounds in one run, medians; every store must come to the same operation.
//!
//! ```text
//! client-compare [ROUNDS]     a table in Markdown
//! ```

use std::{
    env, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mnem_backend_redb::{CommitDurability, OpenOptions};
use mnem_core_bridge::Bridge;
use mnem_interop::{
    graph::{Result, Stores, halves},
    medium::{Counted, Counts},
    work::{Given, WORK, Work},
};
use mnem_store_traits::MemoryStore;
use published_core::store::{MemoryBlockstore, MemoryOpHeadsStore};
use published_redb::{RedbBlockstore, RedbOpHeadsStore};
use redb::{Database, TableDefinition};

/// Where the client's work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Published,
    Bridge,
    BridgeOnePhase,
    /// Their store in memory: what is left is the client's own computing.
    Memory,
    /// Ours in memory, through the bridge.
    BridgeMemory,
}

const PLACES: [Place; 5] = [Place::Published, Place::Bridge, Place::BridgeOnePhase, Place::Memory, Place::BridgeMemory];

/// One round.
#[derive(Clone, Copy, Debug)]
struct Sample {
    time: Duration,
    /// Of that, this thread on a processor. The system counts in ticks, of 4 ms here, so what is short is known as none or one.
    computing: Duration,
    syncs: u64,
    bytes: u64,
}

/// A time of a round.
type Time = fn(&Sample) -> Duration;

impl Place {
    fn stores(self, path: &Path) -> Result<(Stores, Arc<Counts>)> {
        let ours = |durability| -> Result<_> {
            let (medium, counts) = Counted::create(path)?;
            let store = OpenOptions::new().create(true).durability(durability).open_medium(medium, path)?;
            Ok((halves(Bridge::new(Arc::new(store))), counts))
        };
        match self {
            Self::Published => published(path),
            Self::Bridge => ours(CommitDurability::TwoPhase),
            Self::BridgeOnePhase => ours(CommitDurability::OnePhase),
            Self::Memory => {
                Ok(((Arc::new(MemoryBlockstore::new()), Arc::new(MemoryOpHeadsStore::new())), Arc::default()))
            }
            Self::BridgeMemory => Ok((halves(Bridge::new(Arc::new(MemoryStore::new()))), Arc::default())),
        }
    }
}

/// As their `open_or_init` does it, over the counting file.
fn published(path: &Path) -> Result<(Stores, Arc<Counts>)> {
    let (medium, counts) = Counted::create(path)?;
    let database = Database::builder().create_with_backend(medium)?;
    let transaction = database.begin_write()?;
    transaction.open_table(TableDefinition::<&[u8], &[u8]>::new("mnem_objects"))?;
    transaction.open_table(TableDefinition::<&[u8], ()>::new("mnem_op_heads"))?;
    transaction.commit()?;
    let database = Arc::new(database);
    let stores: Stores =
        (Arc::new(RedbBlockstore::new(Arc::clone(&database))), Arc::new(RedbOpHeadsStore::new(database)));
    Ok((stores, counts))
}

/// How long this thread has been on a processor, where Linux tells; else nothing.
fn on_processor() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = told.and_then(|text| text.split_whitespace().next().map(str::to_owned));
    Duration::from_nanos(first.and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn sample(place: Place, work: Work, given: &Given) -> Result<(Sample, Vec<u8>)> {
    let folder = tempfile::tempdir_in(env::current_dir()?)?;
    let (stores, counts) = place.stores(&folder.path().join("memory.redb"))?;
    given.fill(&stores)?;
    let step = work.step(&stores)?;
    let before = counts.now();
    let (start, computed) = (Instant::now(), on_processor());
    let operation = step()?;
    let (time, computing) = (start.elapsed(), on_processor() - computed);
    let after = counts.now();
    if stores.1.current()? != [operation.clone()] {
        return Err(format!("{place:?}: the operation is not the only head").into());
    }
    Ok((Sample { time, computing, syncs: after.0 - before.0, bytes: after.1 - before.1 }, operation.to_bytes()))
}

fn median<T: Ord + Copy>(samples: &[Sample], of: impl Fn(&Sample) -> T) -> T {
    let mut values: Vec<T> = samples.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn main() -> Result<()> {
    let rounds: usize = env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    println!(
        "| | | published 0.1.7 | bridge | times as good | bridge, one phase | the client alone | bridge, memory |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for work in WORK {
        let given = work.given()?;
        let mut samples: [Vec<Sample>; PLACES.len()] = Default::default();
        for _ in 0..rounds.max(1) {
            let mut operations = Vec::new();
            for (place, samples) in PLACES.into_iter().zip(&mut samples) {
                let (sample, operation) = sample(place, work, &given)?;
                samples.push(sample);
                operations.push(operation);
            }
            if operations.iter().any(|operation| *operation != operations[0]) {
                return Err(format!("{}: the stores come to different operations", work.name()).into());
            }
        }
        let [published, bridge, one_phase, alone, memory] = samples.each_ref();
        let (time, computing): (Time, Time) = (|sample| sample.time, |sample| sample.computing);
        for (name, what, of) in [(work.name(), "time", time), ("", "on a processor", computing)] {
            let [published, bridge, one_phase, alone, memory] =
                [published, bridge, one_phase, alone, memory].map(|samples| median(samples, of).as_secs_f64() * 1e3);
            let times = published / bridge;
            println!(
                "| {name} | {what} | {published:.2} ms | {bridge:.2} ms | {times:.1} | {one_phase:.2} ms | {alone:.2} ms | {memory:.2} ms |"
            );
        }
        for (what, of) in [("syncs", (|s| s.syncs) as fn(&Sample) -> u64), ("bytes written", |s| s.bytes)] {
            let [published, bridge, one_phase] = [published, bridge, one_phase].map(|samples| median(samples, of));
            let times = published as f64 / bridge as f64;
            println!("| | {what} | {published} | {bridge} | {times:.1} | {one_phase} | | |");
        }
    }
    Ok(())
}
