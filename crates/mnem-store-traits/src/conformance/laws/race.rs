//! What several threads may observe of each other.

use std::{
    collections::BTreeSet,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use cid::Cid;

use crate::{
    ErrorKind, OpHeadsStore, WriteBatch,
    conformance::{
        Failure, Profile,
        case::{Case, offered},
        data::{Block, blocks, head, heads, sized},
        expect::{ensure, heads_are, holds, lacks, lists, put, put_many, same, saw, update},
        failure::LawResult,
        history::check_one,
        random::{Rng, Seeds},
        show::{Show, examples},
        threads::{join, together, watched},
        ways::{Extent, Scene, Write, batch_of, writes_of},
    },
};

const THREADS: usize = 4;

pub(crate) fn put_is_visible_to_another_thread(case: &mut Case) -> LawResult {
    let (store, all, next) = (case.blocks()?, blocks("block", 60), AtomicUsize::new(0));
    let (store, all, next) = (&*store, &all, &next);
    // One thread asks for each block before, during and after its put, so that a cache may store its absence.
    let ask = || {
        let asked = &all[next.load(Ordering::Acquire).min(all.len() - 1)];
        saw("get of a block that may be put meanwhile", store.get(&asked.cid)).ok().map(drop)
    };
    let (acknowledged, reader) = mpsc::channel::<&Block>();
    let told = move || reader.iter().try_for_each(|block| holds(store, block, "in a thread that was told of its put"));
    let puts = move || {
        all.iter().enumerate().try_for_each(|(i, block)| {
            next.store(i, Ordering::Release);
            if i % 2 == 0 {
                put(store, block)?
            } else {
                put_many(store, std::slice::from_ref(block))?
            }
            holds(store, block, "in the thread that put it, while another asks for it")?;
            // A reader that failed has hung up; its failure is reported below.
            let _ = acknowledged.send(block);
            Ok(())
        })
    };
    thread::scope(|scope| {
        let told = scope.spawn(told);
        let put = watched(puts, ask);
        join(told).and(put)
    })?;
    Ok(())
}

pub(crate) fn delete_is_visible_to_another_thread(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("block", 60);
    put_many(&*store, &all)?;
    let next = AtomicUsize::new(0);
    // One thread reads each block before, during and after its deletion, so that a cache may store its bytes.
    let read = || {
        let asked = &all[next.load(Ordering::Acquire).min(all.len() - 1)];
        let did = "get of a block that may be deleted meanwhile";
        let found = saw(did, store.get(&asked.cid)).ok()?;
        ensure(found.as_ref().is_none_or(|data| *data == asked.data), did, "its bytes or nothing", found.show())
    };
    let deletes = || {
        all.iter().enumerate().try_for_each(|(i, block)| {
            next.store(i, Ordering::Release);
            saw("delete", store.delete(&block.cid)).ok()?;
            lacks(&*store, &block.cid, "after its delete, while another thread reads it")
        })
    };
    watched(deletes, read)?;
    for block in &all {
        lacks(&*store, &block.cid, "after another thread read it while it was deleted")?;
    }
    Ok(())
}

pub(crate) fn block_is_never_seen_in_part(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all: Vec<_> = (0..12).map(|i| sized(300_000 + i)).collect();
    let writes = || all.iter().try_for_each(|block| put(&*store, block));
    let watch = || {
        for block in &all {
            let did = format_args!("get({}) while another thread puts it", block.cid);
            if let Some(data) = saw(did, store.get(&block.cid)).ok()? {
                same(did, data, block.data.clone())?;
                holds(&*store, block, "once get has found it")?;
            }
        }
        Ok(())
    };
    watched(writes, watch)?;
    Ok(())
}

pub(crate) fn concurrent_puts_of_one_block_all_succeed(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let all = blocks("contended", 24);
    let barrier = Barrier::new(THREADS);
    together(THREADS, |i| {
        let mut kept = Ok(());
        for (round, block) in all.iter().enumerate() {
            // Every thread must reach this barrier in every round, even after a failure; otherwise the others would
            // wait forever.
            barrier.wait();
            // Some rounds use one way to write and some use both, because one may wait for something that the other
            // does not.
            let alone = [true, false, i % 2 == 0][round % 3];
            let put = if alone { put(&*store, block) } else { put_many(&*store, std::slice::from_ref(block)) };
            let held = put.and_then(|()| holds(&*store, block, "after a put that raced with others of the same block"));
            kept = kept.and(held);
        }
        kept
    })?;
    lists(&*store, &all.iter().map(|block| block.cid).collect::<Vec<_>>(), "after racing puts")?;
    Ok(())
}

/// Half of the threads take the blocks in reverse order, so that locks taken block by block could deadlock.
pub(crate) fn concurrent_batches_of_the_same_blocks_land(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let ways: Vec<Write> = [Write::PutMany, Write::Commit].into_iter().filter(|way| way.is_offered(case)).collect();
    let of = |round: usize| blocks(&format!("round {round}"), 20);
    let barrier = Barrier::new(THREADS);
    together(THREADS, |i| {
        let mut kept = Ok(());
        for round in 0..6 {
            let (mut batch, way) = (of(round), ways[(i / 2 + round) % ways.len()]);
            if i % 2 == 1 {
                batch.reverse();
            }
            barrier.wait();
            let put = way.put(case.handles(), &batch);
            kept = kept.and(put.and_then(|put| saw(format_args!("{way} beside others of the same blocks"), put).ok()));
        }
        kept
    })?;
    let all: Vec<Cid> = (0..6).flat_map(of).map(|block| block.cid).collect();
    lists(&*store, &all, "after batches of the same blocks in two orders")?;
    Ok(())
}

pub(crate) fn openings_disturb_no_write(case: &mut Case) -> LawResult {
    const ROUNDS: usize = 3;
    for way in writes_of("openings_disturb_no_write").into_iter().filter(|way| way.is_offered(case)) {
        let (scene, case) = (Scene::new(2), case.fresh()?);
        scene.set(&case, way)?;
        let writes = || {
            (0..ROUNDS).try_for_each(|round| {
                let did = format_args!("{way} while another thread opens the store");
                saw(did, scene.act(way, case.handles(), round)?).ok()
            })
        };
        let open = || {
            let other = case.second()?;
            scene.kept().iter().try_for_each(|block| {
                let store = offered(other.as_blocks(), Profile::Blocks)?;
                holds(&*store, block, "in a store that was opened while another handle writes")
            })
        };
        watched(writes, open)?;
        for round in 0..ROUNDS {
            let (is_last, when) = (round + 1 == ROUNDS, "after the store was opened meanwhile");
            if is_last || !matches!(way, Write::Update | Write::Swap) {
                let extent = scene.extent(way, case.handles(), round, is_last, when)?;
                ensure(extent == Extent::All, format_args!("{way} {when}"), "all of it", format_args!("{extent:?}"))?;
            }
        }
    }
    Ok(())
}

/// Another opening must see the acknowledged write, whether the write or the close came first.
pub(crate) fn writes_beside_close_stand_or_are_refused(case: &mut Case) -> LawResult {
    for way in writes_of("writes_beside_close_stand_or_are_refused").into_iter().filter(|way| way.is_offered(case)) {
        // The barrier wakes the writer after the closer, so without a delay the closer would always come first.
        for closer_waits in [Duration::ZERO, Duration::from_micros(200)] {
            write_beside_close(&case.fresh()?, way, closer_waits)?;
        }
    }
    Ok(())
}

fn write_beside_close(case: &Case, way: Write, closer_waits: Duration) -> Result<(), Failure> {
    const WHEN: &str = "beside a close()";
    let scene = Scene::new(2);
    scene.set(case, way)?;
    let (other, barrier) = (case.second()?, Barrier::new(2));
    let results = thread::scope(|scope| {
        let closer = scope.spawn(|| {
            barrier.wait();
            thread::sleep(closer_waits);
            saw("close() beside a write", case.store()?.close()).ok()
        });
        barrier.wait();
        let acted = (0..3).map(|round| scene.act(way, case.handles(), round)).collect::<Result<Vec<_>, Failure>>();
        join(closer).and(acted)
    })?;
    let acknowledged = results.iter().filter(|done| done.is_ok()).count();
    for refused in results.into_iter().skip(acknowledged) {
        saw(format_args!("{way} {WHEN}"), refused).refused(ErrorKind::Closed)?;
    }
    for round in 0..acknowledged {
        let is_last = round + 1 == acknowledged;
        if is_last || !matches!(way, Write::Update | Write::Swap) {
            let extent = scene.extent(way, &other, round, is_last, WHEN)?;
            ensure(extent == Extent::All, format_args!("{way} {WHEN}"), "all of it", format_args!("{extent:?}"))?;
        }
    }
    Ok(())
}

pub(crate) fn concurrent_puts_lose_no_block(case: &mut Case) -> LawResult {
    let store = case.blocks()?;
    let of = |lane: usize| blocks(&format!("lane {lane}"), 12);
    together(THREADS, |lane| {
        let all = of(lane);
        let (singly, batches) = all.split_at(6);
        singly.iter().try_for_each(|block| put(&*store, block))?;
        batches.chunks(2).try_for_each(|batch| put_many(&*store, batch))
    })?;
    let all: Vec<_> = (0..THREADS).flat_map(of).collect();
    for block in &all {
        holds(&*store, block, "after threads each put their own blocks")?;
    }
    lists(&*store, &all.iter().map(|block| block.cid).collect::<Vec<_>>(), "after threads each put their own blocks")?;
    Ok(())
}

pub(crate) fn concurrent_updates_lose_no_head(case: &mut Case) -> LawResult {
    const ROUNDS: usize = 12;
    let store = case.heads()?;
    let name = |lane: usize, round: usize| head(&format!("lane {lane} round {round}"));
    together(THREADS, |lane| {
        for round in 0..ROUNDS {
            let before = round.checked_sub(1).map(|before| name(lane, before));
            update(&*store, &name(lane, round), before.as_slice())?;
            let heads = saw("heads()", store.heads()).ok()?;
            let did = format_args!("heads() after {round} updates of a head that only this thread replaces");
            ensure(heads.contains(&name(lane, round)), did, "the new head", heads.show())?;
            let old = before.is_some_and(|before| heads.contains(&before));
            ensure(!old, did, "not the head it superseded", heads.show())?;
        }
        Ok(())
    })?;
    let last: Vec<Cid> = (0..THREADS).map(|lane| name(lane, ROUNDS - 1)).collect();
    heads_are(&*store, &last, "after threads each replaced their own head")?;
    Ok(())
}

pub(crate) fn concurrent_swaps_let_one_win(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    let mut current: Vec<Cid> = Vec::new();
    for round in 0..8 {
        let barrier = Barrier::new(THREADS);
        let name = |i: usize| head(&format!("round {round} thread {i}"));
        let won = together(THREADS, |i| {
            barrier.wait();
            match store.swap(&current, &name(i)) {
                Ok(()) => Ok(true),
                refused => saw("swap that lost a race", refused).refused(ErrorKind::HeadsMoved).map(|_| false),
            }
        })?;
        let winners: Vec<Cid> = (0..THREADS).filter(|i| won[*i]).map(name).collect();
        let did = format_args!("{THREADS} swaps at once from the same heads, round {round}");
        ensure(winners.len() == 1, did, "one that succeeds", format_args!("{} that succeed", winners.len()))?;
        heads_are(&*store, &winners, "after a race of swaps")?;
        current = winners;
    }
    Ok(())
}

pub(crate) fn concurrent_commits_that_swap_let_one_win(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let mut current: Vec<Cid> = Vec::new();
    for round in 0..12 {
        // Every number of old heads meets every number of new ones, with blocks and without.
        let (new, with_blocks) = ([1, 2, 3][round % 3], round % 4 < 2);
        let barrier = Barrier::new(THREADS);
        let own = |i: usize| blocks(&format!("round {round} thread {i}, block"), new);
        let heads_of = |i: usize| own(i).iter().map(|block| block.cid).collect::<Vec<Cid>>();
        let won = together(THREADS, |i| {
            let mut batch = if with_blocks { batch_of(&own(i)) } else { WriteBatch::new() };
            batch.swap_all(current.iter().copied(), heads_of(i));
            barrier.wait();
            match store.commit(&batch) {
                Ok(()) => Ok(true),
                refused => {
                    saw("commit that lost a race of swaps", refused).refused(ErrorKind::HeadsMoved).map(|_| false)
                }
            }
        })?;
        let winners: Vec<usize> = (0..THREADS).filter(|i| won[*i]).collect();
        let did = format_args!("{THREADS} commits at once that swap {} heads for {new}, round {round}", current.len());
        ensure(winners.len() == 1, did, "one that succeeds", format_args!("{} that succeed", winners.len()))?;
        current = heads_of(winners[0]);
        heads_are(&*store, &current, "after a race of commits that swap")?;
        if with_blocks {
            own(winners[0])
                .iter()
                .try_for_each(|block| holds(&*store, block, "after its commit won a race of swaps"))?;
        }
    }
    Ok(())
}

pub(crate) fn heads_are_never_empty_again(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    update(&*store, &head("0"), &[])?;
    let changes = || {
        (1..60).try_for_each(|i| {
            let (before, new) = (head(&(i - 1).to_string()), head(&i.to_string()));
            match i % 3 {
                0 => update(&*store, &new, &[before]),
                1 => saw("swap", store.swap(&[before], &new)).ok(),
                _ => {
                    update(&*store, &new, &[])?;
                    saw("swap of two heads for one of them", store.swap(&[before, new], &new)).ok()
                }
            }
        })
    };
    let watch = || {
        let heads = saw("heads()", store.heads()).ok()?;
        ensure(!heads.is_empty(), "heads() while another thread replaces the only head", "a head", "none")
    };
    watched(changes, watch)?;
    Ok(())
}

pub(crate) fn head_changes_are_seen_as_one_step(case: &mut Case) -> LawResult {
    let store = case.heads()?;
    update(&*store, &head("base"), &[])?;
    // Many heads once, so that the change takes long; then few heads more often, so that changes begin at different
    // moments of the watcher.
    let old: Vec<Vec<Cid>> = [500, 25, 25].into_iter().map(|n| heads(&format!("round of {n}"), n)).collect();
    for (round, old) in old.iter().enumerate() {
        for cid in old {
            update(&*store, cid, &[])?;
        }
        let new = head(&format!("new of round {round}"));
        watched(|| update(&*store, &new, old), || half_done(&*store, old, &new))?;
    }
    Ok(())
}

fn half_done(store: &dyn OpHeadsStore, old: &[Cid], new: &Cid) -> Result<(), Failure> {
    let heads = saw("heads()", store.heads()).ok()?;
    let left: Vec<Cid> = old.iter().filter(|cid| heads.contains(cid)).copied().collect();
    let whole = if heads.contains(new) { left.is_empty() } else { left.len() == old.len() };
    let saw = format_args!("{} of them, new head {}: {}", left.len(), heads.contains(new), examples(&left));
    let did = format_args!("heads() while one update supersedes {} heads", old.len());
    ensure(whole, did, "all of them and not the new head, or none of them and the new head", saw)
}

pub(crate) fn head_is_never_seen_without_its_blocks(case: &mut Case) -> LawResult {
    let store = case.store()?;
    let ops: Vec<Vec<_>> = (0..25).map(|i| blocks(&format!("operation {i}"), 4)).collect();
    let commits = || {
        ops.iter().try_for_each(|blocks| {
            let mut batch: WriteBatch = blocks.iter().map(|block| (block.cid, block.data.clone())).collect();
            let before = saw("heads()", store.heads()).ok()?;
            saw("commit", store.commit(batch.update(blocks[0].cid, before))).ok()
        })
    };
    let watch = || {
        for cid in saw("heads()", store.heads()).ok()? {
            let Some(blocks) = ops.iter().find(|blocks| blocks[0].cid == cid) else { continue };
            blocks.iter().try_for_each(|block| holds(&*store, block, "once the head of its commit is visible"))?;
        }
        Ok(())
    };
    watched(commits, watch)?;
    Ok(())
}

pub(crate) fn concurrent_commits_all_land(case: &mut Case) -> LawResult {
    const ROUNDS: usize = 6;
    let store = case.store()?;
    let op = |lane: usize, round: usize| blocks(&format!("lane {lane} round {round}"), 5);
    let in_steps = |lane: usize, round: usize| (lane + round).is_multiple_of(3);
    // A commit makes two heads, an update one.
    let heads_of = |lane: usize, round: usize| -> Vec<Cid> {
        op(lane, round).iter().map(|block| block.cid).take(if in_steps(lane, round) { 1 } else { 2 }).collect()
    };
    together(THREADS, |lane| {
        for round in 0..ROUNDS {
            let all = op(lane, round);
            let before = round.checked_sub(1).map_or_else(Vec::new, |before| heads_of(lane, before));
            // Checked each time, because the next commit would hide that one was lost.
            let heads = saw("heads()", store.heads()).ok()?;
            let lost: Vec<Cid> = before.iter().filter(|head| !heads.contains(head)).copied().collect();
            let did = format_args!("heads() after {round} commits of heads that only this thread replaces");
            ensure(lost.is_empty(), did, "the heads of the last commit", examples(&lost))?;
            if in_steps(lane, round) {
                // The same in two steps, so that the locks of both parts are taken in different orders.
                put_many(&*store, &all)?;
                update(&*store, &all[0].cid, &before)?;
            } else {
                let mut batch: WriteBatch = all.iter().map(|block| (block.cid, block.data.clone())).collect();
                let batch = batch.update_all(heads_of(lane, round), before);
                saw("commit beside other threads", store.commit(batch)).ok()?;
            }
            all.iter().try_for_each(|block| holds(&*store, block, "after a commit beside others"))?;
        }
        Ok(())
    })?;
    let last: Vec<Cid> = (0..THREADS).flat_map(|lane| heads_of(lane, ROUNDS - 1)).collect();
    heads_are(&*store, &last, "after threads each committed on their own head")?;
    let all: BTreeSet<Cid> =
        (0..THREADS).flat_map(|lane| (0..ROUNDS).flat_map(move |round| op(lane, round))).map(|b| b.cid).collect();
    lists(&*store, &all.into_iter().collect::<Vec<_>>(), "after threads committed at once")?;
    Ok(())
}

pub(crate) fn head_histories_are_linearizable(case: &mut Case) -> LawResult {
    /// The number of histories for each seed.
    const HISTORIES: usize = 6;
    let heads = case.heads()?;
    let store = case.handles().as_store().cloned();
    let Seeds { first, rounds } = case.seeds();
    for seed in first..first.saturating_add(rounds) {
        let mut rng = Rng::new(seed);
        (0..HISTORIES).try_for_each(|_| check_one(&*heads, store.as_deref(), &mut rng))?;
    }
    Ok(())
}
