//! The `Debug` output of stores and batches is short, because traces and failed assertions contain all of it.

use mnem_store_traits::{Blockstore, Buffered, Bytes, MemoryStore, OpHeadsStore, RAW, WriteBatch, cid_of};

const BLOCKS: usize = 1_000;

fn blocks() -> impl Iterator<Item = (mnem_store_traits::Cid, Bytes)> {
    (0..BLOCKS).map(|n| {
        let data = Bytes::from(format!("secret {n:04}"));
        (cid_of(RAW, &data), data)
    })
}

#[track_caller]
fn is_short_and_counts(printed: &str) {
    assert!(!printed.contains("secret"), "it prints what blocks hold: {printed}");
    assert!(printed.len() < 500, "it grows with what it holds: {printed}");
    assert!(printed.contains("1000") && printed.contains(&(BLOCKS * 11).to_string()), "no counts: {printed}");
}

#[test]
fn a_store_prints_how_much_it_holds_and_not_what() {
    let store = MemoryStore::new();
    store.put_many(&mut blocks().map(Ok)).expect("put_many");
    let head = cid_of(RAW, b"head");
    store.update(&head, &[]).expect("update");
    is_short_and_counts(&format!("{store:?}"));
    assert!(format!("{store:?}").contains("heads: 1"));
}

#[test]
fn a_buffer_prints_how_much_is_staged_and_not_what() {
    let buffered = Buffered::new(MemoryStore::new());
    blocks().for_each(|(cid, data)| buffered.put(&cid, data).expect("put"));
    let printed = format!("{buffered:?}");
    assert!(!printed.contains("secret") && printed.len() < 800, "{printed}");
    assert!(printed.contains("blocks: 1000") && printed.contains(&buffered.staged_bytes().to_string()), "{printed}");
}

#[test]
fn a_batch_prints_how_much_it_is_and_its_head() {
    let head = cid_of(RAW, b"head");
    let mut batch = WriteBatch::new();
    batch.update(head, []);
    batch.extend(blocks());
    is_short_and_counts(&format!("{batch:?}"));
    assert!(format!("{batch:?}").contains(&head.to_string()), "{batch:?}");
    let put = format!("{:?}", batch.puts()[0]);
    assert!(!put.contains("secret") && put.contains(&batch.puts()[0].cid.to_string()), "{put}");
}
