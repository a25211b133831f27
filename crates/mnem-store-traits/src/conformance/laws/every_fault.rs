//! Failing media, below every way to read and write.

use std::{
    ops::ControlFlow,
    sync::{Mutex, MutexGuard, mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    ErrorKind, Outcome, StoreError, WriteBatch,
    conformance::{
        Claim, Failure, Fault, Profile,
        case::{Case, offered},
        data::{block, blocks, head, heads, sized},
        expect::{ensure, holds, put, put_many, saw, update},
        failure::LawResult,
        outcomes::{LARGE, at_few, at_growing},
        show::Show,
        threads::join,
        ways::{Extent, Eyes, IdleContent, Read, Scene, Subject, Write, reads_of, writes_of},
    },
};

/// Enough items for several pages of a listing.
const LISTED: usize = 600;
const HEADS: usize = 5;

const FAULTS: [fn(u32) -> Fault; 3] = [Fault::ReadsAfter, Fault::WritesAfter, Fault::SyncsAfter];

/// The kinds of error that report a failed medium.
pub(super) fn says_so(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Backend | ErrorKind::Poisoned)
}

pub(crate) fn every_read_that_fails_is_an_error(case: &mut Case) -> LawResult {
    let n = case.in_time(LISTED);
    let all = blocks("present", n);
    put_many(&*case.blocks()?, &all)?;
    if case.has(Profile::Heads) {
        heads("head", HEADS).iter().try_for_each(|new| update(&*case.heads()?, new, &[]))?;
    }
    let rows: Vec<_> = (0..n).map(|i| (Bytes::from(format!("key {i:04}")), Bytes::from_static(b"value"))).collect();
    if case.has(Profile::SideTables) {
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        saw("write", table.write(&rows, &[])).ok()?;
    }
    let (last, row) = (all[n - 1].clone(), rows[n - 1].clone());
    let present = [Subject::Block(last), Subject::Head(head("head 4")), Subject::Row(row)];
    let absent = Bytes::from_static(b"absent");
    let absent =
        [Subject::Block(block("absent")), Subject::Head(head("absent")), Subject::Row((absent.clone(), absent))];
    for read in reads_of("every_read_that_fails_is_an_error") {
        if !case.has(read.needs()) {
            continue;
        }
        for (subject, there) in present.iter().map(|one| (one, true)).chain(absent.iter().map(|one| (one, false))) {
            // Any row shows that the table exists.
            if read.looks_for(subject) && (there || read != Read::SideTables) {
                read_while_reads_fail(case, read, subject, there)?;
            }
        }
    }
    Ok(())
}

/// The error may come on any page, and may be temporary.
pub(crate) fn failed_read_ends_a_listing_on_any_page(case: &mut Case) -> LawResult {
    let n = case.in_time(LISTED);
    put_many(&*case.blocks()?, &blocks("present", n))?;
    let has_tables = case.has(Profile::SideTables);
    if has_tables {
        let rows: Vec<_> = (0..n).map(|i| (Bytes::from(format!("key {i:04}")), Bytes::from_static(b"value"))).collect();
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        saw("write", table.write(&rows, &[])).ok()?;
    }
    at_growing(|n| {
        case.drop_and_open()?;
        let store = case.blocks()?;
        case.set_fault(Some(Fault::ReadsAfter(n)))?;
        let ended = store.cids().map(|listing| ends_at_its_error(case, "cids()", n, listing)).unwrap_or(Ok(false));
        case.set_fault(None)?;
        ended
    })?;
    if !has_tables {
        return Ok(());
    }
    at_growing(|n| {
        case.drop_and_open()?;
        let table = saw("side_table", case.store()?.side_table("table")).ok()?;
        case.set_fault(Some(Fault::ReadsAfter(n)))?;
        let ended = table.keys(b"").map(|listing| ends_at_its_error(case, "keys()", n, listing)).unwrap_or(Ok(false));
        case.set_fault(None)?;
        ended
    })?;
    Ok(())
}

/// Returns whether a listing ended without an error. After an error, it must yield nothing more.
fn ends_at_its_error<T: Show>(
    case: &Case,
    did: &str,
    reads: u32,
    mut listing: impl Iterator<Item = Result<T, StoreError>>,
) -> Result<bool, Failure> {
    let failed = listing.by_ref().take(2 * LISTED).find_map(Result::err);
    let Some(error) = failed else { return Ok(true) };
    for when in ["while reads fail", "once reads succeed again"] {
        let after = listing.next().map_or_else(|| "the end".into(), |item| item.show());
        let did = format_args!("{did} whose reads failed after {reads}, after the error {error:?}, {when}");
        ensure(after == "the end", did, "the end", after.clone())?;
        case.set_fault(None)?;
    }
    Ok(false)
}

fn read_while_reads_fail(case: &mut Case, read: Read, subject: &Subject, there: bool) -> Result<(), Failure> {
    at_growing(|n| {
        case.drop_and_open()?;
        let eyes = Eyes::new(case.handles())?;
        let when = format!("while reads fail after {n}");
        case.set_fault(Some(Fault::ReadsAfter(n)))?;
        let seen = read.sees(&eyes, subject, &when)?;
        case.set_fault(None)?;
        let fine = seen.as_ref().map_or_else(says_so, |seen| *seen == there);
        let expected = format_args!("Ok({there}), or Err(Backend)");
        ensure(fine, format_args!("{read}: {subject} {when}"), expected, seen.show())?;
        case.set_fault(Some(Fault::ReadsAfter(n)))?;
        let listed = listed(&eyes, read, case.in_time(LISTED))?;
        case.set_fault(None)?;
        if let Some((count, truth)) = listed {
            let fine = count.as_ref().map_or_else(says_so, |count| *count == truth);
            ensure(
                fine,
                format_args!("{read}, counted {when}"),
                format_args!("Ok({truth}), or Err(Backend)"),
                count.show(),
            )?;
        }
        let done = seen.is_ok();
        let after = read.sees(&eyes, subject, "once reads succeed again")?;
        // A commit is a write, and its failure may have poisoned the handle.
        if read != Read::Require || !after.as_ref().is_err_and(says_so) {
            saw(format_args!("{read}: {subject} once reads succeed again"), after).is(there)?;
        }
        Ok(done)
    })
}

/// The number of items that a listing yielded, and the number of items in the store.
type Counted = (Result<usize, StoreError>, usize);

/// Lists items one way; `None` if this way to read is not a listing.
fn listed(eyes: &Eyes, read: Read, n: usize) -> Result<Option<Counted>, Failure> {
    let handles = eyes.handles();
    Ok(match read {
        Read::Cids => {
            let store = offered(handles.as_blocks(), Profile::Blocks)?;
            let count = store.cids().and_then(|cids| cids.collect::<Result<Vec<_>, _>>()).map(|cids| cids.len());
            Some((count, n))
        }
        Read::Heads => {
            let count = offered(handles.as_heads(), Profile::Heads)?.heads().map(|heads| heads.len());
            Some((count, HEADS))
        }
        Read::Keys => {
            let keys = eyes.table()?.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
            Some((keys.map(|keys| keys.len()), n))
        }
        _ => None,
    })
}

/// The ways whose effect the store claims to survive a reopening.
pub(super) fn surviving<'a>(case: &'a Case, ways: Vec<Write>) -> impl Iterator<Item = Write> + 'a {
    let survives = |way: &Write| !way.changes_heads() || case.claims(Claim::HeadsSurvive);
    ways.into_iter().filter(move |way| way.is_offered(case) && survives(way))
}

/// The ways whose effect the store claims to survive a power cut.
pub(super) fn durable<'a>(case: &'a Case, ways: Vec<Write>) -> impl Iterator<Item = Write> + 'a {
    let claimed = |way: &Write| way.durable_by().iter().all(|claim| case.claims(*claim));
    ways.into_iter().filter(move |way| way.is_offered(case) && claimed(way))
}

pub(crate) fn every_write_that_fails_is_as_it_says(case: &mut Case) -> LawResult {
    let ways: Vec<Write> = surviving(case, writes_of("every_write_that_fails_is_as_it_says")).collect();
    for fault in FAULTS {
        for way in &ways {
            let small = Scene::new(3);
            at_growing(|n| fail_and_judge(case, &small, *way, fault(n)))?;
            if case.has(Profile::SecondHandle) && matches!(fault(0), Fault::ReadsAfter(_)) {
                at_few(|n| fail_while_behind(case, &small, *way, fault(n)))?;
            }
            if way.is_batch() && !case.is_slow() {
                let large = Scene::new(case.in_short(LARGE));
                at_few(|n| fail_and_judge(case, &large, *way, fault(n)))?;
            }
            if way.adds_blocks() || *way == Write::Row {
                at_few(|n| fail_and_judge(case, &Scene::of_large_blocks(), *way, fault(n)))?;
            }
        }
    }
    Ok(())
}

/// Writes while the medium fails, continues on the same handle, and checks the store after reopening. Returns whether
/// the first write completed.
pub(super) fn fail_and_judge(case: &Case, scene: &Scene, way: Write, fault: Fault) -> Result<bool, Failure> {
    let mut case = case.fresh()?;
    scene.set(&case, way)?;
    case.drop_and_open()?;
    let when = format!("that met {fault:?}, after the fault was over");
    case.set_fault(Some(fault))?;
    let first = scene.act(way, case.handles(), 0)?;
    case.set_fault(None)?;
    let done = first.is_ok();
    let mut result = first;
    if let Err(error) = &result {
        ensure(says_so(error), format_args!("{way} that met {fault:?}"), "Err(Backend)", error)?;
        kept_or_failed(&case, scene, way, &format!("through the handle of a {way} {when}"))?;
        let again = scene.act(way, case.handles(), 0)?;
        if again.is_ok() || error.outcome() == Outcome::NotApplied {
            result = again;
        }
    }
    // A write of another size and kind, which the handle may refuse.
    let next = block("put after the failure");
    let acknowledged = case.blocks()?.put(&next.cid, next.data.clone()).is_ok();
    case.drop_and_open()?;
    let when = format!("{when} and the store reopened");
    scene.is_as_said(&case, way, 0, &result, &when)?;
    if acknowledged {
        holds(&*case.blocks()?, &next, &format!("put after a {way} {when}"))?;
    }
    Ok(done)
}

/// Writes while the medium fails, through a handle that has not read yet what another has written.
fn fail_while_behind(case: &Case, scene: &Scene, way: Write, fault: Fault) -> Result<bool, Failure> {
    let mut case = case.fresh()?;
    let behind = case.second()?;
    scene.set(&case, way)?;
    case.set_fault(Some(fault))?;
    let result = scene.act(way, &behind, 0)?;
    case.set_fault(None)?;
    drop(behind);
    case.drop_and_open()?;
    let when = format!("through a handle that was behind, and met {fault:?}, after the store was reopened");
    scene.is_as_said(&case, way, 0, &result, &when)?;
    Ok(result.is_ok())
}

/// Checks that the old content is still there, unless the handle reports that it cannot read.
pub(super) fn kept_or_failed(case: &Case, scene: &Scene, way: Write, when: &str) -> Result<(), Failure> {
    let eyes = Eyes::without_tables(case.handles());
    for block in scene.kept() {
        let subject = Subject::Block(block.clone());
        for read in [Read::Get, Read::WithBlock, Read::GetMany, Read::Has, Read::HasMany, Read::Size, Read::Cids] {
            let seen = read.sees(&eyes, &subject, when)?;
            let fine = seen.as_ref().map_or_else(says_so, |there| *there);
            ensure(fine, format_args!("{read}: {subject} {when}"), "Ok(true), or Err(Backend)", seen.show())?;
        }
    }
    if let Some(heads) = case.handles().as_heads() {
        let seen = heads.heads();
        let fine = seen.as_ref().map_or_else(says_so, |heads| heads.len() == scene.head_count(way));
        ensure(fine, format_args!("heads() {when}"), "as many heads as there were, or Err(Backend)", seen.show())?;
    }
    Ok(())
}

pub(crate) fn opening_that_fails_is_no_empty_store(case: &mut Case) -> LawResult {
    let scene = Scene::new(3);
    for fault in FAULTS {
        at_growing(|n| {
            let mut case = case.fresh()?;
            scene.set(&case, Write::Put)?;
            let opened = case.open_under(fault(n))?;
            let when = format!("in a store opened while the medium failed: {:?}", fault(n));
            if opened {
                kept_or_failed(&case, &scene, Write::Put, &when)?;
                case.set_fault(None)?;
                kept_or_failed(&case, &scene, Write::Put, &when)?;
                case.drop_and_open()?;
            }
            scene.rest_is_kept(Write::Put, case.handles(), &format!("{when}, and once more"))?;
            Ok(opened)
        })?;
    }
    if !case.is_slow() {
        at_few(|n| open_a_larger_store(case, n))?;
    }
    Ok(())
}

/// An opening may read a store in pieces. Reads fail after the first of them.
fn open_a_larger_store(case: &Case, reads: u32) -> Result<bool, Failure> {
    let (scene, mut case) = (Scene::of_many_bytes(), case.fresh()?);
    scene.set(&case, Write::PutMany)?;
    let parts = blocks("one of many", LARGE);
    put_many(&*case.blocks()?, &parts)?;
    saw("put_many of 9 MiB", scene.act(Write::PutMany, case.handles(), 0)?).ok()?;
    let opened = case.open_under(Fault::ReadsAfter(reads))?;
    case.set_fault(None)?;
    let when = format!("in a store of 9 MiB that was opened while reads failed after {reads}");
    for again in ["", ", once more"] {
        let when = format!("{when}{again}");
        scene.rest_is_kept(Write::PutMany, case.handles(), &when)?;
        let extent = scene.extent(Write::PutMany, case.handles(), 0, true, &when)?;
        ensure(extent == Extent::All, &when, "all of its blocks", format_args!("{extent:?} of them"))?;
        for block in [&parts[0], &parts[LARGE / 2], &parts[LARGE - 1]] {
            saw(format_args!("get({}) {when}", block.cid), case.blocks()?.get(&block.cid))
                .is(Some(block.data.clone()))?;
        }
        case.drop_and_open()?;
    }
    Ok(opened)
}

pub(crate) fn no_read_waits_for_a_sync_of_any_write(case: &mut Case) -> LawResult {
    let (scene, many) = (Scene::new(40), case.in_time(LISTED));
    let reads = reads_of("no_read_waits_for_a_sync_of_any_write");
    for way in durable(case, writes_of("no_read_waits_for_a_sync_of_any_write")) {
        let case = case.fresh()?;
        scene.set(&case, way)?;
        let mut eyes = vec![Eyes::new(case.handles())?];
        if case.has(Profile::SecondHandle) {
            eyes.push(Eyes::new(&case.second()?)?);
        }
        // So that listings have several pages, and the other handle is behind.
        let content = IdleContent::write(&case, many, Vec::new())?;
        put(&*case.blocks()?, &sized(2 << 20))?;
        let write = || saw(format_args!("{way} whose sync waits"), scene.act(way, case.handles(), 0)?).ok();
        let looks = Looks { case: &case, scene: &scene, content: &content, way, now: Mutex::default() };
        let look = || eyes.iter().try_for_each(|eyes| looks.read_all(eyes, &reads));
        beside_a_waiting_write(&case, write, look, &looks.now)?;
    }
    Ok(())
}

/// Reads beside a write that waits for its sync.
struct Looks<'a> {
    case: &'a Case,
    scene: &'a Scene,
    content: &'a IdleContent,
    way: Write,
    /// The read that has begun.
    now: Mutex<String>,
}

impl Looks<'_> {
    /// Tries every way to read once, and records each one before it begins.
    fn read_all(&self, eyes: &Eyes, reads: &[Read]) -> Result<(), Failure> {
        let Self { case, scene, way, .. } = self;
        let subjects = [Subject::Block(scene.kept()[0].clone()), scene.row_that_stays()];
        let when = format!("while a {way} waits for its sync");
        let begin = |what: &dyn std::fmt::Display| *lock(&self.now) = format!("{what} {when}");
        for read in reads.iter().filter(|read| case.has(read.needs())) {
            for subject in subjects.iter().filter(|subject| read.looks_for(subject)) {
                begin(&format_args!("{read}: {subject}"));
                saw(format_args!("{read}: {subject} {when}"), read.sees(eyes, subject, &when)?).is(true)?;
            }
        }
        // Whether the data being written is visible yet is open, but the answer must not wait.
        for subject in scene.subjects(*way) {
            for read in reads.iter().filter(|read| case.has(read.needs()) && read.looks_for(&subject)) {
                begin(&format_args!("{read}: {subject}"));
                saw(format_args!("{read}: {subject} {when}"), read.sees(eyes, &subject, &when)?).ok()?;
            }
        }
        if let Some(heads) = eyes.handles().as_heads() {
            begin(&"heads()");
            let heads = saw(format_args!("heads() {when}"), heads.heads()).ok()?;
            let all = heads.len() == scene.head_count(*way);
            ensure(all, format_args!("heads() {when}"), "as many heads as there were", heads.show())?;
        }
        let store = offered(eyes.handles().as_blocks(), Profile::Blocks)?;
        let cids: Vec<Cid> = self.content.blocks.iter().map(|block| block.cid).collect();
        begin(&format_args!("get_many of {} blocks", cids.len()));
        let mut found = 0;
        let answered = store.get_many(&cids, &mut |_, data| {
            found += usize::from(data.is_some());
            ControlFlow::Continue(())
        });
        saw(format_args!("get_many of {} blocks {when}", cids.len()), answered.map(|()| found)).is(cids.len())?;
        begin(&format_args!("has_many of {} blocks", cids.len()));
        let has = store.has_many(&cids).map(|there| there.iter().filter(|there| **there).count());
        saw(format_args!("has_many of {} blocks {when}", cids.len()), has).is(cids.len())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Repeats `look` in one thread while `write` waits for its sync in another. Releases the sync after enough looks, or
/// when a look takes too long.
fn beside_a_waiting_write(
    case: &Case,
    write: impl FnOnce() -> Result<(), Failure> + Send,
    look: impl Fn() -> Result<(), Failure> + Sync,
    now: &Mutex<String>,
) -> Result<(), Failure> {
    /// Usually long enough for a thread to reach its first sync.
    const WINDOW: Duration = Duration::from_millis(100);
    let (send, looked) = mpsc::channel();
    case.set_fault(Some(Fault::SyncsWait))?;
    thread::scope(|scope| {
        let writer = scope.spawn(write);
        let reader = scope.spawn(|| {
            let begin = Instant::now();
            let mut looks = look();
            while looks.is_ok() && begin.elapsed() < WINDOW {
                looks = look();
            }
            // After its patience the other end no longer listens.
            let _ = send.send(());
            looks
        });
        let in_time = looked.recv_timeout(case.patience() / 4).is_ok();
        let waits = lock(now).clone();
        let released = case.set_fault(None);
        let (looks, written) = (join(reader), join(writer));
        ensure(in_time, waits, "an answer", "none before the sync was let go")?;
        looks.and(written).and(released)
    })
}

/// A commit of only a requirement and a head, which a store may acknowledge before it has looked for the block.
pub(crate) fn commit_that_cannot_look_moves_no_head(case: &mut Case) -> LawResult {
    let (kept, old, new) = (block("kept"), head("old"), head("new"));
    at_growing(|n| {
        let mut case = case.fresh()?;
        put_many(&*case.blocks()?, std::slice::from_ref(&kept))?;
        update(&*case.heads()?, &old, &[])?;
        case.drop_and_open()?;
        case.set_fault(Some(Fault::ReadsAfter(n)))?;
        let absent = [kept.cid, block("absent").cid];
        let absent = case.store()?.commit(WriteBatch::new().require_all(absent).update(new, [old]));
        case.set_fault(None)?;
        let fine = absent.as_ref().is_err_and(|error| error.kind() == ErrorKind::MissingBlock || says_so(error));
        let did = format_args!("commit that requires an absent block while reads fail after {n}");
        ensure(fine, did, "Err(MissingBlock), or Err(Backend)", absent.show())?;
        case.drop_and_open()?;
        saw("heads() after that", case.heads()?.heads()).is(vec![old])?;
        case.set_fault(Some(Fault::ReadsAfter(n)))?;
        let present = case.store()?.commit(WriteBatch::new().require(kept.cid).update(new, [old]));
        case.set_fault(None)?;
        let fine = present.as_ref().map_or_else(says_so, |()| true);
        let did = format_args!("commit that requires a block that is there while reads fail after {n}");
        ensure(fine, did, "Ok, or Err(Backend)", present.show())?;
        Ok(present.is_ok())
    })?;
    Ok(())
}
