//! Batches large enough that several threads check them.

use mnem_store_traits::{Bytes, Cid, RAW, StoreError, WriteBatch, backend::drain_checked, cid_of};

const BLOCK_BYTES: usize = 64 * 1024;
const BLOCKS: usize = 320;
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// 20 MiB of blocks. At the indices in `bad`, the bytes do not match the CID.
fn blocks(bad: &[usize]) -> Vec<(Cid, Bytes)> {
    let block = |n: usize| {
        let mut data = vec![n as u8; BLOCK_BYTES];
        data[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let cid = cid_of(RAW, &data);
        if bad.contains(&n) {
            data[BLOCK_BYTES - 1] ^= 1;
        }
        (cid, Bytes::from(data))
    };
    (0..BLOCKS).map(block).collect()
}

fn mismatch<T>(result: Result<T, StoreError>) -> Cid {
    match result {
        Err(StoreError::CidMismatch { cid, .. }) => cid,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("nothing was found"),
    }
}

#[test]
fn good_batches_pass_whole_and_in_order() {
    let blocks = blocks(&[]);
    let drained = drain_checked(&mut blocks.iter().cloned().map(Ok), BYTES_MAX).expect("good blocks");
    assert_eq!(drained, blocks);
    let mut batch = WriteBatch::new();
    batch.extend(blocks);
    batch.check(BYTES_MAX).expect("good blocks");
}

#[test]
fn the_first_bad_block_is_the_one_that_is_named() {
    for bad in [[0, 319], [17, 18], [159, 160], [318, 319], [120, 300]] {
        let blocks = blocks(&bad);
        let first = blocks[bad[0]].0;
        assert_eq!(mismatch(drain_checked(&mut blocks.iter().cloned().map(Ok), BYTES_MAX)), first);
        let mut batch = WriteBatch::new();
        batch.extend(blocks);
        assert_eq!(mismatch(batch.check(BYTES_MAX)), first);
    }
}

#[test]
fn a_bad_block_before_the_iterators_error_is_named_first() {
    let failing = |bad: &[usize]| {
        let end = StoreError::InvalidArgument { operation: "test", reason: "the iterator's own".into() };
        drain_checked(&mut blocks(bad).into_iter().map(Ok).chain([Err(end)]), BYTES_MAX)
    };
    assert_eq!(mismatch(failing(&[5])), blocks(&[])[5].0);
    assert!(matches!(failing(&[]), Err(StoreError::InvalidArgument { .. })));
}

#[test]
fn a_bad_block_ends_an_endless_batch() {
    let good = blocks(&[]);
    let bad = blocks(&[200])[200].clone();
    let mut endless = good.iter().cloned().cycle().take(150).chain([bad.clone()]).chain(good.iter().cloned().cycle());
    assert_eq!(mismatch(drain_checked(&mut (&mut endless).map(Ok), BYTES_MAX)), bad.0);
}

#[test]
fn blocks_that_are_too_large_are_refused_among_many() {
    let limit = BLOCK_BYTES as u64 - 1;
    let blocks = blocks(&[]);
    let refused = drain_checked(&mut blocks.iter().cloned().map(Ok), limit);
    assert!(matches!(refused, Err(StoreError::BlockTooLarge { cid, .. }) if cid == blocks[0].0));
}
