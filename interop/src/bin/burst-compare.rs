//! What the bridge does with bursts of puts: syncs, time, and the blocks that a kill right after the last answer would take.
//! Commits of the recorded scenes, and archives that nobody follows up with a head.
//!
//! ```text
//! burst-compare [ROUNDS]     a table in Markdown
//! ```

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use mnem_backend_redb::OpenOptions;
use mnem_core_bridge::{Bridge, Options, store_cid};
use mnem_interop::{
    graph::{Result, Stores, halves},
    medium::Counted,
    work::{Given, WORK, Work},
};
use mnem_store_traits::{Bytes, Store};
use published_core::{
    id::Cid,
    store::{Blockstore, MemoryBlockstore, MemoryOpHeadsStore},
};

type Blocks = Vec<(Cid, Bytes)>;

/// How an archive comes in.
#[derive(Clone, Copy, Debug)]
enum Burst {
    /// Parents first, hashes already checked: `push-blocks`, `import`, `clone`.
    Archive,
    /// Parents first, checked: `/v1/import`.
    Lines,
    /// Children first, checked.
    ChildrenFirst,
    /// As `Archive`, without one leaf: an archive of which forgotten nodes were left out.
    Incomplete,
}

const BURSTS: [Burst; 4] = [Burst::Archive, Burst::Lines, Burst::ChildrenFirst, Burst::Incomplete];

#[derive(Clone, Copy, Debug)]
struct Sample {
    time: Duration,
    syncs: u64,
    lost: usize,
}

fn bounds() -> [(&'static str, Options); 4] {
    let pause = |millis| Options::new().pause(Duration::from_millis(millis));
    [
        ("pause of 10 ms", Options::new()),
        ("3 ms", pause(3)),
        ("1 s", pause(1000)),
        ("every put", Options::new().staged_bytes_max(0)),
    ]
}

/// A bridge over a new file, and what counts its syncs.
fn measure(options: &Options, given: Option<&Given>, work: impl FnOnce(&Bridge) -> Result<Blocks>) -> Result<Sample> {
    let folder = tempfile::tempdir_in(env::current_dir()?)?;
    let path = folder.path().join("memory.redb");
    let (medium, counts) = Counted::create(&path)?;
    let store: Arc<dyn Store> = Arc::new(OpenOptions::new().create(true).open_medium(medium, &path)?);
    let bridge = Bridge::with_options(store, options);
    if let Some(given) = given {
        given.fill(&halves(bridge.clone()))?;
    }
    let (before, start) = (counts.now(), Instant::now());
    let put = work(&bridge)?;
    let time = start.elapsed();
    let mut lost = 0;
    for (cid, _) in &put {
        lost += usize::from(!bridge.store().has(&store_cid(cid)?)?);
    }
    bridge.flush()?;
    Ok(Sample { time, syncs: counts.now().0 - before.0, lost })
}

fn commit(work: Work, given: &Given, options: &Options) -> Result<Sample> {
    measure(options, Some(given), |bridge| {
        work.step(&halves(bridge.clone()))?()?;
        Ok(Vec::new())
    })
}

fn burst(burst: Burst, archive: &Blocks, options: &Options) -> Result<Sample> {
    let mut blocks = archive.clone();
    match burst {
        Burst::ChildrenFirst => blocks.reverse(),
        Burst::Incomplete => drop(blocks.pop()),
        Burst::Archive | Burst::Lines => {}
    }
    measure(options, None, |bridge| {
        for (cid, data) in &blocks {
            match burst {
                Burst::Archive | Burst::Incomplete => bridge.put_trusted(cid.clone(), data.clone())?,
                Burst::Lines | Burst::ChildrenFirst => Blockstore::put(bridge, cid.clone(), data.clone())?,
            }
        }
        Ok(blocks)
    })
}

/// The blocks of a repository of a thousand nodes, as an archive has them.
fn archive() -> Result<Blocks> {
    let memory: Stores = (Arc::new(MemoryBlockstore::new()), Arc::new(MemoryOpHeadsStore::new()));
    Work::ManyNodes.given()?.fill(&memory)?;
    let head = Work::ManyNodes.step(&memory)?()?;
    memory.0.iter_from_root(&head).map(|block| Ok(block?)).collect()
}

fn row(name: &str, rounds: usize, sample: impl Fn(&Options) -> Result<Sample>) -> Result<()> {
    print!("| {name} |");
    for (_, options) in bounds() {
        let mut samples = (0..rounds).map(|_| sample(&options)).collect::<Result<Vec<_>>>()?;
        samples.sort_unstable_by_key(|sample| sample.time);
        let (median, lost) = (samples[rounds / 2], samples.iter().map(|s| s.lost).max().unwrap_or_default());
        print!(" {} syncs, {:.2} ms, {lost} lost |", median.syncs, median.time.as_secs_f64() * 1e3);
    }
    println!();
    Ok(())
}

fn main() -> Result<()> {
    let rounds: usize = env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    println!("| | {} |", bounds().map(|(name, _)| name).join(" | "));
    println!("|---|---|---|---|---|");
    for work in WORK {
        let given = work.given()?;
        row(work.name(), rounds.max(1), |options| commit(work, &given, options))?;
    }
    let archive = archive()?;
    for kind in BURSTS {
        row(&format!("{kind:?}, {} blocks", archive.len()), rounds.max(1), |options| burst(kind, &archive, options))?;
    }
    Ok(())
}
