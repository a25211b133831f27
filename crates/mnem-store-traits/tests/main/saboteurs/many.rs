//! Defects of requests for many blocks or their presence, and of deletes of many blocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Mutex,
    time::Duration,
};

use mnem_store_traits::{Blockstore, Bytes, Cid, Cids, MemoryStore, OnBlock, StoreError};

use super::{Defect, defect, lock, saboteurs};

saboteurs! {
    forgets_the_last_of_a_request: ForgetsTheLast => get_many_answers_each_index_once "0 calls";
    answers_a_repeated_block_once: AnswersOnce => get_many_answers_each_index_once "0 calls";
    leaves_out_what_is_absent: LeavesOutAbsent => get_many_answers_each_index_once "0 calls";
    answers_no_more_than_16_mib: AnswersNoMoreThan16MiB => batches_of_many_bytes_are_taken "get_many of";
    reads_each_content_of_a_request_once: ReadsEachContentOnce => get_many_answers_each_index_once "Some(";
    counts_pages_and_not_the_request: CountsPages => get_many_answers_each_index_once "2 calls";
    fails_at_what_is_absent: FailsAtAbsent => get_many_answers_each_index_once "Err(MissingBlock";
    does_not_hear_a_break: DoesNotHear => get_many_ends_when_it_is_told "50 calls";
    breaks_after_its_page: BreaksAfterItsPage => get_many_ends_when_it_is_told "8 calls";
    locks_while_it_answers: LocksWhileItAnswers => get_many_callback_may_use_the_store "no end: a deadlock";
    forgets_the_presence_of_the_last: ForgetsTheLastPresence => has_many_answers_as_has "answers";
    answers_in_the_order_of_the_keys: AnswersInKeyOrder => has_many_answers_as_has "index";
    looks_for_each_block_once: LooksForEachOnce => has_many_answers_as_has "with present, absent and repeated blocks: index";
    looks_for_digests: LooksForDigests => has_many_answers_as_has "with present, absent and repeated blocks: index";
    one_answer_for_all: OneAnswerForAll => has_many_answers_as_has "with present, absent and repeated blocks: index";
    counts_presence_in_16_bits: CountsIn16Bits => has_many_answers_a_long_request "index 655";
    presence_of_a_request_is_remembered: RemembersPresence => has_many_answers_as_has "after some were deleted";
    presence_of_a_request_outlives_deletes: RemembersPresence => every_read_follows_every_write "has_many: ";
    deletes_all_but_the_last: KeepsTheLast => delete_many_removes_only_its_blocks "after a delete_many of 0 blocks and one of the others";
    deletes_a_thousand_at_most: DeletesAThousand => delete_many_removes_only_its_blocks "after a delete_many of 1500 blocks";
    stops_at_what_is_absent: StopsAtAbsent => delete_many_ignores_absent_and_repeated_blocks "never put";
    refuses_what_is_absent: RefusesAbsent => delete_many_ignores_absent_and_repeated_blocks "Err(MissingBlock";
    deletes_many_by_digest: DeletesByDigest => delete_many_ignores_absent_and_repeated_blocks "missing";
    deletes_as_it_drains: DeletesAsItDrains => delete_many_removes_nothing_when_the_iterator_fails "missing";
    failed_delete_goes_on_with_the_next: KeepsItsBuffer => delete_many_removes_nothing_when_the_iterator_fails "that followed one whose iterator failed";
    locks_while_it_drains: LocksWhileItDrains => delete_many_iterator_may_use_the_store "no end: a deadlock";
}

fn drained(cids: &mut Cids<'_>) -> Result<Vec<Cid>, StoreError> {
    cids.collect()
}

defect! {
    ForgetsTheLast {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            inner.get_many(&cids[..cids.len().saturating_sub(1)], f)
        }
    }

    // After 16 MiB, reports all further blocks as absent. This breaks "answers each index of its request once … with
    // what `get` returns".
    AnswersNoMoreThan16MiB {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            let mut bytes = 0;
            for (index, cid) in cids.iter().enumerate() {
                let found = if bytes > 16 * 1024 * 1024 { None } else { inner.get(cid)? };
                bytes += found.as_ref().map_or(0, Bytes::len);
                if f(index, found).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    // Finds bytes under another CID. This breaks "The key is the whole CID".
    ReadsEachContentOnce {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            let mut read: BTreeMap<Vec<u8>, Option<Bytes>> = BTreeMap::new();
            for (index, cid) in cids.iter().enumerate() {
                let content = cid.hash().to_bytes();
                let found = match read.get(&content) {
                    Some(found) => found.clone(),
                    None => inner.get(cid)?,
                };
                read.insert(content, found.clone());
                if f(index, found).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    AnswersOnce {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            let repeated = |index: usize| cids[..index].contains(&cids[index]);
            inner.get_many(cids, &mut |index, data| if repeated(index) { ControlFlow::Continue(()) } else { f(index, data) })
        }
    }

    LeavesOutAbsent {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            inner.get_many(cids, &mut |index, data| if data.is_none() { ControlFlow::Continue(()) } else { f(index, data) })
        }
    }

    CountsPages {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            cids.chunks(256).try_for_each(|page| inner.get_many(page, f))
        }
    }

    FailsAtAbsent {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            for (index, cid) in cids.iter().enumerate() {
                let data = inner.get(cid)?;
                // Correct for a single lookup.
                if data.is_none() && cids.len() > 1 {
                    return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
                }
                if f(index, data).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    DoesNotHear {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            inner.get_many(cids, &mut |index, data| {
                let _ = f(index, data);
                ControlFlow::Continue(())
            })
        }
    }

    BreaksAfterItsPage {
        fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
            let mut told = false;
            inner.get_many(cids, &mut |index, data| {
                told |= f(index, data).is_break();
                if told && index % 8 == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        }
    }

    ForgetsTheLastPresence {
        fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
            inner.has_many(if cids.len() > 1 { &cids[..cids.len() - 1] } else { cids })
        }
    }

    // Looks in the order of its keys, and forgets to sort the answers back.
    AnswersInKeyOrder {
        fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
            let mut sorted = cids.to_vec();
            sorted.sort_unstable();
            inner.has_many(&sorted)
        }
    }

    // Answers a repeated block at its first index only.
    LooksForEachOnce {
        fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
            let mut seen = BTreeSet::new();
            let found = inner.has_many(cids)?;
            Ok(cids.iter().zip(found).map(|(cid, is_there)| seen.insert(*cid) && is_there).collect())
        }
    }

    LooksForDigests {
        fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
            if cids.len() == 1 {
                return inner.has_many(cids);
            }
            let held = inner.cids()?.map(|cid| Ok(cid?.hash().to_bytes())).collect::<Result<BTreeSet<_>, StoreError>>()?;
            Ok(cids.iter().map(|cid| held.contains(&cid.hash().to_bytes())).collect())
        }
    }

    // Takes a request for one about all of its blocks together.
    OneAnswerForAll {
        fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
            let all = inner.has_many(cids)?.into_iter().all(|is_there| is_there);
            Ok(vec![all; cids.len()])
        }
    }

    CountsIn16Bits {
        fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
            let first = inner.has_many(&cids[..cids.len().min(1 << 16)])?;
            Ok(first.iter().copied().cycle().take(cids.len()).collect())
        }
    }

    KeepsTheLast {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            let mut cids = drained(cids)?;
            cids.pop();
            inner.delete_many(&mut cids.into_iter().map(Ok))
        }
    }

    DeletesAThousand {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            inner.delete_many(&mut drained(cids)?.into_iter().take(1000).map(Ok))
        }
    }

    StopsAtAbsent {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            let present: Vec<Cid> = drained(cids)?.into_iter().take_while(|cid| matches!(inner.has(cid), Ok(true))).collect();
            inner.delete_many(&mut present.into_iter().map(Ok))
        }
    }

    RefusesAbsent {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            let cids = drained(cids)?;
            for cid in &cids {
                if !inner.has(cid)? {
                    return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
                }
            }
            inner.delete_many(&mut cids.into_iter().map(Ok))
        }
    }

    DeletesByDigest {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            let named = drained(cids)?;
            let all: Vec<Cid> = inner.cids()?.collect::<Result<_, _>>()?;
            let same = all.into_iter().filter(|cid| named.iter().any(|named| named.hash().digest() == cid.hash().digest()));
            inner.delete_many(&mut same.map(Ok))
        }
    }

    DeletesAsItDrains {
        fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
            for cid in cids {
                inner.delete(&cid?)?;
            }
            Ok(())
        }
    }
}

/// Holds its lock while the callback runs.
#[derive(Debug, Default)]
struct LocksWhileItAnswers(Mutex<()>);

impl Defect for LocksWhileItAnswers {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let _locked = lock(&self.0);
        inner.put(cid, data)
    }

    fn get_many(&self, inner: &MemoryStore, cids: &[Cid], f: &mut OnBlock<'_>) -> Result<(), StoreError> {
        // A lookup of one block comes from `holds`, which is not under test here.
        let _locked = (cids.len() > 1).then(|| lock(&self.0));
        inner.get_many(cids, f)
    }
}

/// Caches which blocks a request has found, and never forgets one.
#[derive(Debug, Default)]
struct RemembersPresence(Mutex<BTreeSet<Cid>>);

impl Defect for RemembersPresence {
    fn has_many(&self, inner: &MemoryStore, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        let mut known = lock(&self.0);
        let found = inner.has_many(cids)?;
        known.extend(cids.iter().zip(&found).filter(|(_, is_there)| **is_there).map(|(cid, _)| *cid));
        Ok(cids.iter().map(|cid| known.contains(cid)).collect())
    }
}

/// Holds its lock while the iterator runs.
#[derive(Debug, Default)]
struct LocksWhileItDrains(Mutex<()>);

impl Defect for LocksWhileItDrains {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn put(&self, inner: &MemoryStore, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        let _locked = lock(&self.0);
        inner.put(cid, data)
    }

    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let _locked = lock(&self.0);
        inner.delete_many(cids)
    }
}

/// Drains into a buffer of the handle, which a failing iterator leaves as it is.
#[derive(Debug, Default)]
struct KeepsItsBuffer(Mutex<Vec<Cid>>);

impl Defect for KeepsItsBuffer {
    fn delete_many(&self, inner: &MemoryStore, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let mut drained = std::mem::take(&mut *lock(&self.0));
        for cid in cids {
            match cid {
                Ok(cid) => drained.push(cid),
                Err(error) => {
                    *lock(&self.0) = drained;
                    return Err(error);
                }
            }
        }
        inner.delete_many(&mut drained.into_iter().map(Ok))
    }
}
