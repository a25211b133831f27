//! A handle on which a sync failed.

use bytes::Bytes;

use super::every_fault::{durable, kept_or_failed, says_so};
use crate::{
    Capabilities, ErrorKind, HeadsCapabilities,
    conformance::{
        Claim, Failure, Fault, Profile,
        case::{Case, offered},
        data::{block, head},
        expect::{ensure, saw},
        failure::LawResult,
        outcomes::at_each,
        show::Show,
        ways::{Eyes, Idle, IdleContent, Read, Scene, Write, reads_of, writes_of},
    },
};

/// More blocks or rows than a store is likely to look at one by one.
const MANY: usize = 40;

pub(crate) fn failed_sync_refuses_every_write(case: &mut Case) -> LawResult {
    case.must_have_syncs()?;
    let (scene, large) = (Scene::new(3), MANY);
    let ways: Vec<Write> = durable(case, writes_of("failed_sync_refuses_every_write")).collect();
    for way in &ways {
        at_each(|n| {
            let mut case = case.fresh()?;
            scene.set(&case, Write::DeleteMany)?;
            let content = IdleContent::write(&case, large, vec![head("old")])?;
            // A side table that was opened before the failure.
            let eyes = Eyes::new(case.handles())?;
            let second = if case.has(Profile::SecondHandle) { Some(case.second()?) } else { None };
            let claimed = claims_of(&case);
            case.set_fault(Some(Fault::SyncsAfter(n)))?;
            if scene.act(*way, case.handles(), 0)?.is_ok() {
                ensure(
                    n > 0,
                    format_args!("{way} while every sync fails"),
                    "an error: it could not be made durable",
                    "Ok",
                )?;
                return Ok(true);
            }
            case.set_fault(None)?;
            let same = claims_of(&case) == claimed;
            ensure(same, format_args!("capabilities after a {way} whose sync failed"), "the same as before", "others")?;
            for _ in 0..2 {
                for next in &ways {
                    let refused = scene.act(*next, case.handles(), 1)?;
                    saw(format_args!("{next} after a {way} whose sync failed"), refused)
                        .refused(ErrorKind::Poisoned)?;
                }
                refuses_what_is_done_already(&case, &content, &format!("a {way} whose sync failed"))?;
                if case.has(Profile::SideTables) {
                    let row = (Bytes::from_static(b"key"), Bytes::from_static(b"value"));
                    let refused = eyes.table()?.write(&[row], &[]);
                    let did = format_args!("write of a side table opened before a {way} whose sync failed");
                    saw(did, refused).refused(ErrorKind::Poisoned)?;
                    tables_stay_poisoned(&case, &eyes, *way)?;
                }
                // No successful operation may lift the refusal.
                kept_or_failed(
                    &case,
                    &scene,
                    Write::DeleteMany,
                    &format!("through the handle of a {way} whose sync failed"),
                )?;
                // Nor may a write by another handle, which is allowed to continue.
                if let Some(second) = &second {
                    let _ = scene.act(Write::Put, second, 1)?;
                }
            }
            drop((eyes, second));
            if case.has(Profile::Store) {
                closes_for_good(&case, &scene, *way)?;
            }
            case.drop_and_open()?;
            saw("put after a failed sync and reopening", scene.act(Write::Put, case.handles(), 2)?).ok()?;
            Ok(false)
        })?;
    }
    failed_sync_of_an_idle_write(case, &ways)?;
    Ok(())
}

/// What the handle claims now.
fn claims_of(case: &Case) -> (Option<Capabilities>, Option<HeadsCapabilities>) {
    let handles = case.handles();
    let blocks = handles.as_blocks().map(|blocks| blocks.capabilities());
    (blocks, handles.as_heads().map(|heads| heads.heads_capabilities()))
}

/// After a failed sync all reads of side tables go on, or none; a table that is opened by then refuses writes.
fn tables_stay_poisoned(case: &Case, eyes: &Eyes, failed: Write) -> Result<(), Failure> {
    let (store, when) = (case.store()?, format!("after a {failed} whose sync failed"));
    if eyes.table()?.get(b"key").is_ok() {
        let keys = eyes.table()?.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
        saw(format_args!("keys() {when}, while rows are read"), keys.map(drop)).ok()?;
        saw(format_args!("side_tables() {when}, while rows are read"), store.side_tables().map(drop)).ok()?;
    }
    let written = store
        .side_table("opened_since")
        .and_then(|table| table.write(&[(Bytes::from_static(b"key"), Bytes::new())], &[]));
    saw(format_args!("write of a side table opened {when}"), written).refused(ErrorKind::Poisoned).map(drop)
}

/// A handle that refuses writes can be closed like any other; then it refuses reads and writes.
fn closes_for_good(case: &Case, scene: &Scene, failed: Write) -> Result<(), Failure> {
    let kept = &scene.kept()[0];
    let healthy = case.fresh()?;
    let _ = healthy.store()?.close();
    if healthy.blocks()?.get(&kept.cid).is_ok() {
        // The store has nothing to close.
        return Ok(());
    }
    // It may report data that it could not make durable, but closes nevertheless.
    let _ = case.store()?.close();
    let when = format!("after close() of a handle on which the sync of a {failed} failed");
    saw(format_args!("get {when}"), case.blocks()?.get(&kept.cid)).refused(ErrorKind::Closed)?;
    for way in [Write::Put, Write::Commit, Write::Update, Write::Row] {
        if way.is_offered(case) {
            saw(format_args!("{way} {when}"), scene.act(way, case.handles(), 1)?).refused(ErrorKind::Closed)?;
        }
    }
    Ok(())
}

/// Writes with nothing to do, small or large, are refused like all others.
fn refuses_what_is_done_already(case: &Case, content: &IdleContent, after: &str) -> Result<(), Failure> {
    for idle in idle_writes(case) {
        let sizes = if idle.is_batch() { &[1, content.blocks.len()][..] } else { &[1] };
        for n in sizes {
            let refused = idle.act(case.handles(), content, *n)?;
            saw(format_args!("{idle} ({n}), after {after}"), refused).refused(ErrorKind::Poisoned)?;
        }
    }
    Ok(())
}

/// The writes with nothing to do whose `Ok` survives a power cut.
fn idle_writes(case: &Case) -> impl Iterator<Item = Idle> + '_ {
    let heads_count = case.claims(Claim::HeadsSurvivePower);
    let fits = move |idle: &Idle| idle.is_offered(case) && (heads_count || !idle.is_about_heads());
    Idle::all().into_iter().filter(fits)
}

/// A write that has nothing to write may sync what others wrote. If that sync fails, the handle refuses writes too.
fn failed_sync_of_an_idle_write(case: &Case, ways: &[Write]) -> Result<(), Failure> {
    let large = MANY;
    for idle in idle_writes(case) {
        let sizes = if idle.is_batch() { &[1, large][..] } else { &[1] };
        for n in sizes {
            for through_another in
                [false, true].into_iter().filter(|another| !another || case.has(Profile::SecondHandle))
            {
                at_each(|syncs| idle_write_whose_sync_fails(case, ways, idle, *n, through_another, syncs))?;
            }
        }
    }
    Ok(())
}

/// Returns whether the idle write was acknowledged.
fn idle_write_whose_sync_fails(
    case: &Case,
    ways: &[Write],
    idle: Idle,
    n: usize,
    through_another: bool,
    syncs: u32,
) -> Result<bool, Failure> {
    let scene = Scene::new(3);
    let mut case = case.fresh()?;
    scene.set(&case, Write::DeleteMany)?;
    let content = IdleContent::write(&case, n, vec![head("old")])?;
    let second = if through_another { Some(case.second()?) } else { None };
    let unsynced = block("whose sync fails");
    case.set_fault(Some(Fault::SyncsAfter(0)))?;
    let failed = case.blocks()?.put(&unsynced.cid, unsynced.data);
    ensure(failed.is_err(), "put while every sync fails", "an error: it could not be made durable", "Ok")?;
    case.set_fault(None)?;
    if second.is_none() {
        case.drop_and_open()?;
    }
    case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
    let handles = second.as_ref().unwrap_or(case.handles());
    let done = idle.act(handles, &content, n)?.is_ok();
    case.set_fault(None)?;
    if !done {
        let after = format!("a {idle} ({n}) whose sync failed");
        for next in ways {
            let refused = scene.act(*next, handles, 0)?;
            saw(format_args!("{next} after {after}"), refused).refused(ErrorKind::Poisoned)?;
        }
        for next in idle_writes(&case) {
            let refused = next.act(handles, &content, n)?;
            saw(format_args!("{next} after {after}"), refused).refused(ErrorKind::Poisoned)?;
        }
    }
    Ok(done)
}

/// What a handle reads after a failed sync must be as current as before, or an error.
pub(crate) fn poisoned_handle_reads_what_others_write(case: &mut Case) -> LawResult {
    case.must_have_syncs()?;
    let reads = reads_of("poisoned_handle_reads_what_others_write");
    for way in durable(case, writes_of("poisoned_handle_reads_what_others_write")) {
        let (scene, case) = (Scene::new(3), case.fresh()?);
        scene.set(&case, way)?;
        let (poisoned, second) = (Eyes::new(case.handles())?, case.second()?);
        // The handle may remember what it has read.
        reads_or_fails(&case, &scene, way, &poisoned, &reads, false, "before another handle wrote")?;
        let unsynced = block("whose sync fails");
        case.set_fault(Some(Fault::SyncsAfter(0)))?;
        let failed = case.blocks()?.put(&unsynced.cid, unsynced.data);
        case.set_fault(None)?;
        ensure(failed.is_err(), "put while every sync fails", "an error: it could not be made durable", "Ok")?;
        // The other handle may be unable to continue too.
        if scene.act(way, &second, 0)?.is_ok() {
            let when = format!("through a handle whose sync failed, after a {way} of another handle");
            reads_or_fails(&case, &scene, way, &poisoned, &reads, true, &when)?;
        }
    }
    Ok(())
}

/// Checks that every way to read sees whether the first round is written, or fails.
fn reads_or_fails(
    case: &Case,
    scene: &Scene,
    way: Write,
    eyes: &Eyes,
    reads: &[Read],
    written: bool,
    when: &str,
) -> Result<(), Failure> {
    let there = written != way.deletes_blocks();
    for subject in scene.subjects(way) {
        // Any row shows that the table exists.
        let sees = |read: &&Read| case.has(read.needs()) && read.looks_for(&subject) && **read != Read::SideTables;
        for read in reads.iter().filter(sees) {
            let seen = read.sees(eyes, &subject, when)?;
            let fine = seen.as_ref().map_or_else(says_so, |seen| *seen == there);
            ensure(
                fine,
                format_args!("{read}: {subject} {when}"),
                format_args!("Ok({there}), or an error"),
                seen.show(),
            )?;
        }
    }
    if way.changes_heads() && written {
        let expected = scene.heads_with(way, scene.head(way, 0));
        let seen = offered(eyes.handles().as_heads(), Profile::Heads)?.heads();
        let fine = seen.as_ref().map_or_else(says_so, |seen| *seen == expected);
        ensure(fine, format_args!("heads() {when}"), format_args!("{}, or an error", expected.show()), seen.show())?;
    }
    Ok(())
}
