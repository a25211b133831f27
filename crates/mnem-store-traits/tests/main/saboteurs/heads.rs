//! Defects of heads.

use std::{collections::BTreeSet, sync::Mutex};

use mnem_store_traits::{
    Blockstore, Cid, HeadChange, HeadsCapabilities, MemoryStore, OpHeadsStore, RAW, StoreError, WriteBatch, cid_of,
};

use super::{Defect, Gap, defect, lock, saboteurs};

saboteurs! {
    begins_with_a_placeholder: BeginsWithAPlaceholder => new_store_has_no_heads "of a new store";
    refuses_repeated_ids: RefusesRepeatedIds => repeated_update_changes_nothing "named twice";
    wants_a_block: WantsABlock => heads_need_no_block "Err(MissingBlock";
    swap_adds: SwapAdds => swap_replaces_expected_heads "after a swap of four heads";
    swap_adds_through_a_pointer: SwapAdds => heads_are_the_same_through_every_pointer "through &dyn OpHeadsStore";
    swap_adds_through_a_part: SwapAdds => parts_of_a_store_share_its_content "as Arc<dyn OpHeadsStore>";
    swap_to_a_current_head: SwapRefusesCurrent => swap_takes_a_new_head_that_is_expected "is a head already";
    loses_every_ninth_update: LosesEveryNinth => random_head_changes_agree_with_a_model "of which these fail by themselves";
    reads_are_one_change_late: OneChangeLate => head_histories_are_linearizable "heads";
    lost_update_of_handles: LostUpdate => two_handles_lose_no_head "after two handles each replaced";
    lost_update_of_commits: LostUpdate => concurrent_commits_all_land "heads() after";
    resurrects_nothing: NeverAgain => random_head_changes_agree_with_a_model "after update to head";
    drops_new_named_in_supersedes: DropsNewInSupersedes => new_head_named_in_supersedes_stays "Ok([])";
    replaces_the_whole_set: ReplacesAll => update_adds_a_head "after an update that supersedes nothing";
    removes_only_the_first: RemovesFirst => update_removes_every_superseded_head "supersedes three of five";
    refuses_unknown_ids: RefusesUnknown => unknown_superseded_ids_are_ignored "Err(InvalidArgument";
    unsorted: Unsorted => heads_are_sorted_and_unique "heads() after";
    duplicated: Duplicated => update_adds_a_head "after the first update";
    never_again: NeverAgain => superseded_head_may_come_back "after a superseded b, round 1";
    keyed_by_digest: KeyedByDigest => heads_are_whole_cids "that differ in one part of their CIDs";
    capped: Capped => update_takes_hundreds_of_superseded_heads "after 40 updates";
    swap_ignores_expected: SwapIgnoresExpected => swap_from_other_heads_is_refused "Ok: the call was accepted";
    swap_compares_lists: SwapComparesLists => swap_takes_expected_as_a_set "Err(HeadsMoved";
    swap_refuses_the_first: SwapRefusesFirst => swap_of_empty_sets_the_first_head "Err(HeadsMoved";
    swap_does_not_say_what_it_found: SwapIsSilent => swap_from_other_heads_is_refused "the heads in the error";
    removed_before_insert: RemovedBeforeInsert => heads_are_never_empty_again "none";
    half_done: RemovedBeforeInsert => head_changes_are_seen_as_one_step "heads() while one update supersedes 500 heads";
    lost_update: LostUpdate => concurrent_updates_lose_no_head "heads() after";
    two_swaps_win: TwoSwapsWin => concurrent_swaps_let_one_win "swaps at once from the same heads";
    tells_the_heads_that_it_read_last: TellsWhatItReadLast => head_changes_build_on_those_of_other_handles "the heads in the error of a";
    claims_change: ClaimsChange => heads_capabilities_are_constant "heads_capabilities() after an update";
}

defect! {
    BeginsWithAPlaceholder {
        fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
            let heads = inner.heads()?;
            Ok(if heads.is_empty() { vec![cid_of(RAW, b"root")] } else { heads })
        }
    }

    RefusesRepeatedIds {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            let distinct: BTreeSet<&Cid> = supersedes.iter().collect();
            if distinct.len() < supersedes.len() {
                return Err(StoreError::InvalidArgument { operation: "update", reason: "an id is named twice".into() });
            }
            inner.update(new, supersedes)
        }
    }

    WantsABlock {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            if !inner.has(new)? {
                return Err(StoreError::MissingBlock { cid: *new, linked_from: None });
            }
            inner.update(new, supersedes)
        }
    }

    SwapAdds {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            inner.swap(expected, new)?;
            expected.iter().try_for_each(|old| inner.update(old, &[]))
        }
    }

    SwapRefusesCurrent {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            if inner.heads()?.contains(new) {
                return Err(StoreError::InvalidArgument { operation: "swap", reason: format!("{new} is a head already") });
            }
            inner.swap(expected, new)
        }
    }

    ReplacesAll {
        fn update(&self, inner: &MemoryStore, new: &Cid, _: &[Cid]) -> Result<(), StoreError> {
            inner.update(new, &inner.heads()?)
        }
    }

    RemovesFirst {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            inner.update(new, &supersedes[..supersedes.len().min(1)])
        }
    }

    RefusesUnknown {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            let heads = inner.heads()?;
            match supersedes.iter().find(|cid| !heads.contains(cid)) {
                Some(cid) => Err(StoreError::InvalidArgument { operation: "update", reason: format!("{cid} is no head") }),
                None => inner.update(new, supersedes),
            }
        }
    }

    Unsorted {
        fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
            let mut heads = inner.heads()?;
            heads.sort_by_key(Cid::to_string);
            Ok(heads)
        }
    }

    Duplicated {
        fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
            Ok(inner.heads()?.into_iter().flat_map(|cid| [cid, cid]).collect())
        }
    }

    KeyedByDigest {
        fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
            let same = inner.heads()?.into_iter().filter(|cid| cid.hash() == new.hash());
            inner.update(new, &supersedes.iter().copied().chain(same).collect::<Vec<_>>())
        }
    }

    Capped {
        fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
            Ok(inner.heads()?.into_iter().take(32).collect())
        }
    }

    SwapIgnoresExpected {
        fn swap(&self, inner: &MemoryStore, _: &[Cid], new: &Cid) -> Result<(), StoreError> {
            inner.update(new, &inner.heads()?)
        }
    }

    SwapComparesLists {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            let actual = inner.heads()?;
            if actual == expected { inner.swap(expected, new) } else { Err(StoreError::HeadsMoved { actual }) }
        }
    }

    SwapRefusesFirst {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            let actual = inner.heads()?;
            if actual.is_empty() { Err(StoreError::HeadsMoved { actual }) } else { inner.swap(expected, new) }
        }
    }

    SwapIsSilent {
        fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
            inner.swap(expected, new).map_err(|_| StoreError::HeadsMoved { actual: expected.to_vec() })
        }
    }
}

/// Has its own set of heads, for defects that the reference store cannot imitate.
#[derive(Debug, Default)]
struct DropsNewInSupersedes(Mutex<BTreeSet<Cid>>);

impl Defect for DropsNewInSupersedes {
    fn heads(&self, _: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        Ok(lock(&self.0).iter().copied().collect())
    }
    fn update(&self, _: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let mut heads = lock(&self.0);
        heads.insert(*new);
        heads.retain(|cid| !supersedes.contains(cid));
        Ok(())
    }
}

/// Compares first, and replaces in a later step.
#[derive(Debug, Default)]
pub(super) struct TwoSwapsWin(Gap);

impl Defect for TwoSwapsWin {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.0]
    }
    fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let before: BTreeSet<Cid> = inner.heads()?.into_iter().collect();
        HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] }.apply(&before)?;
        self.0.meet();
        inner.update(new, &inner.heads()?)
    }
}

/// Records what was superseded, and never adds one of these again.
#[derive(Debug, Default)]
struct NeverAgain(Mutex<BTreeSet<Cid>>);

impl Defect for NeverAgain {
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let mut gone = lock(&self.0);
        if gone.contains(new) {
            return Ok(());
        }
        let heads = inner.heads()?;
        gone.extend(supersedes.iter().filter(|cid| heads.contains(cid)));
        inner.update(new, supersedes)
    }
}

/// Uses one file for each head: removes the old ones one by one, then adds the new one.
#[derive(Debug, Default)]
pub(super) struct RemovedBeforeInsert {
    heads: Mutex<BTreeSet<Cid>>,
    gap: Gap,
}

impl Defect for RemovedBeforeInsert {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn heads(&self, _: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        self.gap.look();
        Ok(lock(&self.heads).iter().copied().collect())
    }
    fn update(&self, _: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        for cid in supersedes {
            lock(&self.heads).remove(cid);
            self.gap.wait_for(2);
        }
        lock(&self.heads).insert(*new);
        Ok(())
    }
    fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        self.update(inner, new, expected)
    }
}

/// Reads the set, and writes it back in a later step.
#[derive(Debug, Default)]
pub(super) struct LostUpdate {
    heads: Mutex<BTreeSet<Cid>>,
    gap: Gap,
}

impl LostUpdate {
    fn change(&self, change: &HeadChange) -> Result<(), StoreError> {
        let before = lock(&self.heads).clone();
        self.gap.meet();
        *lock(&self.heads) = change.apply(&before)?;
        Ok(())
    }
}

impl Defect for LostUpdate {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn heads(&self, _: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        Ok(lock(&self.heads).iter().copied().collect())
    }
    fn update(&self, _: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        self.change(&HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() })
    }
    fn commit(&self, inner: &MemoryStore, batch: &WriteBatch) -> Result<(), StoreError> {
        batch.puts().iter().try_for_each(|put| inner.put(&put.cid, put.data.clone()))?;
        batch.head().map_or(Ok(()), |change| self.change(change))
    }
}

#[derive(Debug, Default)]
struct ClaimsChange;

impl Defect for ClaimsChange {
    fn heads_capabilities(&self, inner: &MemoryStore) -> HeadsCapabilities {
        inner.heads_capabilities().with_atomic_heads(inner.heads().is_ok_and(|heads| heads.is_empty()))
    }
}

/// Correct for laws that change little.
#[derive(Debug, Default)]
struct LosesEveryNinth(Mutex<usize>);

impl Defect for LosesEveryNinth {
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let mut updates = lock(&self.0);
        *updates += 1;
        if updates.is_multiple_of(9) { Ok(()) } else { inner.update(new, supersedes) }
    }
}

/// Serves reads from a copy that is taken before each change.
#[derive(Debug, Default)]
struct OneChangeLate(Mutex<Vec<Cid>>);

impl Defect for OneChangeLate {
    fn heads(&self, _: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        Ok(lock(&self.0).clone())
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        *lock(&self.0) = inner.heads()?;
        inner.update(new, supersedes)
    }
}

/// Reports the heads that this handle read or wrote last. This breaks "`HeadsMoved` with the heads it found".
#[derive(Debug, Default)]
struct TellsWhatItReadLast(Mutex<Vec<Cid>>);

impl Defect for TellsWhatItReadLast {
    const PER_HANDLE: bool = true;

    fn heads(&self, inner: &MemoryStore) -> Result<Vec<Cid>, StoreError> {
        *lock(&self.0) = inner.heads()?;
        Ok(lock(&self.0).clone())
    }
    fn update(&self, inner: &MemoryStore, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        inner.update(new, supersedes)?;
        self.heads(inner).map(drop)
    }
    fn swap(&self, inner: &MemoryStore, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        match inner.swap(expected, new) {
            Err(StoreError::HeadsMoved { .. }) => Err(StoreError::HeadsMoved { actual: lock(&self.0).clone() }),
            swapped => swapped.and_then(|()| self.heads(inner).map(drop)),
        }
    }
}
