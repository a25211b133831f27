//! Compaction keeps the content, whatever fails and whatever other handles do.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    thread,
    time::Duration,
};

use mnem_backend_bucket::BucketStore;
use mnem_store_traits::{
    Blockstore, Bytes, Cid, ErrorKind, OpHeadsStore, Store, StoreError, WriteBatch, conformance::Fault,
};

use crate::{
    checkpoints::{Answers, answers, checkpoints, commit},
    medium::{Medium, quick},
    packs::{batch, blocks, packs},
    protocol::{block, open},
};

/// A handle whose compactions delete at once what nobody uses.
fn at_once(medium: &Medium) -> BucketStore {
    quick().grace(Duration::ZERO).open_in(medium.connect(), "").unwrap()
}

/// What a store answers, but for the number of entries.
fn content(store: &BucketStore) -> Answers {
    let (_, heads, cids, data, keys, values) = answers(store);
    (0, heads, cids, data, keys, values)
}

fn entries(medium: &Medium) -> Vec<String> {
    medium.names().into_iter().filter(|name| name.starts_with("log/")).collect()
}

fn bytes(medium: &Medium, folder: &str) -> usize {
    let names = medium.names().into_iter().filter(|name| name.starts_with(folder));
    names.map(|name| medium.read(&name).unwrap().len()).sum()
}

/// The content of a store that is opened without checkpoints.
fn replayed(medium: &Medium) -> Answers {
    let saved: Vec<_> = checkpoints(medium).into_iter().map(|name| (medium.read(&name).unwrap(), name)).collect();
    saved.iter().for_each(|(_, name)| medium.remove(name));
    let found = content(&open(medium));
    saved.into_iter().for_each(|(bytes, name)| medium.write(&name, bytes));
    found
}

#[test]
fn small_commits_become_a_pack_and_short_tombstones() {
    let medium = Medium::default();
    let store = at_once(&medium);
    commit(&store, 0..150);
    for part in blocks(480, 300).chunks(12) {
        store.put_many(&mut part.iter().cloned().map(Ok)).unwrap();
    }
    let (expected, log, slots) = (content(&store), bytes(&medium, "log/"), entries(&medium));
    let reclaimed = store.compact().unwrap();
    assert_eq!(packs(&medium).len(), 1);
    assert_eq!(entries(&medium).len(), slots.len() + 1, "no slot is freed");
    assert!(bytes(&medium, "log/") < log / 2, "{} of {log}", bytes(&medium, "log/"));
    let mnem = medium.read("mnem").unwrap().len();
    assert_eq!(reclaimed.before_bytes, (log + mnem) as u64);
    assert_eq!(reclaimed.after_bytes, (bytes(&medium, "log/") + bytes(&medium, "pack/") + mnem) as u64);
    assert_eq!((reclaimed.pending_bytes, reclaimed.nothing_to_do), (0, None));
    assert_eq!(store.info().unwrap().file_bytes, reclaimed.after_bytes);
    assert!(content(&store) == expected);
    assert_eq!(checkpoints(&medium).len(), 1);
    assert!(content(&open(&medium)) == expected);
    assert_eq!(open(&medium).info().unwrap().file_bytes, reclaimed.after_bytes);
    assert!(replayed(&medium) == expected);
    // A handle that has read nothing yet looks for entries, and reads one object.
    let cold = open(&medium);
    let cids: Vec<Cid> = cold.cids().unwrap().map(Result::unwrap).collect();
    let (requests, mut found) = (medium.requests().0, 0);
    cold.get_many(&cids, &mut |_, data| {
        found += u32::from(data.is_some());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(found as usize, cids.len());
    assert!(medium.requests().0 - requests <= 2, "{}", medium.requests().0 - requests);
    // There is nothing more to do, and nothing is written but the object that tells the time.
    let (names, objects) = (medium.names(), bytes(&medium, ""));
    let again = store.compact().unwrap();
    assert!(again.nothing_to_do.is_some() && again.after_bytes == reclaimed.after_bytes);
    assert!(medium.names() == names && bytes(&medium, "") == objects);
    // It goes on from there.
    commit(&store, 150..260);
    let expected = content(&store);
    assert!(store.compact().unwrap().nothing_to_do.is_none());
    assert!(content(&open(&medium)) == expected && replayed(&medium) == expected);
    assert_eq!(packs(&medium).len(), 1, "the small pack was compacted too");
}

/// A handle sees the right content however old it is, reads blocks at their new places, and writes at the end of the log.
#[test]
fn old_handles_read_on_over_tombstones() {
    let medium = Medium::default();
    let (writer, mut old) = (at_once(&medium), vec![open(&medium)]);
    for begin in [0, 20, 40] {
        commit(&writer, begin..begin + 20);
        let handle = open(&medium);
        let cids: Vec<_> = handle.cids().unwrap().map(Result::unwrap).collect();
        assert_eq!(handle.get(&cids[0]).unwrap(), Some(block(0).1));
        old.push(handle);
    }
    writer.compact().unwrap();
    commit(&writer, 60..80);
    writer.compact().unwrap();
    let expected = content(&writer);
    for (n, handle) in old.iter().enumerate() {
        assert_eq!(handle.get(&block(1).0).unwrap(), Some(block(1).1));
        assert!(content(handle) == expected, "{n}");
        assert_eq!(handle.log_entries().unwrap(), writer.log_entries().unwrap());
    }
    // One that has not looked since writes.
    let late = open(&medium);
    commit(&writer, 80..90);
    writer.compact().unwrap();
    let (count, (cid, data)) = (writer.log_entries().unwrap(), block(1000));
    late.put(&cid, data.clone()).unwrap();
    assert_eq!(late.log_entries().unwrap(), count + 1);
    assert_eq!(writer.get(&cid).unwrap(), Some(data));
}

/// What a tombstone needs comes later in the log. If that is missing, it is no end of the log.
#[test]
fn a_log_that_ends_before_the_compaction_is_damage() {
    let medium = Medium::default();
    let (store, old) = (at_once(&medium), open(&medium));
    commit(&store, 0..10);
    store.compact().unwrap();
    medium.remove(entries(&medium).last().unwrap());
    checkpoints(&medium).iter().for_each(|name| medium.remove(name));
    let error = old.heads().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.in_full().to_string().contains("tombstones"), "{}", error.in_full());
    let error = quick().create(false).open_in(medium.connect(), "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn a_half_used_pack_is_compacted_and_deleted_after_the_grace_period() {
    let medium = Medium::default();
    let (store, reader) = (open(&medium), open(&medium));
    let all = blocks(200, 64 * 1024);
    store.commit(&batch(&all)).unwrap();
    let whole = packs(&medium);
    assert_eq!(whole.len(), 1);
    assert!(store.compact().unwrap().nothing_to_do.is_some(), "it is full");
    let (kept, gone) = all.split_at(60);
    store.delete_many(&mut gone.iter().map(|(cid, _)| Ok(*cid))).unwrap();
    assert_eq!(reader.get(&all[0].0).unwrap().as_ref(), Some(&all[0].1));
    let reclaimed = store.compact().unwrap();
    let size = medium.read(&whole[0]).unwrap().len() as u64;
    assert_eq!(reclaimed.pending_bytes, size, "it is kept for readers");
    assert_eq!(packs(&medium).len(), 2);
    medium.pass(Duration::from_secs(3598));
    let early = store.compact().unwrap();
    assert!(early.pending_bytes == size && early.nothing_to_do.is_some_and(|why| why.contains("kept")));
    medium.pass(Duration::from_secs(3));
    let after = store.compact().unwrap();
    assert_eq!((after.pending_bytes, after.nothing_to_do), (0, None));
    assert_eq!(after.after_bytes, reclaimed.after_bytes - size);
    assert!(!packs(&medium).contains(&whole[0]));
    // It still knows the old place, and looks again.
    for (cid, data) in kept {
        assert_eq!(reader.get(cid).unwrap().as_ref(), Some(data));
    }
    assert_eq!(reader.cids().unwrap().count(), kept.len());
    assert!(replayed(&medium) == content(&store));
}

/// The same blocks come again: their pack has another name than the one that is deleted.
#[test]
fn a_dropped_pack_is_never_named_again() {
    let medium = Medium::default();
    let (store, other) = (open(&medium), open(&medium));
    let all = blocks(20, 64 * 1024);
    for round in 0..3 {
        store.commit(&batch(&all)).unwrap();
        store.delete_many(&mut all.iter().map(|(cid, _)| Ok(*cid))).unwrap();
        let dropped = packs(&medium);
        assert_eq!(store.compact().unwrap().nothing_to_do, None, "{round}");
        other.commit(&batch(&all)).unwrap();
        medium.pass(Duration::from_secs(3601));
        store.compact().unwrap();
        let left = packs(&medium);
        assert!(dropped.iter().all(|pack| !left.contains(pack)), "{round}");
        for (cid, data) in &all {
            assert_eq!(store.get(cid).unwrap().as_ref(), Some(data), "{round}");
        }
        assert!(replayed(&medium) == content(&store));
        store.delete_many(&mut all.iter().map(|(cid, _)| Ok(*cid))).unwrap();
    }
    // From a checkpoint, it is known too.
    let names: BTreeSet<String> = packs(&medium).into_iter().collect();
    at_once(&medium).compact().unwrap();
    assert!(packs(&medium).is_empty());
    open(&medium).commit(&batch(&all)).unwrap();
    assert!(packs(&medium).iter().all(|name| !names.contains(name)));
}

#[test]
fn a_pack_without_an_entry_is_deleted_a_day_later() {
    let medium = Medium::default();
    let store = at_once(&medium);
    let all = blocks(20, 64 * 1024);
    medium.set_fault(Some(Fault::WritesAfter(1)));
    store.commit(&batch(&all)).unwrap_err();
    medium.set_fault(None);
    let orphans = packs(&medium);
    assert_eq!(orphans.len(), 1);
    let store = at_once(&medium);
    medium.pass(Duration::from_secs(24 * 3600 - 2));
    assert!(store.compact().unwrap().nothing_to_do.is_some());
    assert_eq!(packs(&medium), orphans);
    medium.pass(Duration::from_secs(3));
    assert!(store.compact().unwrap().nothing_to_do.is_none());
    assert!(packs(&medium).is_empty());
    // What was interrupted is done again.
    store.commit(&batch(&all)).unwrap();
    assert_eq!(open(&medium).get(&all[7].0).unwrap().as_ref(), Some(&all[7].1));
}

/// A listing goes on while its blocks are moved: each of them once, and none that came later.
#[test]
fn a_listing_under_way_sees_each_block_once() {
    let medium = Medium::default();
    let (store, other) = (at_once(&medium), at_once(&medium));
    let all = blocks(2600, 5);
    for part in all.chunks(1300) {
        store.put_many(&mut part.iter().cloned().map(Ok)).unwrap();
    }
    let mut listing = store.cids().unwrap();
    let mut listed: Vec<Cid> = listing.by_ref().take(10).map(Result::unwrap).collect();
    store.compact().unwrap();
    let (cid, data) = all[2000].clone();
    store.delete(&cid).unwrap();
    store.delete(&all[2001].0).unwrap();
    store.put(&cid, data).unwrap();
    store.put(&block(1).0, block(1).1).unwrap();
    other.compact().unwrap();
    assert!(store.has(&block(2).0).is_ok());
    listed.extend(listing.map(Result::unwrap));
    let mut expected: Vec<Cid> = all.iter().map(|(cid, _)| *cid).collect();
    expected.remove(2001);
    assert!(listed == expected, "{} of {}", listed.len(), expected.len());
    assert_eq!(store.cids().unwrap().count(), expected.len() + 1);
}

/// A damaged block stops the compaction before anything is changed.
#[test]
fn a_damaged_block_is_named_and_nothing_changes() {
    let medium = Medium::default();
    commit(&open(&medium), 0..5);
    let name = &entries(&medium)[2];
    let mut entry = medium.read(name).unwrap().to_vec();
    *entry.last_mut().unwrap() ^= 1;
    medium.write(name, entry);
    let (store, names) = (at_once(&medium), medium.names());
    let error = store.compact().unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { cid, .. } if cid == block(2).0), "{error}");
    assert_eq!(medium.names(), names);
    store.delete(&block(2).0).unwrap();
    store.compact().unwrap();
    assert_eq!(store.get(&block(4).0).unwrap(), Some(block(4).1));
}

#[test]
fn a_reader_does_not_compact() {
    let medium = Medium::default();
    commit(&open(&medium), 0..5);
    let reader = quick().create(false).read_only(true).open_in(medium.connect(), "").unwrap();
    assert_eq!(reader.compact().unwrap_err().kind(), ErrorKind::ReadOnly);
    let store = open(&medium);
    store.close().unwrap();
    assert_eq!(store.compact().unwrap_err().kind(), ErrorKind::Closed);
}

/// A store with loose entries, a half-used pack, rows, and an orphan; and its content.
fn various(medium: &Medium) -> Answers {
    let store = open(medium);
    let large = blocks(8, 64 * 1024);
    store.commit(&batch(&large)).unwrap();
    store.delete_many(&mut large[..6].iter().map(|(cid, _)| Ok(*cid))).unwrap();
    commit(&store, 0..20);
    medium.write(&format!("pack/{}.car", "ab".repeat(32)), "orphan");
    medium.pass(Duration::from_secs(25 * 3600));
    content(&store)
}

/// The power goes off at each write and delete, with the request carried out or not.
#[test]
fn a_compaction_that_is_cut_off_anywhere_loses_nothing() {
    let mut cut = 0;
    for writes in 0.. {
        let mut is_done = true;
        for _ in 0..2 {
            let medium = Medium::default();
            let expected = various(&medium);
            let store = at_once(&medium);
            if writes % 2 == 1 {
                // The other half of the cuts carries the request out.
                medium.cut_power_after(0);
                store.put(&block(900).0, block(900).1).unwrap_err();
            }
            let store = at_once(&medium);
            let expected = if writes % 2 == 1 { content(&store) } else { expected };
            medium.cut_power_after(writes / 2);
            is_done = store.compact().is_ok();
            cut += u32::from(!is_done);
            let again = at_once(&medium);
            assert!(content(&again) == expected, "{writes}");
            assert!(replayed(&medium) == expected, "{writes}");
            again.compact().unwrap();
            assert!(content(&again) == expected && replayed(&medium) == expected, "{writes}");
            assert!(!medium.names().iter().any(|name| name.contains("abab")), "{writes}");
        }
        if is_done {
            break;
        }
    }
    assert!(cut > 40, "{cut}");
}

/// One request after the other is refused, or its answer lost, or reported as a conflict: it is made again.
#[test]
fn a_compaction_whose_requests_fail_once_is_completed() {
    let faults: [fn(u32) -> Fault; 3] = [Fault::AnswerLost, Fault::RequestRefused, Fault::FalseConflict];
    for fault in faults {
        for at in (0..90).step_by(3) {
            let medium = Medium::default();
            let expected = various(&medium);
            let store = at_once(&medium);
            medium.set_fault(Some(fault(at)));
            store.compact().unwrap();
            medium.set_fault(None);
            assert!(content(&store) == expected, "{at}");
            assert!(content(&open(&medium)) == expected && replayed(&medium) == expected, "{at}");
        }
    }
}

/// Threads commit, delete, read and compact through handles of their own.
#[test]
fn compactions_beside_commits_deletes_and_readers_lose_nothing() {
    let medium = Medium::default();
    let stable = blocks(30, 300);
    open(&medium).put_many(&mut stable.iter().cloned().map(Ok)).unwrap();
    thread::scope(|scope| {
        for writer in 0..2 {
            let medium = &medium;
            scope.spawn(move || {
                let store = at_once(medium);
                for n in 0..25 {
                    let (cid, data) = block(writer * 1000 + n);
                    store.commit(WriteBatch::new().put(cid, data).update(cid, [])).unwrap();
                    if n % 3 == 2 {
                        store.delete(&block(writer * 1000 + n - 1).0).unwrap();
                    }
                }
            });
            scope.spawn(move || {
                let store = at_once(medium);
                for _ in 0..8 {
                    store.compact().unwrap();
                }
            });
        }
        let store = open(&medium);
        for _ in 0..20 {
            stable.iter().for_each(|(cid, data)| assert_eq!(store.get(cid).unwrap().as_ref(), Some(data)));
            assert!(store.cids().unwrap().count() >= stable.len());
        }
    });
    let store = at_once(&medium);
    store.compact().unwrap();
    for writer in 0..2 {
        for n in 0..25 {
            let (cid, data) = block(writer * 1000 + n);
            let is_deleted = n % 3 == 1 && n < 24;
            assert_eq!(store.get(&cid).unwrap(), (!is_deleted).then_some(data), "{writer} {n}");
        }
    }
    assert_eq!(store.heads().unwrap().len(), 50);
    assert!(replayed(&medium) == content(&open(&medium)));
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Handles of any age, on a medium that loses answers, against a model: blocks, heads and rows.
#[test]
fn nothing_acknowledged_is_lost_on_a_hostile_medium() {
    for seed in 0..6 {
        let (medium, mut random) = (Medium::hostile(), Random(seed));
        let options = quick().give_up(Duration::from_secs(20)).checkpoint_entries(10);
        let open = |random: &mut Random| {
            let grace = Duration::from_secs(3600 * (random.below(2) as u64));
            options.clone().grace(grace).open_in(medium.connect(), "").unwrap()
        };
        let mut handles = [(); 3].map(|()| open(&mut random));
        let (mut held, mut heads, mut rows) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let large = blocks(12, 40 * 1024);
        for step in 0..150 {
            let (which, n) = (random.below(3), random.below(20));
            let (store, (cid, data)) = (&handles[which], block(n));
            match random.below(12) {
                0..3 => {
                    store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, [])).unwrap();
                    held.insert(cid, data);
                    heads.insert(cid);
                }
                3..5 => {
                    store.delete(&cid).unwrap();
                    held.remove(&cid);
                }
                5 => {
                    let part = &large[random.below(4)..8 + random.below(4)];
                    store.put_many(&mut part.iter().cloned().map(Ok)).unwrap();
                    held.extend(part.iter().cloned());
                }
                6 => {
                    let part = &large[random.below(6)..];
                    store.delete_many(&mut part.iter().map(|(cid, _)| Ok(*cid))).unwrap();
                    part.iter().for_each(|(cid, _)| drop(held.remove(cid)));
                }
                7 => {
                    let table = store.side_table("rows").unwrap();
                    let (key, value) = (Bytes::from(vec![n as u8 % 5]), Bytes::from(format!("{step}")));
                    if random.below(3) == 0 {
                        table.write(&[], std::slice::from_ref(&key)).unwrap();
                        rows.remove(&key);
                    } else {
                        table.write(&[(key.clone(), value.clone())], &[]).unwrap();
                        rows.insert(key, value);
                    }
                }
                8..10 => assert!(store.compact().is_ok()),
                10 => handles[which] = open(&mut random),
                _ => medium.pass(Duration::from_secs(1800)),
            }
            let store = &handles[random.below(3)];
            let (cid, _) = block(random.below(20));
            assert_eq!(store.get(&cid).unwrap().as_ref(), held.get(&cid), "{seed} {step}");
            if step % 10 == 9 {
                let listed: BTreeSet<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
                assert!(listed.iter().eq(held.keys()), "{seed} {step}");
                assert!(listed.iter().all(|cid| store.get(cid).unwrap().as_ref() == held.get(cid)), "{seed} {step}");
                assert!(store.heads().unwrap().iter().eq(&heads), "{seed} {step}");
                let table = store.side_table("rows").unwrap();
                let found: Vec<_> = table.keys(b"").unwrap().map(Result::unwrap).collect();
                assert!(found.iter().eq(rows.keys()), "{seed} {step}");
                assert!(found.iter().all(|key| table.get(key).unwrap().as_ref() == rows.get(key)), "{seed} {step}");
            }
        }
    }
}
