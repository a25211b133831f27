//! Random graphs: reached blocks stay, whatever fingerprints collide and whenever the collection is interrupted.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use mnem_store_traits::{Blockstore as _, Bytes, DAG_JSON, MemoryStore, OpHeadsStore as _, RAW, cid_of};
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

fn tuning(mask: u64, batch_blocks_max: usize) -> Tuning {
    Tuning { fingerprints: Fingerprints::colliding(mask), batch_blocks_max }
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
        let store = graph.store();
        let report = collect_tuned(tuning(u64::MAX, batch), &store, &graph.options(), &mut unwatched).unwrap();
        let reached = graph.reached();
        prop_assert_eq!(content(&store), reached.clone());
        let all = graph.blocks.iter().map(|(cid, ..)| cid).collect::<BTreeSet<_>>().len();
        let dead = (all - reached.len()) as u64;
        prop_assert_eq!((report.blocks, report.dead, report.removed), (all as u64, dead, dead));
    }

    #[test]
    fn collisions_keep_dead_blocks_and_lose_no_live_one(graph in graph(), bits in 0..4_u32) {
        let store = graph.store();
        collect_tuned(tuning((1 << bits) - 1, 3), &store, &graph.options(), &mut unwatched).unwrap();
        let left = content(&store);
        for (cid, data) in graph.reached() {
            prop_assert_eq!(left.get(&cid), Some(&data), "{} is gone", cid);
        }
    }

    #[test]
    fn ended_at_any_callback_nothing_reached_is_gone_and_the_next_run_ends_it(graph in graph(), batch in 1..4_usize) {
        let reached = graph.reached();
        for callbacks in 0.. {
            let (store, mut left) = (graph.store(), callbacks);
            let collected = collect_tuned(tuning(u64::MAX, batch), &store, &graph.options(), &mut |_| {
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
            collect_tuned(tuning(u64::MAX, batch), &store, &graph.options(), &mut unwatched).unwrap();
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
