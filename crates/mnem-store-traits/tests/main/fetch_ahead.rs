//! Reading ahead: in bounded requests, and with the same results as block by block.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use mnem_store_traits::{
    Blockstore, BlockstoreExt as _, Bytes, Capabilities, Cid, CidIter, DAG_CBOR, ErrorKind, FetchAhead, MemoryStore,
    OnBlock, RAW, StoreError, Walk, cid_of,
};

/// Half of the maximum number of blocks that are read ahead.
const REQUEST_BLOCKS_MAX: usize = 64;
const KEPT_BLOCKS_MAX: usize = 128;
const KEPT_BYTES_MAX: u64 = 4 << 20;

/// How a store answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    InOrder,
    Reversed,
    /// Only the first block: nothing is ever read ahead.
    First,
}

/// A store that records its requests. Its `get` serves blocks at which a request failed.
#[derive(Debug)]
struct Watched {
    store: MemoryStore,
    answers: Answers,
    get_is_fine: AtomicBool,
    /// The length of each request.
    requests: Mutex<Vec<usize>>,
    answered: AtomicU64,
    answered_bytes: AtomicU64,
}

impl Watched {
    fn new(answers: Answers) -> Self {
        let (get_is_fine, requests) = (AtomicBool::new(false), Mutex::default());
        let (answered, answered_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { store: MemoryStore::new(), answers, get_is_fine, requests, answered, answered_bytes }
    }

    fn requests(&self) -> Vec<usize> {
        self.requests.lock().unwrap().clone()
    }
}

impl Blockstore for Watched {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities().with_batched_reads(true)
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        assert!(self.get_is_fine.load(Ordering::Relaxed), "one block was asked for: {cid}");
        self.store.get(cid)
    }

    fn get_many(&self, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        self.requests.lock().unwrap().push(cids.len());
        let mut order: Vec<usize> = (0..cids.len()).collect();
        match self.answers {
            Answers::InOrder => {}
            Answers::Reversed => order.reverse(),
            Answers::First => order.truncate(1),
        }
        for index in order {
            let data = self.store.get(&cids[index])?;
            self.answered.fetch_add(1, Ordering::Relaxed);
            self.answered_bytes.fetch_add(data.as_ref().map_or(0, |data| data.len() as u64), Ordering::Relaxed);
            if f(index, data).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.store.put(cid, data)
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        self.store.put_trusted(cid, data)
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.store.delete(cid)
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        self.store.cids()
    }
}

fn node(store: &dyn Blockstore, links: &[Cid]) -> Cid {
    let mut data = match u8::try_from(links.len()) {
        Ok(len @ 0..24) => vec![0x80 + len],
        Ok(len) => vec![0x98, len],
        Err(_) => [&[0x99], &u16::try_from(links.len()).unwrap().to_be_bytes()[..]].concat(),
    };
    for link in links {
        let cid = link.to_bytes();
        data.extend([0xd8, 0x2a, 0x58, u8::try_from(cid.len() + 1).unwrap(), 0]);
        data.extend(cid);
    }
    let cid = cid_of(DAG_CBOR, &data);
    store.put(&cid, data.into()).unwrap();
    cid
}

fn leaf(store: &dyn Blockstore, text: String) -> Cid {
    store.put_as(RAW, Bytes::from(text)).unwrap()
}

/// Branches with leaves, some of them shared by several branches, and a chain through all branches.
fn graph(store: &dyn Blockstore) -> (Cid, Vec<Cid>) {
    let shared: Vec<Cid> = (0..40).map(|n| leaf(store, format!("shared {n}"))).collect();
    let mut all = shared.clone();
    let (mut branches, mut before) = (shared[..3].to_vec(), None);
    for n in 0..40_usize {
        let mut links: Vec<Cid> = (0..30).map(|leaf_of| leaf(store, format!("leaf {n} {leaf_of}"))).collect();
        all.extend(&links);
        links.insert(n % 7, shared[(n * 11) % 40]);
        links.extend(before);
        let branch = node(store, &links);
        before = Some(branch);
        branches.push(branch);
    }
    branches.extend(&shared);
    all.extend(&branches[3..43]);
    (node(store, &branches), all)
}

/// The items of a walk, with errors as text.
fn walked(store: &Watched, root: Cid) -> Vec<Result<(Cid, Bytes), String>> {
    Walk::new(store, root).map(|item| item.map_err(|error| format!("{error:?}"))).collect()
}

#[test]
fn a_walk_asks_for_many_blocks_at_once_and_keeps_its_order() {
    let alone = Watched::new(Answers::First);
    let (root, all) = graph(&alone);
    let expected = walked(&alone, root);
    assert_eq!(expected.len(), all.len() + 1);
    assert_eq!(alone.requests().len(), expected.len(), "a request for each block");
    for answers in [Answers::InOrder, Answers::Reversed] {
        let store = Watched::new(answers);
        graph(&store);
        assert_eq!(walked(&store, root), expected, "{answers:?}");
        let requests = store.requests();
        assert!(requests.len() < expected.len() / 8, "{answers:?}: {} requests", requests.len());
        assert!(requests.iter().all(|blocks| *blocks <= REQUEST_BLOCKS_MAX), "{answers:?}: {requests:?}");
        assert!(requests.contains(&REQUEST_BLOCKS_MAX), "{answers:?}: {requests:?}");
        assert_eq!(store.answered.load(Ordering::Relaxed), expected.len() as u64, "no block is read twice");
    }
}

#[test]
fn what_is_read_ahead_is_bounded_in_blocks_and_bytes() {
    for (blocks, block_bytes) in [(1000, 10), (60, 300_000), (12, 3 << 20)] {
        for answers in [Answers::InOrder, Answers::Reversed] {
            let store = Watched::new(answers);
            // A block that was not answered in time is read individually.
            store.get_is_fine.store(true, Ordering::Relaxed);
            let put = |n: usize| store.put_as(RAW, Bytes::from(vec![n as u8 ^ (n >> 8) as u8; block_bytes + n]));
            let cids: Vec<Cid> = (0..blocks).map(|n| put(n).unwrap()).collect();
            let root = node(&store, &cids);
            let (mut taken, mut taken_bytes) = (0, 0);
            for item in Walk::new(&store, root) {
                let (_, data) = item.unwrap();
                taken += 1;
                taken_bytes += data.len() as u64;
                let kept = store.answered.load(Ordering::Relaxed).saturating_sub(taken);
                let kept_bytes = store.answered_bytes.load(Ordering::Relaxed).saturating_sub(taken_bytes);
                assert!(kept <= KEPT_BLOCKS_MAX as u64, "{answers:?}: {kept} blocks");
                assert!(
                    kept_bytes <= KEPT_BYTES_MAX + (block_bytes + blocks) as u64,
                    "{answers:?}: {kept_bytes} bytes"
                );
            }
            assert_eq!(taken, blocks as u64 + 1);
        }
    }
}

#[test]
fn a_walk_that_is_left_early_has_read_one_request() {
    let store = Watched::new(Answers::InOrder);
    let cids: Vec<Cid> = (0..1000).map(|n| leaf(&store, format!("{n}"))).collect();
    let root = node(&store, &cids);
    assert_eq!(Walk::new(&store, root).take(2).count(), 2);
    assert_eq!(store.requests(), [1, REQUEST_BLOCKS_MAX]);
}

#[test]
fn missing_and_damaged_blocks_are_the_same_errors_in_the_same_places() {
    let fresh = |answers| {
        let store = Watched::new(answers);
        let (root, all) = graph(&store);
        for (n, cid) in all.iter().enumerate() {
            match n % 50 {
                3 | 4 => store.delete(cid).unwrap(),
                17 | 20 => {
                    store.delete(cid).unwrap();
                    store.put_trusted(cid, Bytes::from_static(b"damage")).unwrap();
                }
                _ => {}
            }
        }
        store.get_is_fine.store(true, Ordering::Relaxed);
        (store, root)
    };
    let (alone, root) = fresh(Answers::First);
    let expected = walked(&alone, root);
    let errors = |text: &str| expected.iter().filter(|item| item.as_ref().is_err_and(|e| e.contains(text))).count();
    assert!(errors("MissingBlock") > 20 && errors("Corrupt") > 20, "both kinds are among them");
    for answers in [Answers::InOrder, Answers::Reversed] {
        let (store, _) = fresh(answers);
        assert_eq!(walked(&store, root), expected, "{answers:?}");
    }
}

#[test]
fn a_closed_store_is_an_error_of_the_block_that_was_asked_for() {
    let store = Watched::new(Answers::InOrder);
    store.get_is_fine.store(true, Ordering::Relaxed);
    let cids = ["one", "two", "three"].map(|text| leaf(&store.store, text.into()));
    let mut ahead = FetchAhead::new();
    let next = |n: usize| cids[n + 1..].iter().copied();
    assert!(ahead.get(&store, &cids[0], next(0)).unwrap().is_some());
    mnem_store_traits::Store::close(&store.store).unwrap();
    // Read before the store was closed.
    assert!(ahead.get(&store, &cids[1], next(1)).unwrap().is_some());
    assert!(ahead.get(&store, &cids[2], next(2)).unwrap().is_some());
    let error = ahead.get(&store, &cids[0], next(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[test]
fn cids_that_look_alike_are_told_apart() {
    let store = Watched::new(Answers::InOrder);
    // Identity CIDs with the same codec and the same last bytes of the digest.
    let alike: Vec<Cid> = ["a: the same end", "b: the same end"]
        .iter()
        .map(|text| {
            let hash = mnem_store_traits::supported_hashes().iter().find(|function| function.code() == 0).unwrap();
            let cid = Cid::new_v1(RAW, hash.multihash(text.as_bytes()).unwrap());
            store.store.put(&cid, Bytes::from(*text)).unwrap();
            cid
        })
        .collect();
    let other = leaf(&store.store, "other".into());
    let mut ahead = FetchAhead::new();
    let mut get = |cid: &Cid, next: &[Cid]| ahead.get(&store, cid, next.iter().copied()).unwrap().unwrap();
    assert_eq!(get(&other, &alike), "other");
    assert_eq!(get(&alike[1], &alike[..1]), "b: the same end");
    assert_eq!(get(&alike[0], &[]), "a: the same end");
}

/// If a request costs as little as a call, blocks are read only when they are needed.
#[test]
fn a_store_that_claims_no_batched_reads_is_asked_for_each_block_alone() {
    #[derive(Debug)]
    struct Alone(MemoryStore);

    impl Blockstore for Alone {
        fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
            self.0.get(cid)
        }
        fn get_many(&self, cids: &[Cid], _: &mut OnBlock<'_>) -> Result<(), StoreError> {
            panic!("{} blocks were asked for", cids.len());
        }
        fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
            self.0.put(cid, data)
        }
        fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
            self.0.delete(cid)
        }
        fn cids(&self) -> Result<CidIter<'_>, StoreError> {
            self.0.cids()
        }
    }

    let store = Alone(MemoryStore::new());
    let cids = ["one", "two", "three"].map(|text| store.put_as(RAW, Bytes::from(text)).unwrap());
    let mut ahead = FetchAhead::new();
    for (n, cid) in cids.iter().enumerate() {
        assert!(ahead.get(&store, cid, cids[n + 1..].iter().copied()).unwrap().is_some());
    }
}
