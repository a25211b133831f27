//! Killed collections: nothing that a head reaches is ever lost, and the next collection finishes the work.

use std::collections::BTreeMap;

use mnem_storage::{Bytes, Cid, CollectOptions, Store, Walk, WriteBatch, collect, unwatched};

use super::{Random, Scene, Tally, Work, stream::assert_whole, writer::open};
use crate::fixtures::{Block, node, raw};

/// The number of kills before a collection is allowed to finish.
const KILLS: u32 = 3;

/// The number of operations in the store, each with its own leaves. Every third one is reachable.
const OPERATIONS: usize = 45;

/// The number of leaves of each operation.
const LEAVES: usize = 8;

/// The initial content of the store: what heads reach, and what they do not.
struct Graph {
    live: BTreeMap<Cid, Bytes>,
    dead: BTreeMap<Cid, Bytes>,
    heads: Vec<Cid>,
}

impl Graph {
    /// Operations share leaves, even dead ones with live ones. Each links to an earlier one of its kind.
    fn new(random: &mut Random) -> Self {
        let mut graph = Self { live: BTreeMap::new(), dead: BTreeMap::new(), heads: Vec::new() };
        let shared: Vec<Block> = (0..LEAVES).map(|n| raw(format!("shared {n}"))).collect();
        let mut operations: [Vec<Cid>; 2] = Default::default();
        for number in 0..OPERATIONS {
            let is_live = number % 3 == 0;
            let mut blocks: Vec<Block> =
                (0..LEAVES).map(|n| raw(format!("leaf {n} of {number} ").repeat(1 + random.index(60)))).collect();
            let mut links: Vec<Cid> = blocks.iter().map(|block| block.0).collect();
            links.push(shared[random.index(shared.len())].0);
            let earlier = &mut operations[usize::from(is_live)];
            links.extend(earlier.last());
            let operation = node(&links);
            earlier.push(operation.0);
            blocks.push(operation);
            if is_live { &mut graph.live } else { &mut graph.dead }.extend(blocks);
        }
        graph.live.extend(shared.clone());
        let all_shared = node(&shared.iter().map(|block| block.0).collect::<Vec<_>>());
        graph.heads = [operations[1].last().copied(), Some(all_shared.0)].into_iter().flatten().collect();
        graph.heads.sort_unstable();
        graph.live.extend([all_shared]);
        graph
    }

    fn store(&self, store: &dyn Store) {
        let mut batch = WriteBatch::new();
        for (cid, data) in self.live.iter().chain(&self.dead) {
            batch.put(*cid, data.clone());
        }
        store.commit(batch.update_all(self.heads.iter().copied(), [])).expect("commit");
        store.close().expect("close");
    }

    /// Checks that everything reachable is there with its bytes, and that nothing is new. Returns the number of dead
    /// blocks left.
    fn check(&self, store: &dyn Store) -> usize {
        assert_eq!(store.heads().expect("heads"), self.heads);
        for (cid, data) in &self.live {
            assert_eq!(store.get(cid).expect("get").as_ref(), Some(data), "reached block {cid}");
        }
        let mut left = 0;
        for cid in store.cids().expect("cids") {
            let cid = cid.expect("a CID");
            assert!(self.live.contains_key(&cid) || self.dead.contains_key(&cid), "{cid} came from nowhere");
            left += usize::from(self.dead.contains_key(&cid));
        }
        left
    }
}

pub(super) fn live(scene: &Scene, backend: &'static str, work: Work, random: &mut Random, tally: &mut Tally) {
    let (graph, path) = (Graph::new(random), scene.path());
    graph.store(&*open(&path, backend));
    let typical =
        scene.duration_after(|path| graph.store(&*open(path, backend)), |path| collect_all(&*open(path, backend)));
    let (mut acknowledged, mut left) = (false, graph.dead.len());
    for _ in 0..KILLS {
        let heard = scene.end_within(work, backend, &path, typical, random, tally);
        acknowledged |= heard.acknowledged > 0;
        if random.below(4) == 0 {
            tally.in_a_row += 1;
            continue;
        }
        let store = open(&path, backend);
        let now = graph.check(&*store);
        assert!(now <= left, "{now} dead blocks, and there were {left}");
        assert!(!acknowledged || now == 0, "the collection was acknowledged, and {now} dead blocks are left");
        tally.landed_unsaid += u32::from(!acknowledged && now == 0);
        left = now;
        store.close().expect("close");
        drop(store);
        assert_whole(&path);
    }
    let store = open(&path, backend);
    collect_all(&*store);
    assert_eq!(graph.check(&*store), 0, "dead blocks are left");
    store.close().expect("close");
    drop(store);
    assert_whole(&path);
}

pub(super) fn collect_all(store: &dyn Store) {
    collect(store, &CollectOptions::new(), &mut unwatched).expect("collect");
}

/// Removes everything first, and then puts back what the heads reach.
pub(super) fn collect_early(store: &dyn Store) {
    let all: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
    let walk = Walk::from_roots(store, store.heads().expect("heads"));
    let reached: Vec<Block> = walk.map(|block| block.expect("a block")).collect();
    store.delete_many(&mut all.into_iter().map(Ok)).expect("delete");
    store.put_many(&mut reached.into_iter().map(Ok)).expect("put");
}
