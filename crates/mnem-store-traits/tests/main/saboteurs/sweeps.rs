//! Defects of sweeps.

use mnem_store_traits::{
    Blockstore, Cid, IsDead, MemoryStore, StoreError, Swept,
    conformance::{Verdict, law},
};

use super::{Defect, Planted, defect, saboteurs};

saboteurs! {
    begins_with_the_end_of_the_part_before: BeginsTooEarly => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of 1 blocks";
    stops_before_the_end_of_its_part: StopsTooEarly => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of 1 blocks";
    ignores_the_end_of_its_part: IgnoresTheEnd => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of 1 blocks";
    removes_what_is_not_dead: RemovesTheLast => sweep_removes_the_dead_blocks_of_its_part "after a sweep of a part";
    removes_but_one: SparesOne => sweep_removes_the_dead_blocks_of_its_part "after a sweep of a part";
    counts_what_it_kept: CountsAll => sweep_removes_the_dead_blocks_of_its_part "blocks removed by the sweep";
    asks_and_says_none: AsksAndSaysNone => sweep_removes_the_dead_blocks_of_its_part "a sweep that is not supported";
    names_a_block_that_it_did_not_show: NamesTheNext => sweep_removes_the_dead_blocks_of_its_part "at which a sweep ended early";
    ends_early_without_a_word: EndsInSilence => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of";
    goes_on_after_it_ended: GoesOn => sweep_removes_the_dead_blocks_of_its_part "at which a sweep ended early";
    takes_bytes_for_the_order_of_its_listing: OrdersByBytes => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of";
    removes_and_says_none: RemovesAndSaysNone => sweep_removes_the_dead_blocks_of_its_part "after a sweep that is not supported";
    removes_as_it_asks: RemovesAsItAsks => panicking_sweep_removes_nothing "after the predicate of a sweep panicked";
}

type Done = Result<Option<Swept>, StoreError>;

/// The blocks of a part, in order.
fn part_of(inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>) -> Result<Vec<Cid>, StoreError> {
    let mut part = Vec::new();
    inner.sweep(after, up_to, &mut |cid| {
        part.push(*cid);
        false
    })?;
    Ok(part)
}

/// Removes the dead ones of these blocks.
fn sweep_each(inner: &MemoryStore, part: &[Cid], is_dead: &mut IsDead<'_>) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    for cid in part {
        let block_bytes = inner.size(cid)?.unwrap_or(0);
        let dead = is_dead(cid);
        swept.count(block_bytes, dead);
        if dead {
            inner.delete(cid)?;
        }
    }
    Ok(swept)
}

#[test]
fn a_store_may_end_a_sweep_early() {
    for id in [
        "sweep_removes_the_dead_blocks_of_its_part",
        "panicking_sweep_removes_nothing",
        "every_batch_may_be_large",
        "every_read_follows_every_write",
    ] {
        let verdict = law(id).expect("a law").run(Planted::<EndsEarly>::WIDENED);
        assert!(matches!(verdict, Verdict::Passed), "{id}: {verdict:?}");
    }
}

defect! {
    BeginsTooEarly {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            if let Some(after) = after {
                inner.has(after)?.then(|| is_dead(after));
            }
            inner.sweep(after, up_to, is_dead)
        }
    }

    // Takes the end of the part to belong to the next one.
    StopsTooEarly {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let mut swept = Swept::default();
            inner.sweep(after, up_to, &mut |cid| {
                let dead = up_to != Some(cid) && is_dead(cid);
                swept.count(1, dead);
                dead
            })?;
            Ok(Some(swept))
        }
    }

    IgnoresTheEnd {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, _: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            inner.sweep(after, None, is_dead)
        }
    }

    RemovesTheLast {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let mut last = None;
            let swept = inner.sweep(after, up_to, &mut |cid| {
                last = Some(*cid);
                is_dead(cid)
            })?;
            last.map(|last| inner.delete(&last)).transpose()?;
            Ok(swept)
        }
    }

    SparesOne {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let (mut spared, mut swept) = (false, Swept::default());
            inner.sweep(after, up_to, &mut |cid| {
                let dead = is_dead(cid);
                swept.count(1, dead);
                dead && std::mem::replace(&mut spared, true)
            })?;
            Ok(Some(swept))
        }
    }

    CountsAll {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let mut swept = Swept::default();
            inner.sweep(after, up_to, &mut |cid| {
                swept.count(1, true);
                is_dead(cid)
            })?;
            Ok(Some(swept))
        }
    }

    AsksAndSaysNone {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            inner.sweep(after, up_to, &mut |cid| {
                is_dead(cid);
                false
            })?;
            Ok(None)
        }
    }

    RemovesAndSaysNone {
        fn sweep(&self, inner: &MemoryStore, _: Option<&Cid>, up_to: Option<&Cid>, _: &mut IsDead<'_>) -> Done {
            up_to.map(|cid| inner.delete(cid)).transpose()?;
            Ok(None)
        }
    }

    // No defect: ends each call after 25 blocks, and says so.
    EndsEarly {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let part = part_of(inner, after, up_to)?;
            let end = part.get(24).filter(|_| part.len() > 25).copied();
            let mut swept = inner.sweep(after, end.as_ref().or(up_to), is_dead)?;
            swept.iter_mut().for_each(|swept| swept.ended_at = end);
            Ok(swept)
        }
    }

    NamesTheNext {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let part = part_of(inner, after, up_to)?;
            let (Some(end), Some(next)) = (part.get(9), part.get(10)) else { return inner.sweep(after, up_to, is_dead) };
            let mut swept = inner.sweep(after, Some(end), is_dead)?;
            swept.iter_mut().for_each(|swept| swept.ended_at = Some(*next));
            Ok(swept)
        }
    }

    EndsInSilence {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let part = part_of(inner, after, up_to)?;
            inner.sweep(after, part.get(9).or(up_to), is_dead)
        }
    }

    GoesOn {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let part = part_of(inner, after, up_to)?;
            let mut swept = inner.sweep(after, up_to, is_dead)?;
            swept.iter_mut().for_each(|swept| swept.ended_at = part.get(9).copied());
            Ok(swept)
        }
    }

    // Lists in the order of the values, and compares bytes.
    OrdersByBytes {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let (after, up_to) = (after.map(Cid::to_bytes), up_to.map(Cid::to_bytes));
            let mut part = part_of(inner, None, None)?;
            part.retain(|cid| {
                let key = cid.to_bytes();
                after.as_ref().is_none_or(|after| *after < key) && up_to.as_ref().is_none_or(|up_to| key <= *up_to)
            });
            sweep_each(inner, &part, is_dead).map(Some)
        }
    }

    RemovesAsItAsks {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            sweep_each(inner, &part_of(inner, after, up_to)?, is_dead).map(Some)
        }
    }
}
