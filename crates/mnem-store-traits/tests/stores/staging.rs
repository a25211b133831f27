//! What `Buffered` counts as staged, and how it keeps its limit.

use mnem_store_traits::{Blockstore, Buffered, Bytes, Cid, ErrorKind, MemoryStore, OpHeadsStore, RAW, cid_of};

fn sized(len: usize) -> (Cid, Bytes) {
    let data = Bytes::from(vec![7; len]);
    (cid_of(RAW, &data), data)
}

fn put(store: &impl Blockstore, (cid, data): &(Cid, Bytes)) {
    store.put(cid, data.clone()).expect("a put");
}

/// A store with a block of one byte, and a batch with that block and two others.
fn three() -> (MemoryStore, [(Cid, Bytes); 3]) {
    let store = MemoryStore::new();
    let blocks = [sized(1), sized(1_000), sized(3_000)];
    put(&store, &blocks[0]);
    (store, blocks)
}

#[test]
fn what_is_staged_counts_until_it_is_deleted_or_lands() {
    let (store, [below, small, large]) = three();
    let buffered = Buffered::new(store);
    let mut counts = vec![buffered.staged_bytes()];
    for block in [&below, &small, &large] {
        for _ in 0..2 {
            put(&buffered, block);
        }
        counts.push(buffered.staged_bytes());
    }
    assert!(counts[0] == 0 && counts[1] > 0, "{counts:?}");
    assert_eq!(counts[2] - counts[1], counts[1] + small.1.len(), "a name costs the same each time: {counts:?}");
    assert_eq!(counts[3] - counts[2], counts[1] + large.1.len(), "a name costs the same each time: {counts:?}");

    let refused = buffered.swap(&[below.0], &small.0).expect_err("a swap that expects a head");
    assert_eq!(refused.kind(), ErrorKind::HeadsMoved);
    assert_eq!(buffered.staged_bytes(), counts[3], "after a refused swap");

    buffered.delete(&large.0).expect("a delete");
    assert_eq!(buffered.staged_bytes(), counts[2], "after a delete of a staged block");
    buffered.delete_many(&mut std::iter::once(Ok(below.0))).expect("a delete");
    assert_eq!(buffered.staged_bytes(), counts[2] - counts[1], "after a delete of a required block");
    buffered.flush().expect("a flush");
    assert_eq!(buffered.staged_bytes(), 0, "after a flush");
}

#[test]
fn the_bound_is_64_mib() {
    assert_eq!(Buffered::<MemoryStore>::STAGED_BYTES_MAX, 67_108_864);
}

/// A batch that just fits stays staged; with a limit one byte lower, it does not fit.
#[test]
fn a_batch_lands_if_it_is_a_byte_too_large() {
    let (store, blocks) = three();
    let wide = Buffered::new(store);
    blocks.iter().for_each(|block| put(&wide, block));
    let all = wide.staged_bytes();
    for (bound, stays) in [(all, true), (all - 1, false)] {
        let (store, [below, small, large]) = three();
        let buffered = Buffered::with_bound(store.clone(), bound);
        put(&buffered, &small);
        // Staging `small` again costs nothing.
        let mut batch = [&below, &small, &large].into_iter().map(|(cid, data)| Ok((*cid, data.clone())));
        buffered.put_many(&mut batch).expect("put_many");
        assert_eq!(buffered.staged_bytes(), if stays { all } else { 0 }, "with a bound of {bound}");
        for (cid, _) in [&small, &large] {
            assert_eq!(store.has(cid).expect("has"), !stays, "with a bound of {bound}");
        }
    }
}

/// If a required block is put later, the put meets the requirement.
#[test]
fn a_block_that_is_gone_below_is_staged_in_place_of_its_requirement() {
    let (store, [below, ..]) = three();
    let buffered = Buffered::new(store.clone());
    put(&buffered, &below);
    let required = buffered.staged_bytes();
    store.delete(&below.0).expect("a delete below");
    put(&buffered, &below);
    assert_eq!(buffered.staged_bytes(), required + below.1.len());
    buffered.flush().expect("a flush");
    assert!(store.has(&below.0).expect("has") && buffered.staged_bytes() == 0);
}
