//! Random graphs: reached blocks stay, whatever fingerprints collide and whenever the collection is interrupted.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use mnem_store_traits::{
    Blockstore, Buffered, Bytes, CidIter, DAG_JSON, IsDead, MemoryStore, OpHeadsStore, RAW, StoreError, Swept, cid_of,
};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::unwatched;

/// A graph of blocks with links to earlier blocks, and the blocks that are heads or to be kept.
#[derive(Clone, Debug)]
struct Graph {
    blocks: Vec<(Cid, Bytes, Vec<usize>)>,
    heads: BTreeSet<usize>,
    keep: BTreeSet<usize>,
}

impl Graph {
    /// `links` has, for each block, its links to earlier blocks. A block without links is a leaf, and its codec has no
    /// links.
    fn new(links: &[Vec<prop::sample::Index>], heads: &[prop::sample::Index], keep: &[prop::sample::Index]) -> Self {
        let mut blocks: Vec<(Cid, Bytes, Vec<usize>)> = Vec::new();
        for (number, links) in links.iter().enumerate() {
            let links: Vec<usize> = links.iter().filter(|_| number > 0).map(|at| at.index(number.max(1))).collect();
            let text: String = links.iter().map(|at| format!(r#",{{"/":"{}"}}"#, blocks[*at].0)).collect();
            let data = Bytes::from(format!("[{number}{text}]"));
            let codec = if links.is_empty() && number % 2 == 0 { RAW } else { DAG_JSON };
            blocks.push((cid_of(codec, &data), data, links));
        }
        let pick = |picks: &[prop::sample::Index]| picks.iter().map(|at| at.index(blocks.len())).collect();
        let (heads, keep) = (pick(heads), pick(keep));
        Self { blocks, heads, keep }
    }

    fn store(&self) -> MemoryStore {
        let store = MemoryStore::new();
        self.blocks.iter().for_each(|(cid, data, _)| store.put(cid, data.clone()).unwrap());
        self.heads.iter().for_each(|at| store.update(&self.blocks[*at].0, &[]).unwrap());
        store
    }

    fn options(&self) -> CollectOptions {
        CollectOptions::new().keep(self.keep.iter().map(|at| self.blocks[*at].0))
    }

    fn reached(&self) -> BTreeMap<Cid, Bytes> {
        let (mut pending, mut reached) = (Vec::from_iter(&self.heads), BTreeMap::new());
        pending.extend(&self.keep);
        while let Some(at) = pending.pop() {
            let (cid, data, links) = &self.blocks[*at];
            if reached.insert(*cid, data.clone()).is_none() {
                pending.extend(links);
            }
        }
        reached
    }
}

prop_compose! {
    fn graph()(
        links in vec(vec(any::<prop::sample::Index>(), 0..4), 1..40),
        heads in vec(any::<prop::sample::Index>(), 1..4),
        keep in vec(any::<prop::sample::Index>(), 0..3),
    ) -> Graph {
        Graph::new(&links, &heads, &keep)
    }
}

fn tuning(mask: u64, blocks_max: usize) -> Tuning {
    let (batch_blocks_max, sweep_blocks_max) = (blocks_max, 2 * blocks_max);
    Tuning { fingerprints: Fingerprints::colliding(mask), batch_blocks_max, part_blocks: blocks_max, sweep_blocks_max }
}

/// The same store twice: as it is, and so that it cannot sweep.
fn both_ways(store: &MemoryStore) -> [Box<dyn Store>; 2] {
    [Box::new(store.clone()), Box::new(Buffered::new(store.clone()))]
}

fn content(store: &MemoryStore) -> BTreeMap<Cid, Bytes> {
    let cids = store.cids().unwrap().map(Result::unwrap);
    cids.map(|cid| (cid, store.get(&cid).unwrap().unwrap())).collect()
}

proptest! {
    // The last test runs each case many times.
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_is_reached_stays(graph in graph(), batch in 1..5_usize) {
        let reached = graph.reached();
        let all = graph.blocks.iter().map(|(cid, data, _)| (cid, data.len() as u64)).collect::<BTreeMap<_, _>>();
        let dead_bytes: u64 = all.iter().filter(|(cid, _)| !reached.contains_key(**cid)).map(|(_, bytes)| bytes).sum();
        let dead = (all.len() - reached.len()) as u64;
        for way in 0..2 {
            let store = graph.store();
            let collected = &*both_ways(&store)[way];
            let report = collect_tuned(tuning(u64::MAX, batch), collected, &graph.options(), &mut unwatched).unwrap();
            prop_assert_eq!(content(&store), reached.clone());
            prop_assert_eq!((report.blocks, report.dead, report.removed), (all.len() as u64, dead, dead));
            prop_assert_eq!(report.dead_bytes, dead_bytes);
        }
    }

    #[test]
    fn collisions_keep_dead_blocks_and_lose_no_live_one(graph in graph(), bits in 0..4_u32) {
        for way in 0..2 {
            let store = graph.store();
            let collected = &*both_ways(&store)[way];
            collect_tuned(tuning((1 << bits) - 1, 3), collected, &graph.options(), &mut unwatched).unwrap();
            let left = content(&store);
            for (cid, data) in graph.reached() {
                prop_assert_eq!(left.get(&cid), Some(&data), "{} is gone", cid);
            }
        }
    }

    #[test]
    fn ended_at_any_callback_nothing_reached_is_gone_and_the_next_run_ends_it(
        graph in graph(),
        batch in 1..4_usize,
        way in 0..2_usize,
    ) {
        let reached = graph.reached();
        for callbacks in 0.. {
            let (store, mut left) = (graph.store(), callbacks);
            let subject = &*both_ways(&store)[way];
            let collected = collect_tuned(tuning(u64::MAX, batch), subject, &graph.options(), &mut |_| {
                if left == 0 { return ControlFlow::Break(()) }
                left -= 1;
                ControlFlow::Continue(())
            });
            let before = content(&store);
            prop_assert!(reached.iter().all(|(cid, data)| before.get(cid) == Some(data)), "after {callbacks}");
            match collected {
                Ok(_) => break,
                Err(CollectError::Stopped(report)) => {
                    let gone = graph.store().cids().unwrap().count() - before.len();
                    prop_assert_eq!(report.removed, gone as u64);
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            collect_tuned(tuning(u64::MAX, batch), subject, &graph.options(), &mut unwatched).unwrap();
            prop_assert_eq!(content(&store), reached.clone(), "after {} and again", callbacks);
        }
    }
}

/// The only way in which a collision could lose a block: a missing leaf has the fingerprint of a block that is
/// followed.
#[test]
fn a_missing_leaf_that_collides_keeps_nobody_from_being_followed() {
    let leaf = (cid_of(RAW, b"leaf"), Bytes::from_static(b"leaf"));
    let missing = cid_of(RAW, b"missing");
    let node = |links: &[Cid]| {
        let links: Vec<String> = links.iter().map(|cid| format!(r#"{{"/":"{cid}"}}"#)).collect();
        let data = Bytes::from(format!("[{}]", links.join(",")));
        (cid_of(DAG_JSON, &data), data)
    };
    let inner = node(&[leaf.0]);
    let head = node(&[missing, inner.0]);
    let all = BTreeMap::from([leaf, inner, head.clone()]);
    let options = CollectOptions::new().allow_missing(true);
    // About every tenth key makes only these two collide.
    for _ in 0..200 {
        let store = MemoryStore::new();
        all.iter().for_each(|(cid, data)| store.put(cid, data.clone()).unwrap());
        store.update(&head.0, &[]).unwrap();
        collect_tuned(tuning(3, 1), &store, &options, &mut unwatched).unwrap();
        assert_eq!(content(&store), all);
    }
}

/// Heads that move between two parts end the collection before it removes more.
#[test]
fn a_commit_between_two_parts_ends_the_sweep() {
    let graph = (0..40).map(|n| Bytes::from(format!("[{n}]"))).map(|data| (cid_of(DAG_JSON, &data), data));
    let graph: BTreeMap<Cid, Bytes> = graph.collect();
    let (head, other) = (graph.keys().next().copied().unwrap(), graph.keys().last().copied().unwrap());
    for way in 0..2 {
        let store = MemoryStore::new();
        graph.iter().for_each(|(cid, data)| store.put(cid, data.clone()).unwrap());
        store.update(&head, &[]).unwrap();
        let mut moved = false;
        let error = collect_tuned(tuning(u64::MAX, 4), &*both_ways(&store)[way], &CollectOptions::new(), &mut |done| {
            if done.stage == crate::Stage::Sweep && done.blocks >= 8 && !std::mem::replace(&mut moved, true) {
                store.update(&other, &[]).unwrap();
            }
            ControlFlow::Continue(())
        });
        assert_eq!(error.unwrap_err().kind(), Some(ErrorKind::HeadsMoved), "{way}");
        let left = content(&store);
        assert!(left.contains_key(&other), "{way}: the block of the new head is gone");
        assert!((20..40).contains(&left.len()), "{way}: {} left", left.len());
    }
}

/// Ends each sweep after a number of blocks, and notes where the parts end.
#[derive(Debug)]
struct Early {
    store: MemoryStore,
    blocks_max: usize,
    /// Whether it gets any further after the first call.
    is_honest: bool,
    ends: Mutex<BTreeSet<Option<Cid>>>,
    calls: AtomicU64,
}

impl Early {
    fn over(blocks_max: usize, is_honest: bool) -> Self {
        let graph = Graph::new(&[const { Vec::new() }; 40], &[], &[]);
        let (store, calls) = (graph.store(), AtomicU64::new(0));
        store.update(&graph.blocks[0].0, &[]).unwrap();
        Self { store, blocks_max, is_honest, ends: Mutex::default(), calls }
    }
}

impl Blockstore for Early {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.store.get(cid)
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.store.put(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }

    fn sweep(
        &self,
        after: Option<&Cid>,
        up_to: Option<&Cid>,
        is_dead: &mut IsDead<'_>,
    ) -> Result<Option<Swept>, StoreError> {
        assert!(self.calls.fetch_add(1, Ordering::Relaxed) < 100, "it never ends");
        self.ends.lock().unwrap().insert(up_to.copied());
        let all = self.store.cids()?.collect::<Result<Vec<_>, _>>()?;
        let in_part = |cid: &Cid| after.is_none_or(|after| after < cid) && up_to.is_none_or(|up_to| cid <= up_to);
        let part: Vec<Cid> = all.into_iter().filter(in_part).collect();
        let end = part.get(self.blocks_max - 1).filter(|_| part.len() > self.blocks_max);
        let (end, mut swept) = match after {
            Some(after) if !self.is_honest => (Some(after), Some(Swept::default())),
            _ => (end, self.store.sweep(after, end.or(up_to), is_dead)?),
        };
        swept.iter_mut().for_each(|swept| swept.ended_at = end.copied());
        Ok(swept)
    }
}

impl OpHeadsStore for Early {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        self.store.heads()
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.store.update(new, supersedes)
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.store.swap(expected, new)
    }
}

impl Store for Early {}

/// The time of such a call says how large the blocks are, not how many of them fit in a call.
#[test]
fn parts_that_the_store_ends_early_do_not_grow() {
    for (blocks_max, grows) in [(3, false), (40, true)] {
        let store = Early::over(blocks_max, true);
        let report = collect_tuned(tuning(u64::MAX, 4), &store, &CollectOptions::new(), &mut unwatched).unwrap();
        assert_eq!((report.removed, content(&store.store).len()), (39, 1));
        let parts = store.ends.lock().unwrap().len();
        assert_eq!(parts < 10, grows, "{parts} parts of 40 blocks, {blocks_max} in a call");
    }
}

#[test]
fn a_sweep_that_gets_no_further_is_an_error() {
    let store = Early::over(3, false);
    let error = collect_tuned(tuning(u64::MAX, 4), &store, &CollectOptions::new(), &mut unwatched).unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::Backend));
    assert!(error.to_string().contains("failed to sweep"), "{error}");
}
