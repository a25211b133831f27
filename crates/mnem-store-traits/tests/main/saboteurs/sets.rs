//! Defects of commits that name many heads.

use std::{collections::BTreeSet, sync::Mutex};

use mnem_store_traits::{
    Blockstore, Cid, HeadChange, MemoryStore, OpHeadsStore, Store, StoreError, WriteBatch,
    limits::BLOCK_BYTES_EVERY_BACKEND,
};

use super::{Defect, Gap, defect, lock, prose::batch_of, saboteurs};

saboteurs! {
    lands_only_the_first_new_head: LandsOnlyTheFirst => commit_adds_every_new_head "after an update to two first heads";
    lands_all_but_the_last_new_head: LandsAllButTheLast => commit_adds_every_new_head "after an update to two first heads";
    swaps_to_the_first_new_head: LandsOnlyTheFirst => commit_swaps_to_every_new_head "after a swap of no heads for three";
    swap_keeps_the_expected_heads: SwapOfManyAdds => commit_swaps_to_every_new_head "after a swap of three heads";
    refuses_a_new_head_named_twice: RefusesRepeatedNew => commit_adds_every_new_head "a new head is named twice";
    drops_new_heads_that_are_superseded: DropsSupersededNew => commit_adds_every_new_head "after an update that supersedes new heads of its own";
    compares_expected_with_new: ExpectsItsOwn => commit_swaps_to_every_new_head "Ok: the call was accepted";
    takes_an_empty_set: TakesAnEmptySet => commit_refuses_an_empty_set_of_new_heads "Ok: the call was accepted";
    takes_an_empty_set_as_no_change: EmptySetIsNoChange => commit_refuses_an_empty_set_of_new_heads "Ok: the call was accepted";
    refuses_an_empty_set_too_late: RefusesAnEmptySetLate => commit_refuses_an_empty_set_of_new_heads "never put";
    calls_an_empty_set_moved: EmptySetIsMoved => commit_refuses_an_empty_set_of_new_heads "Err(HeadsMoved";
    keeps_a_thousand_heads: KeepsAThousand => commit_takes_thousands_of_heads "4000 heads, ascending";
    supersedes_a_thousand_heads: SupersedesAThousand => commit_takes_thousands_of_heads "supersedes 2,000";
    refuses_thousands: RefusesThousands => commit_takes_thousands_of_heads "Err(InvalidArgument";
    lands_heads_in_steps: LandsInSteps => new_heads_of_a_commit_are_seen_as_one_step "while one commit replaces";
    random_sets_lose_a_head: LandsAllButTheLast => random_commits_agree_with_a_model "heads() after commit";
}

/// The same batch with a modified head change.
fn changed(batch: &WriteBatch, change: impl FnOnce(HeadChange) -> HeadChange) -> WriteBatch {
    batch_of(batch.puts().to_vec(), batch.required().to_vec(), batch.head().cloned().map(change))
}

/// The same batch with other new heads.
fn with_new(batch: &WriteBatch, choose: impl FnOnce(Vec<Cid>) -> Vec<Cid>) -> WriteBatch {
    changed(batch, |head| match head {
        HeadChange::Update { new, supersedes } => HeadChange::Update { new: choose(new), supersedes },
        HeadChange::Swap { expected, new } => HeadChange::Swap { expected, new: choose(new) },
    })
}

fn has_no_new(batch: &WriteBatch) -> bool {
    batch.head().is_some_and(|change| change.new_heads().is_empty())
}

/// The blocks and requirements of a batch.
fn without_head(batch: &WriteBatch) -> WriteBatch {
    batch_of(batch.puts().to_vec(), batch.required().to_vec(), None)
}

fn refusal(reason: &str) -> StoreError {
    StoreError::InvalidArgument { operation: "commit", reason: reason.to_owned() }
}

defect! {
    LandsOnlyTheFirst {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            inner.commit(&with_new(batch, |new| new.into_iter().take(1).collect()))
        }
    }

    LandsAllButTheLast {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            inner.commit(&with_new(batch, |mut new| {
                new.truncate(1.max(new.len().saturating_sub(1)));
                new
            }))
        }
    }

    // Adds all new heads after the first, like an update.
    SwapOfManyAdds {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let head = batch.head().cloned();
            inner.commit(batch)?;
            match head {
                Some(HeadChange::Swap { expected, new }) if !expected.is_empty() && new.len() > 1 => {
                    inner.commit(WriteBatch::new().update_all(expected, []))
                }
                _ => Ok(()),
            }
        }
    }

    RefusesRepeatedNew {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let new = batch.head().map_or(&[][..], HeadChange::new_heads);
            if new.iter().collect::<BTreeSet<_>>().len() < new.len() {
                return Err(refusal("a new head is named twice"));
            }
            inner.commit(batch)
        }
    }

    // If superseded, only the last new head stays, as in an update of one head.
    DropsSupersededNew {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            inner.commit(&changed(batch, |head| match head {
                HeadChange::Update { mut new, supersedes } => {
                    let last = new.last().copied();
                    new.retain(|cid| Some(*cid) == last || !supersedes.contains(cid));
                    HeadChange::Update { new, supersedes }
                }
                swap => swap,
            }))
        }
    }

    // Accepts a swap whose new heads are already the heads.
    ExpectsItsOwn {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            let heads: BTreeSet<Cid> = inner.heads()?.into_iter().collect();
            match batch.head() {
                Some(HeadChange::Swap { expected, .. }) if expected.iter().any(|cid| heads.contains(cid)) => {
                    inner.commit(&changed(batch, |head| HeadChange::Swap {
                        expected: heads.into_iter().collect(),
                        new: head.new_heads().to_vec(),
                    }))
                }
                _ => inner.commit(batch),
            }
        }
    }

    EmptySetIsNoChange {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if has_no_new(batch) { inner.commit(&without_head(batch)) } else { inner.commit(batch) }
        }
    }

    RefusesAnEmptySetLate {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            for put in batch.puts() {
                inner.put(&put.cid, put.data.clone())?;
            }
            inner.commit(batch)
        }
    }

    // Reports an empty set of new heads as `HeadsMoved`.
    EmptySetIsMoved {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if has_no_new(batch) {
                return Err(StoreError::HeadsMoved { actual: inner.heads()? });
            }
            inner.commit(batch)
        }
    }

    KeepsAThousand {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            batch.check(BLOCK_BYTES_EVERY_BACKEND)?;
            inner.commit(&with_new(batch, |new| new.into_iter().take(1000).collect()))
        }
    }

    SupersedesAThousand {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            inner.commit(&changed(batch, |head| match head {
                HeadChange::Update { new, mut supersedes } => {
                    supersedes.truncate(1000);
                    HeadChange::Update { new, supersedes }
                }
                swap => swap,
            }))
        }
    }

    RefusesThousands {
        fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
            if batch.head().is_some_and(|change| change.new_heads().len() > 1000) {
                return Err(refusal("more than 1,000 heads"));
            }
            inner.commit(batch)
        }
    }
}

/// Has its own set of heads, which may become empty.
#[derive(Debug, Default)]
struct TakesAnEmptySet(Mutex<BTreeSet<Cid>>);

impl Defect for TakesAnEmptySet {
    fn heads(&self, _: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        Ok(lock(&self.0).iter().copied().collect())
    }
    fn update(&self, _: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let mut heads = lock(&self.0);
        *heads = HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() }.apply(&heads)?;
        Ok(())
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let mut heads = lock(&self.0);
        match batch.head() {
            Some(HeadChange::Update { new, supersedes }) if new.is_empty() => {
                heads.retain(|cid| !supersedes.contains(cid));
            }
            Some(HeadChange::Swap { new, .. }) if new.is_empty() => heads.clear(),
            Some(change) => *heads = change.apply(&heads)?,
            None => {}
        }
        inner.commit(&without_head(batch))
    }
}

/// Calls `update` once for each new head.
#[derive(Debug, Default)]
struct LandsInSteps(Gap);

impl Defect for LandsInSteps {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.0]
    }
    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        self.0.look();
        inner.heads()
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        let Some(change) = batch.head().cloned() else { return inner.commit(batch) };
        inner.commit(&without_head(batch))?;
        let before: BTreeSet<Cid> = inner.heads()?.into_iter().collect();
        let after = change.apply(&before)?;
        for new in after.difference(&before) {
            inner.update(new, &[])?;
            self.0.wait_for(2);
        }
        let gone: Vec<Cid> = before.difference(&after).copied().collect();
        after.first().map_or(Ok(()), |new| inner.update(new, &gone))
    }
}
