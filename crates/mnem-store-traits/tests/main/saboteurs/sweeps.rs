//! Defects of sweeps.

use mnem_store_traits::{Blockstore, Cid, IsDead, MemoryStore, StoreError, Swept};

use super::{Defect, defect, saboteurs};

saboteurs! {
    begins_with_the_end_of_the_part_before: BeginsTooEarly => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of 1 blocks";
    stops_before_the_end_of_its_part: StopsTooEarly => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of 1 blocks";
    ignores_the_end_of_its_part: IgnoresTheEnd => sweep_removes_the_dead_blocks_of_its_part "sweep of a part of 1 blocks";
    removes_what_is_not_dead: RemovesTheLast => sweep_removes_the_dead_blocks_of_its_part "after a sweep of a part";
    removes_but_one: SparesOne => sweep_removes_the_dead_blocks_of_its_part "after a sweep of a part";
    counts_what_it_kept: CountsAll => sweep_removes_the_dead_blocks_of_its_part "blocks removed by the sweep";
    asks_and_says_none: AsksAndSaysNone => sweep_removes_the_dead_blocks_of_its_part "a sweep that is not supported";
    removes_and_says_none: RemovesAndSaysNone => sweep_removes_the_dead_blocks_of_its_part "after a sweep that is not supported";
    removes_as_it_asks: RemovesAsItAsks => panicking_sweep_removes_nothing "after the predicate of a sweep panicked";
}

type Done = Result<Option<Swept>, StoreError>;

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

    RemovesAsItAsks {
        fn sweep(&self, inner: &MemoryStore, after: Option<&Cid>, up_to: Option<&Cid>, is_dead: &mut IsDead<'_>) -> Done {
            let mut part = Vec::new();
            inner.sweep(after, up_to, &mut |cid| {
                part.push(*cid);
                false
            })?;
            let mut swept = Swept::default();
            for cid in part {
                let block_bytes = inner.size(&cid)?.unwrap_or(0);
                let dead = is_dead(&cid);
                swept.count(block_bytes, dead);
                if dead {
                    inner.delete(&cid)?;
                }
            }
            Ok(Some(swept))
        }
    }
}
