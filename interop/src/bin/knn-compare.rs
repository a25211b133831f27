//! The edge table of the published crates against ours: interleaved rounds in one run, medians, ratios; answers are checked.
//!
//! ```text
//! knn-compare store [NODES K ROUNDS]     store, load, one node's neighbours, bytes
//! knn-compare derive [NODES WIDTH K ROUNDS]
//! knn-compare memory WHO FILE [NODES K]  WHO: make, ours, published; the peak of this process
//! knn-compare scale [NODES K]            store and stream without holding the edges; the peak of this process
//! ```

use std::{
    env, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mnem_ann_persist::{
    DistanceMetric, EdgeSource as _, KnnEdge, KnnEdgeIndex, NodeId, TABLE, derive, load, open, store, store_streamed,
};
use mnem_backend_redb::{OpenOptions, RedbStore};
use mnem_interop::{
    edges::{Made, to_published, to_published_cid, to_published_metric},
    random::Random,
};
use mnem_store_traits::{Cid, SideTable, Store as _};
use redb::Database;

fn main() {
    let mut args = env::args().skip(1);
    let command = args.next().unwrap_or_else(|| "store".into());
    let rest: Vec<String> = args.collect();
    let number = |at: usize, default: usize| rest.get(at).map_or(default, |text| text.parse().expect("a number"));
    match command.as_str() {
        "store" => compare_stores(number(0, 100_000) as u32, number(1, 16) as u32, number(2, 5)),
        "derive" => compare_derivations(number(0, 10_000), number(1, 384), number(2, 16) as u32, number(3, 5)),
        "memory" => memory(&rest[0], Path::new(&rest[1]), number(2, 100_000) as u32, number(3, 16) as u32),
        "scale" => scale(number(0, 1_000_000) as u32, number(1, 16) as u32),
        other => panic!("no such comparison: {other}"),
    }
}

fn timed<R>(durations: &mut Vec<Duration>, work: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = work();
    durations.push(start.elapsed());
    result
}

fn median(durations: &mut [Duration]) -> f64 {
    durations.sort_unstable();
    durations[durations.len() / 2].as_secs_f64() * 1e3
}

fn told(what: &str, published: &mut [Duration], ours: &mut [Duration]) {
    let (theirs, ours) = (median(published), median(ours));
    println!("{what:<34} published {theirs:>10.3} ms   ours {ours:>10.4} ms   ratio {:>9.1}", theirs / ours);
}

fn table(store: &RedbStore) -> Arc<dyn SideTable> {
    store.side_table(TABLE).expect("the edge table")
}

fn create(path: &Path) -> RedbStore {
    OpenOptions::new().create(true).open(path).expect("a store")
}

fn compare_stores(nodes: u32, k: u32, rounds: usize) {
    let made = Made::new(nodes, k, DistanceMetric::Cosine, 1);
    let published_index = to_published(&made.index());
    let folder = tempfile::tempdir().expect("a folder");
    let (mut their_store, mut our_store, mut known_store) = (Vec::new(), Vec::new(), Vec::new());
    let (mut their_load, mut our_load, mut our_lookup, mut our_warm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut again = Vec::new();
    let mut bytes = (0, 0, 0, 0);
    let mut random = Random::new(7);
    for round in 0..rounds {
        let theirs = folder.path().join(format!("theirs-{round}.redb"));
        let database = Arc::new(Database::create(&theirs).expect("their file"));
        let store_theirs = || published_redb::store_knn_edges(&database, &published_index).expect("stored");
        let cid = timed(&mut their_store, store_theirs).to_bytes();
        let loaded = timed(&mut their_load, || {
            let cid = published_core::id::Cid::from_bytes(&cid).expect("a CID");
            published_redb::load_knn_edges(&database, &cid).expect("loaded")
        });
        assert_eq!(loaded, published_index);
        drop((loaded, database));

        let path = folder.path().join(format!("ours-{round}.redb"));
        let our = create(&path);
        // Without the CID that the last round computed.
        let index = made.index();
        let our_cid = timed(&mut our_store, || store(&*table(&our), &index).expect("stored"));
        assert_eq!(our_cid.to_bytes(), cid);
        timed(&mut again, || store(&*table(&our), &index).expect("stored again"));
        let loaded = timed(&mut our_load, || load(&*table(&our), &our_cid).expect("loaded").expect("there"));
        assert_eq!(loaded, index);
        drop(loaded);
        for _ in 0..200 {
            let source = random.below(u64::from(nodes)) as usize * k as usize;
            let expected = &index.edges()[source..source + k as usize];
            let found = timed(&mut our_lookup, || neighbors(&our, &our_cid, &expected[0].src));
            assert_eq!(found, expected);
        }
        let reader = open(table(&our), &our_cid).expect("opened").expect("there");
        for _ in 0..2000 {
            let source = random.below(u64::from(nodes)) as usize * k as usize;
            let expected = &index.edges()[source..source + k as usize];
            let found = timed(&mut our_warm, || reader.neighbors(&expected[0].src).expect("read"));
            assert_eq!(found, expected);
        }
        drop(reader);
        let info = our.info().expect("info");
        our.close().expect("closed");
        let known = create(&folder.path().join(format!("known-{round}.redb")));
        timed(&mut known_store, || store(&*table(&known), &index).expect("stored"));
        known.close().expect("closed");
        let row = index.canonical_bytes().len() as u64;
        let size = |path: &Path| fs::metadata(path).expect("a file").len();
        bytes = (row, info.tables[0].bytes, size(&theirs), size(&path));
        for path in [theirs, path, folder.path().join(format!("known-{round}.redb"))] {
            fs::remove_file(path).expect("removed");
        }
    }
    println!("{nodes} nodes x {k}, {rounds} rounds, medians");
    told("store, CID computed", &mut their_store, &mut our_store);
    told("store, CID known", &mut their_store, &mut known_store);
    told("store again", &mut their_store, &mut again);
    told("load all (ours checked)", &mut their_load, &mut our_load);
    told("neighbours, newly opened index", &mut their_load, &mut our_lookup);
    told("neighbours, open index", &mut their_load, &mut our_warm);
    println!("row bytes: published {}, ours {}: ratio {:.2}", bytes.0, bytes.1, bytes.0 as f64 / bytes.1 as f64);
    println!("file bytes: published {}, ours {}: ratio {:.2}", bytes.2, bytes.3, bytes.2 as f64 / bytes.3 as f64);
}

fn neighbors(store: &RedbStore, cid: &Cid, node: &NodeId) -> Vec<KnnEdge> {
    open(table(store), cid).expect("opened").expect("there").neighbors(node).expect("read")
}

fn compare_derivations(nodes: usize, width: usize, k: u32, rounds: usize) {
    let mut random = Random::new(3);
    let vectors: Vec<Vec<f32>> = (0..nodes).map(|_| random.unit(width)).collect();
    let mut ids: Vec<NodeId> = (0..nodes).map(|_| NodeId(random.id())).collect();
    ids.sort_unstable();
    let their_ids: Vec<_> = ids.iter().map(|id| published_core::id::NodeId::from_bytes_raw(id.0)).collect();
    for metric in [DistanceMetric::Cosine, DistanceMetric::L2] {
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let their_edges = timed(&mut theirs, || {
                let metric = to_published_metric(metric);
                published_ann::derive_knn_edges_from_vectors(&their_ids, &vectors, k, metric)
            });
            let our_edges = timed(&mut ours, || derive(&ids, &vectors, k, metric).expect("derived"));
            assert_eq!(their_edges.len(), our_edges.len());
            for (a, b) in their_edges.chunk_by(|a, b| a.src == b.src).zip(our_edges.chunk_by(|a, b| a.src == b.src)) {
                same_neighbours(a, b);
            }
        }
        told(&format!("derive {nodes} x {width}, k = {k}, {}", metric.name()), &mut theirs, &mut ours);
    }
}

/// The same neighbours, but for those whose weights are so close that the order of summation decides.
fn same_neighbours(theirs: &[published_ann::KnnEdge], ours: &[KnnEdge]) {
    assert_eq!(theirs.len(), ours.len());
    let least = ours.iter().map(|edge| edge.weight).fold(f32::INFINITY, f32::min);
    for edge in theirs {
        assert_eq!(edge.src.as_bytes(), &ours[0].src.0);
        match ours.iter().find(|our| &our.dst.0 == edge.dst.as_bytes()) {
            Some(our) => assert!((our.weight - edge.weight).abs() < 1e-6, "{edge:?} {our:?}"),
            None => assert!((edge.weight - least).abs() < 1e-6, "{edge:?} is not among ours"),
        }
    }
}

/// The most memory that this process has had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

fn memory(who: &str, path: &Path, nodes: u32, k: u32) {
    if who == "make" {
        let index = Made::new(nodes, k, DistanceMetric::Cosine, 1).index();
        let database = Arc::new(Database::create(path.with_extension("theirs")).expect("their file"));
        let cid = published_redb::store_knn_edges(&database, &to_published(&index)).expect("stored");
        let our = create(path);
        assert_eq!(store(&*table(&our), &index).expect("stored").to_bytes(), cid.to_bytes());
        our.close().expect("closed");
        fs::write(path.with_extension("cid"), cid.to_bytes()).expect("written");
        return;
    }
    let cid = fs::read(path.with_extension("cid")).expect("what make wrote");
    let cid = mnem_store_traits::cid_from_bytes(&cid).expect("a CID");
    // The same cache for both: it is not what is compared.
    const CACHE_BYTES: usize = 8 * 1024 * 1024;
    if who == "published" {
        let mut builder = Database::builder();
        let database =
            Arc::new(builder.set_cache_size(CACHE_BYTES).open(path.with_extension("theirs")).expect("opened"));
        let before = peak();
        let index = published_redb::load_knn_edges(&database, &to_published_cid(&cid)).expect("loaded");
        println!("published: {} edges, {} KiB before, {} KiB more", index.len(), before, peak() - before);
    } else {
        let our = OpenOptions::new().cache_bytes(CACHE_BYTES).open(path).expect("opened");
        let before = peak();
        let index: KnnEdgeIndex = load(&*table(&our), &cid).expect("loaded").expect("there");
        println!("ours: {} edges, {} KiB before, {} KiB more", index.edges().len(), before, peak() - before);
    }
}

fn scale(nodes: u32, k: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scale.redb");
    let our = OpenOptions::new().create(true).cache_bytes(8 * 1024 * 1024).open(&path).expect("a store");
    let made = Made::new(nodes, k, DistanceMetric::Cosine, 1);
    println!("{nodes} nodes x {k}: {} edges; peak with the ids alone {} KiB", made.header().edge_count, peak());
    let start = Instant::now();
    let cid = store_streamed(&*table(&our), &made).expect("stored");
    println!("stored in {:.1} s, peak {} KiB", start.elapsed().as_secs_f64(), peak());
    let start = Instant::now();
    let reader = open(table(&our), &cid).expect("opened").expect("there");
    let (mut count, mut sum) = (0_u64, 0.0);
    for edge in reader.edges().expect("edges") {
        sum += f64::from(edge.expect("an edge").weight);
        count += 1;
    }
    assert_eq!(count, reader.len());
    println!(
        "streamed in {:.1} s (mean weight {:.4}), peak {} KiB",
        start.elapsed().as_secs_f64(),
        sum / count as f64,
        peak()
    );
    let start = Instant::now();
    reader.check().expect("whole");
    println!("checked against the CID in {:.1} s, peak {} KiB", start.elapsed().as_secs_f64(), peak());
    drop(reader);
    println!("file {} bytes", fs::metadata(&path).expect("a file").len());
}
