//! A power cut that leaves exactly the synced state: everything acknowledged is there, and each sync is necessary for
//! that.

use std::{path::Path, sync::Arc};

use mnem_backend_simple::{OpenOptions, SimpleStore};
use mnem_store_traits::{Blockstore, Bytes, Durability, OpHeadsStore, Store, StoreError, WriteBatch};

use crate::support::{block, head, memory_fs::MemoryFs, traced::Traced};

const ROOT: &str = "/store";

struct Scenario {
    name: &'static str,
    /// Prepares the store, without faults and synced.
    before: fn(&SimpleStore),
    /// The operation. Its syncs are skipped, one at a time.
    act: fn(&SimpleStore) -> Result<(), StoreError>,
    /// Whether everything acknowledged is there.
    holds: fn(&SimpleStore) -> bool,
}

fn has(store: &SimpleStore, n: u64) -> bool {
    matches!(store.get(&block(n).0), Ok(Some(data)) if data == block(n).1)
}

fn row(key: &'static [u8]) -> (Bytes, Bytes) {
    (Bytes::from_static(key), Bytes::from_static(b"value"))
}

const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "put",
        before: |_| (),
        act: |store| store.put(&block(1).0, block(1).1),
        holds: |store| has(store, 1),
    },
    Scenario {
        name: "put_many",
        before: |_| (),
        act: |store| store.put_many(&mut (0..4).map(block).map(Ok)),
        holds: |store| (0..4).all(|n| has(store, n)),
    },
    Scenario {
        name: "commit",
        before: |_| (),
        act: |store| store.commit(WriteBatch::new().put(block(1).0, block(1).1).update(block(1).0, [])),
        holds: |store| has(store, 1) && store.heads().is_ok_and(|heads| heads == [block(1).0]),
    },
    Scenario {
        name: "update",
        before: |store| store.update(&head(1), &[]).unwrap(),
        act: |store| store.update(&head(2), &[head(1)]),
        holds: |store| store.heads().is_ok_and(|heads| heads == [head(2)]),
    },
    Scenario {
        name: "swap",
        before: |store| store.update(&head(1), &[]).unwrap(),
        act: |store| store.swap(&[head(1)], &head(2)),
        holds: |store| store.heads().is_ok_and(|heads| heads == [head(2)]),
    },
    Scenario {
        name: "delete",
        before: |store| store.put(&block(1).0, block(1).1).unwrap(),
        act: |store| store.delete(&block(1).0),
        holds: |store| matches!(store.get(&block(1).0), Ok(None)),
    },
    Scenario {
        name: "write a row",
        before: |_| (),
        act: |store| store.side_table("t")?.write(&[row(b"a")], &[]),
        holds: |store| store.side_table("t").unwrap().get(b"a").is_ok_and(|value| value == Some(row(b"a").1)),
    },
    Scenario {
        name: "delete a row",
        before: |store| store.side_table("t").unwrap().write(&[row(b"a"), row(b"b")], &[]).unwrap(),
        act: |store| store.side_table("t")?.write(&[], &[Bytes::from_static(b"a")]),
        holds: |store| store.side_table("t").unwrap().get(b"a").is_ok_and(|value| value.is_none()),
    },
];

fn open(fs: &MemoryFs, options: OpenOptions) -> (Traced, SimpleStore) {
    let traced = Traced::new(Arc::new(fs.clone()), Path::new(ROOT));
    let store = options.open_on(Arc::new(traced.clone()), ROOT).unwrap();
    (traced, store)
}

fn after_power_cut(fs: &MemoryFs) -> SimpleStore {
    open(&fs.after_power_cut(), OpenOptions::new()).1
}

#[test]
fn what_was_acknowledged_survives_and_each_sync_is_needed() {
    for Scenario { name, before, act, holds } in &SCENARIOS {
        let mut syncs = 0;
        loop {
            let fs = MemoryFs::new();
            let (traced, store) = open(&fs, OpenOptions::new().create(true));
            before(&store);
            if syncs > 0 {
                traced.forget("sync", syncs - 1);
            }
            act(&store).unwrap();
            let forgotten = syncs > 0 && traced.all_plans_used();
            let survived = holds(&after_power_cut(&fs));
            if syncs > 0 && !forgotten {
                break;
            }
            assert_eq!(survived, !forgotten, "{name}: with sync {syncs} forgotten (0: none)");
            syncs += 1;
        }
        assert!(syncs > 1, "{name} syncs nothing");
    }
}

#[test]
fn a_store_is_there_once_it_was_opened() {
    let mut syncs = 0;
    loop {
        let fs = MemoryFs::new();
        let traced = Traced::new(Arc::new(fs.clone()), Path::new(ROOT));
        traced.forget("sync", syncs);
        OpenOptions::new().create(true).open_on(Arc::new(traced.clone()), ROOT).unwrap();
        if !traced.all_plans_used() {
            break;
        }
        let reopened = OpenOptions::new().open_on(Arc::new(fs.after_power_cut()), ROOT);
        let shards = syncs == 7;
        let names_before_the_format = syncs == 4;
        // Syncs of folders with nothing new in them, which only test whether folders can be synced.
        let looks = [0, 2].contains(&syncs);
        assert_eq!(
            reopened.is_ok_and(|store| store.heads().is_ok_and(|heads| heads.is_empty())),
            shards || names_before_the_format || looks,
            "with sync {syncs} forgotten"
        );
        syncs += 1;
    }
    // A test of the parent; the parent; a test of the store's folder; the text of the heads; their name; the text of
    // the format; its name, as in every open; the shards.
    assert_eq!(syncs, 8);
}

#[test]
fn a_power_cut_during_creation_leaves_what_the_next_one_completes() {
    for calls in 0.. {
        let fs = MemoryFs::new();
        let traced = Traced::new(Arc::new(fs.clone()), Path::new(ROOT));
        traced.fail("", calls);
        let created = OpenOptions::new().create(true).open_on(Arc::new(traced.clone()), ROOT);
        if !traced.all_plans_used() {
            created.unwrap();
            break;
        }
        let (_, store) = open(&fs.after_power_cut(), OpenOptions::new().create(true));
        store.update(&head(1), &[]).unwrap();
        assert_eq!(store.heads().unwrap(), [head(1)]);
    }
}

#[test]
fn a_block_that_another_handle_put_and_did_not_sync_is_durable_once_acknowledged() {
    // The writer is killed, in effect, before each sync of a folder in turn.
    for shard_synced in [false, true] {
        let fs = MemoryFs::new();
        let (traced, writer) = open(&fs, OpenOptions::new().create(true));
        let (_, second) = open(&fs, OpenOptions::new());
        traced.fail("sync folder", usize::from(shard_synced));
        writer.put(&block(1).0, block(1).1).unwrap_err();
        assert!(writer.has(&block(1).0).unwrap(), "it is visible before it is durable");
        assert!(!has(&after_power_cut(&fs), 1));
        second.put(&block(1).0, block(1).1).unwrap();
        assert!(has(&after_power_cut(&fs), 1));
    }
}

#[test]
fn a_batch_that_syncs_the_whole_file_system_syncs_the_files_before_anybody_can_find_them() {
    let whole = || OpenOptions::new().create(true).whole_sync_from(1);
    for forgotten in [false, true] {
        let fs = MemoryFs::new();
        let (traced, writer) = open(&fs, whole());
        let (_, second) = open(&fs, OpenOptions::new());
        // The batch gives its files their names and stops; another handle relies on one of them, and syncs only its
        // name.
        if forgotten {
            traced.forget("sync everything", 0);
            traced.fail("sync everything", 0);
        } else {
            traced.fail("sync everything", 1);
        }
        writer.put_many(&mut (0..4).map(block).map(Ok)).unwrap_err();
        assert!(traced.all_plans_used());
        second.put(&block(1).0, block(1).1).unwrap();
        assert_eq!(has(&after_power_cut(&fs), 1), !forgotten);
    }
}

#[test]
fn a_batch_that_syncs_the_whole_file_system_is_durable_once_acknowledged() {
    for forgotten in [false, true] {
        let fs = MemoryFs::new();
        let (traced, store) = open(&fs, OpenOptions::new().create(true).whole_sync_from(1));
        if forgotten {
            traced.forget("sync everything", 1);
        }
        store.put_many(&mut (0..4).map(block).map(Ok)).unwrap();
        assert!((0..4).all(|n| has(&after_power_cut(&fs), n) != forgotten));
    }
}

#[test]
fn a_commit_makes_durable_what_it_requires() {
    let fs = MemoryFs::new();
    let (traced, writer) = open(&fs, OpenOptions::new().create(true));
    let (_, second) = open(&fs, OpenOptions::new());
    traced.fail("sync folder", 0);
    writer.put(&block(1).0, block(1).1).unwrap_err();
    second.commit(WriteBatch::new().require(block(1).0).update(block(1).0, [])).unwrap();
    let after = after_power_cut(&fs);
    assert!(has(&after, 1));
    assert_eq!(after.heads().unwrap(), [block(1).0]);
}

#[test]
fn a_block_of_a_handle_that_syncs_nothing_is_made_durable_by_one_that_does() {
    let fs = MemoryFs::new();
    open(&fs, OpenOptions::new().create(true));
    let (_, strict) = open(&fs, OpenOptions::new());
    let (_, weak) = open(&fs, OpenOptions::new().durability(Durability::Process));
    weak.put_many(&mut (1..4).map(block).map(Ok)).unwrap();
    assert!(!has(&after_power_cut(&fs), 1));
    strict.put(&block(1).0, block(1).1).unwrap();
    strict.commit(WriteBatch::new().put(block(2).0, block(2).1).require(block(3).0).update(block(2).0, [])).unwrap();
    let after = after_power_cut(&fs);
    assert!((1..4).all(|n| has(&after, n)));
    assert_eq!(after.heads().unwrap(), [block(2).0]);
}

#[test]
fn the_last_row_is_never_there_without_the_ones_before_it() {
    // Whichever call is the last one before the power cut.
    for calls in 0.. {
        let fs = MemoryFs::new();
        let (traced, store) = open(&fs, OpenOptions::new().create(true));
        let table = store.side_table("t").unwrap();
        traced.fail("", calls);
        let result = table.write(&[row(b"part 1"), row(b"part 2"), row(b"manifest")], &[]);
        if !traced.all_plans_used() {
            result.unwrap();
            break;
        }
        let after = after_power_cut(&fs);
        let table = after.side_table("t").unwrap();
        let there: Vec<bool> =
            [&b"part 1"[..], b"part 2", b"manifest"].map(|key| table.get(key).unwrap().is_some()).to_vec();
        assert!(there.is_sorted_by(|before, after| before >= after), "call {calls}: {there:?}");
    }
}
