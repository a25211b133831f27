//! Power cuts during and after every way to write.

use std::{sync::mpsc, thread, time::Duration};

use crate::{
    StoreError, WriteBatch,
    conformance::{
        Failure, Fault, Handles, Profile,
        case::{Case, offered},
        data::{Block, block, blocks, head, sized},
        expect::{ensure, heads_are, holds, put, put_many, saw},
        failure::LawResult,
        outcomes::{LARGE, at_each, at_few},
        threads::join,
        ways::{Extent, Scene, Write, writes_of},
    },
};

pub(crate) fn every_acknowledged_write_survives_a_power_cut(case: &mut Case) -> LawResult {
    for way in writes_of("every_acknowledged_write_survives_a_power_cut") {
        let claimed = way.durable_by().iter().all(|claim| case.claims(*claim));
        if way.is_offered(case) && claimed {
            at_each(|operations| cut_within(case, way, 3, operations))?;
            if way.is_batch() {
                // A batch of one may take the code path of a single block.
                at_few(|operations| cut_within(case, way, 1, operations))?;
            }
            if way.is_batch() && !case.is_slow() {
                at_few(|operations| cut_within(case, way, case.in_short(LARGE), operations))?;
            }
        }
    }
    Ok(())
}

/// A first write completes; the power is cut `operations` into a second one. Then the second write is repeated, a third
/// follows, and the power is cut again.
fn cut_within(case: &Case, way: Write, size: usize, operations: u32) -> Result<bool, Failure> {
    let scene = Scene::new(size);
    let mut case = case.fresh()?;
    scene.set(&case, way)?;
    saw(format_args!("{way}"), scene.act(way, case.handles(), 0)?).ok()?;
    case.cut_power_after(operations.into())?;
    let result = scene.act(way, case.handles(), 1)?;
    let done = result.is_ok();
    case.drop_and_open()?;
    let when = format!("after the power was cut {operations} operations into it");
    scene.is_as_said(&case, way, 1, &result, &when)?;
    is_all_there(&case, &scene, way, 0, false, &when)?;
    ensure(
        !done || operations > 0,
        format_args!("{way} after cut_power_after(0)"),
        "an error: the power is off",
        "Ok",
    )?;
    // If the second swap took effect, a repetition would find other heads than it expects.
    if way != Write::Swap || scene.extent(way, case.handles(), 1, true, &when)? == Extent::Nothing {
        saw(format_args!("{way} once more, {when}"), scene.act(way, case.handles(), 1)?).ok()?;
    }
    saw(format_args!("another {way}, {when}"), scene.act(way, case.handles(), 2)?).ok()?;
    case.cut_power_after(0)?;
    case.drop_and_open()?;
    let when = format!("{when}, was written again, and the power cut once more");
    scene.rest_is_kept(way, case.handles(), &when)?;
    for round in 0..3 {
        is_all_there(&case, &scene, way, round, round == 2, &when)?;
    }
    Ok(done)
}

fn is_all_there(
    case: &Case,
    scene: &Scene,
    way: Write,
    round: usize,
    is_last: bool,
    when: &str,
) -> Result<(), Failure> {
    if matches!(way, Write::Update | Write::Swap) && !is_last {
        return Ok(());
    }
    let extent = scene.extent(way, case.handles(), round, is_last, when)?;
    let did = format_args!("write {round} by {way} {when}");
    ensure(extent == Extent::All, did, "all of it: it was acknowledged", format_args!("{extent:?} of it"))
}

pub(crate) fn every_write_makes_an_unsynced_block_durable(case: &mut Case) -> LawResult {
    let ways = writes_of("every_write_makes_an_unsynced_block_durable");
    let ways: Vec<Write> = ways.into_iter().filter(|way| way.is_offered(case)).collect();
    // A batch contains the block once alone, so that there is nothing to write, once beside a new block that must be
    // written, and once among many that are present and durable.
    let many = Beside::Present(case.in_short(LARGE));
    let batches = ways.iter().filter(|way| way.is_batch());
    let alone = ways.iter().map(|way| Relies::Puts { way: *way, beside: Beside::Nothing });
    let among = batches.flat_map(|way| [Beside::New, many].map(|beside| Relies::Puts { way: *way, beside }));
    let requires = [Beside::Nothing, many].into_iter().filter(|_| case.has(Profile::Store));
    let relies: Vec<Relies> = alone.chain(among).chain(requires.map(|beside| Relies::Requires { beside })).collect();
    for through in [Through::Reopened, Through::Another, Through::AnotherThatFailed] {
        if through != Through::Reopened && !case.has(Profile::SecondHandle) {
            continue;
        }
        for relies in &relies {
            at_each(|syncs| unsynced(case, *relies, through, syncs))?;
        }
    }
    Ok(())
}

/// The handle that relies on the block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Through {
    /// The next handle opened in this place.
    Reopened,
    /// A second handle, opened beside the first.
    Another,
    /// A handle that was open before the first put, and had a large write fail. It may have refused all writes since.
    AnotherThatFailed,
}

/// A second handle, on which a large write failed.
fn second_that_failed(case: &Case) -> Result<Handles, Failure> {
    let second = case.second()?;
    let large = sized(64 * 1024);
    case.set_fault(Some(Fault::WritesAfter(0)))?;
    let failed = offered(second.as_blocks(), Profile::Blocks)?.put(&large.cid, large.data);
    case.set_fault(None)?;
    ensure(failed.is_err(), "put while every write of the medium fails", "an error", "Ok")?;
    Ok(second)
}

/// A write whose `Ok` promises that a block already in the store is durable.
#[derive(Clone, Copy)]
enum Relies {
    Puts {
        way: Write,
        beside: Beside,
    },
    /// A commit with a head that requires the block.
    Requires {
        beside: Beside,
    },
}

/// What else such a write names, before the block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    New,
    /// So many blocks that are present and durable.
    Present(usize),
}

impl Beside {
    fn is_present_before(self) -> bool {
        matches!(self, Self::Present(_))
    }

    fn blocks(self) -> Vec<Block> {
        match self {
            Self::Nothing => Vec::new(),
            Self::New => vec![block("new beside it")],
            Self::Present(n) => blocks("present beside it", n),
        }
    }
}

impl Relies {
    fn name(self) -> &'static str {
        match self {
            Self::Puts { way, .. } => way.name(),
            Self::Requires { .. } => "commit that requires it",
        }
    }

    fn beside(self) -> Beside {
        match self {
            Self::Puts { beside, .. } | Self::Requires { beside } => beside,
        }
    }
}

fn rely_on(handles: &Handles, relies: Relies, block: &Block) -> Result<Result<(), StoreError>, Failure> {
    let mut all = relies.beside().blocks();
    all.push(block.clone());
    match relies {
        Relies::Puts { way, .. } => way.put(handles, &all),
        Relies::Requires { .. } => {
            let mut batch = WriteBatch::new();
            batch.require_all(all.iter().map(|block| block.cid)).update(head("that relies on it"), []);
            Ok(offered(handles.as_store(), Profile::Store)?.commit(&batch))
        }
    }
}

/// The first put of a block meets a failed sync. Then a write that relies on the block is acknowledged, and the power
/// is cut: the block must survive.
fn unsynced(case: &Case, relies: Relies, through: Through, syncs: u32) -> Result<bool, Failure> {
    let block = block("put while syncs fail");
    let mut case = case.fresh()?;
    if relies.beside().is_present_before() {
        put_many(&*case.blocks()?, &relies.beside().blocks())?;
    }
    let failed = (through == Through::AnotherThatFailed).then(|| second_that_failed(&case)).transpose()?;
    case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
    let done = case.blocks()?.put(&block.cid, block.data.clone()).is_ok();
    case.set_fault(None)?;
    let second = if through == Through::Another { Some(case.second()?) } else { failed };
    if second.is_none() {
        case.drop_and_open()?;
    }
    let handles = second.as_ref().unwrap_or(case.handles());
    let (name, requires) = (relies.name(), matches!(relies, Relies::Requires { .. }));
    let there = saw("has", offered(handles.as_blocks(), Profile::Blocks)?.has(&block.cid)).ok()?;
    let relied = rely_on(handles, relies, &block)?;
    let is_poisoned = |error: &StoreError| error.kind() == crate::ErrorKind::Poisoned;
    if through == Through::AnotherThatFailed && relied.as_ref().is_err_and(is_poisoned) {
        return Ok(done);
    }
    if requires && !there {
        saw("commit that requires a block which is not there", relied).refused(crate::ErrorKind::MissingBlock)?;
        return Ok(done);
    }
    let among = relies.beside().blocks().len();
    saw(format_args!("{name} of {among} others and a block whose first put met a failure after {syncs} syncs"), relied)
        .ok()?;
    case.cut_power_after(0)?;
    drop(second);
    case.drop_and_open()?;
    let when = format!(
        "after a power cut: its first put met a failure after {syncs} syncs, then {name} was acknowledged, of it and {among} others"
    );
    holds(&*case.blocks()?, &block, &when)?;
    if requires {
        heads_are(&*case.heads()?, &[head("that relies on it")], &when)?;
    }
    Ok(done)
}

pub(crate) fn every_write_that_finds_its_work_done_is_durable(case: &mut Case) -> LawResult {
    case.must_have_syncs()?;
    for way in writes_of("every_write_that_finds_its_work_done_is_durable") {
        let claimed = way.durable_by().iter().all(|claim| case.claims(*claim));
        if !way.is_offered(case) || !claimed {
            continue;
        }
        at_each(|syncs| repeated(case, way, false, syncs))?;
        if case.has(Profile::SecondHandle) {
            at_each(|syncs| repeated(case, way, true, syncs))?;
        }
    }
    Ok(())
}

/// The sync of a write fails. Then a handle that may find nothing to do repeats the write, and the power is cut: the
/// write must survive.
fn repeated(case: &Case, way: Write, through_another: bool, syncs: u32) -> Result<bool, Failure> {
    let scene = Scene::new(3);
    let mut case = case.fresh()?;
    scene.set(&case, way)?;
    // Opened now, because an opening after the failure might make the data durable.
    let second = if through_another { Some(case.second()?) } else { None };
    case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
    let done = scene.act(way, case.handles(), 0)?.is_ok();
    case.set_fault(None)?;
    if second.is_none() {
        case.drop_and_open()?;
    }
    let handles = second.as_ref().unwrap_or(case.handles());
    let when = format!("whose first attempt met a failure after {syncs} syncs");
    let again = if way == Write::Swap {
        // If the first attempt took effect, this swap replaces a head by itself and finds nothing to do.
        let heads = offered(handles.as_heads(), Profile::Heads)?;
        let seen = saw("heads()", heads.heads()).ok()?;
        heads.swap(&seen, &scene.head(way, 0))
    } else {
        scene.act(way, handles, 0)?
    };
    saw(format_args!("{way} {when}"), again).ok()?;
    case.cut_power_after(0)?;
    drop(second);
    case.drop_and_open()?;
    scene.is_as_said(&case, way, 0, &Ok(()), &format!("{when}, was repeated, and the power cut"))?;
    Ok(done)
}

/// A sync covers what was written before it began, and nothing written while it is in progress.
pub(crate) fn write_beside_a_waiting_sync_is_durable(case: &mut Case) -> LawResult {
    case.must_have_syncs()?;
    for way in writes_of("write_beside_a_waiting_sync_is_durable") {
        let claimed = way.durable_by().iter().all(|claim| case.claims(*claim));
        if way.is_offered(case) && claimed {
            beside_a_waiting_sync(case, way, false)?;
            if case.has(Profile::SecondHandle) {
                beside_a_waiting_sync(case, way, true)?;
            }
            for through_another in [false, true] {
                if way.adds_blocks() && (!through_another || case.has(Profile::SecondHandle)) {
                    same_block_beside_a_waiting_sync(case, way, through_another)?;
                }
            }
        }
    }
    Ok(())
}

/// No sync ends meanwhile, so a put of the same block cannot be durable before the sync goes on.
fn same_block_beside_a_waiting_sync(case: &Case, way: Write, through_another: bool) -> Result<(), Failure> {
    const WINDOW: Duration = Duration::from_millis(20);
    let (case, block) = (case.fresh()?, block("whose sync waits"));
    let second = if through_another { Some(case.second()?) } else { None };
    let handles = second.as_ref().unwrap_or(case.handles());
    let (store, (send, done)) = (case.blocks()?, mpsc::channel());
    case.set_fault(Some(Fault::SyncsWait))?;
    let (early, first, again) = thread::scope(|scope| {
        let first = scope.spawn(|| saw("put whose sync waits", store.put(&block.cid, block.data.clone())).ok());
        thread::sleep(WINDOW);
        let again = scope.spawn(|| {
            let written = way.put(handles, std::slice::from_ref(&block));
            // After the window nobody listens any more.
            let _ = send.send(written.as_ref().is_ok_and(Result::is_ok));
            written
        });
        let early = done.recv_timeout(WINDOW).unwrap_or(false);
        let released = case.set_fault(None);
        (early, join(first).and(released), join(again))
    });
    first?;
    let did = format_args!("{way} of a block whose put waits for its sync");
    ensure(!early, did, "no Ok before a sync has ended", "Ok")?;
    saw(did, again?).ok()
}

/// The sync of a put waits while a second write begins. Both are acknowledged, then the power is cut.
fn beside_a_waiting_sync(case: &Case, way: Write, through_another: bool) -> Result<(), Failure> {
    /// Usually long enough for a thread to reach its first sync.
    const WINDOW: Duration = Duration::from_millis(20);
    let (scene, first) = (Scene::new(3), block("whose sync waits"));
    let mut case = case.fresh()?;
    scene.set(&case, way)?;
    let second = if through_another { Some(case.second()?) } else { None };
    let handles = second.as_ref().unwrap_or(case.handles());
    let store = case.blocks()?;
    let (send, done) = mpsc::channel();
    let done_too = send.clone();
    case.set_fault(Some(Fault::SyncsWait))?;
    let (put, written) = thread::scope(|scope| {
        let put = scope.spawn(|| {
            let put = saw("put whose sync waits", store.put(&first.cid, first.data.clone())).ok();
            // After the window nobody listens any more.
            let _ = send.send(());
            put
        });
        // By now the write is either done without a sync, or it waits for one.
        let _ = done.recv_timeout(WINDOW);
        let write = scope.spawn(|| {
            let written = scene.act(way, handles, 0);
            let _ = done_too.send(());
            written
        });
        let _ = done.recv_timeout(WINDOW);
        let released = case.set_fault(None);
        (join(put).and(released), join(write))
    });
    put?;
    saw(format_args!("{way} that began while a sync waited"), written?).ok()?;
    case.cut_power_after(0)?;
    drop((store, second));
    case.drop_and_open()?;
    let when = "after a power cut: it began while the sync of a put waited, and was acknowledged";
    holds(&*case.blocks()?, &first, "after a power cut: its sync had waited")?;
    scene.is_as_said(&case, way, 0, &Ok(()), when)
}

pub(crate) fn power_cut_in_close_loses_nothing(case: &mut Case) -> LawResult {
    let scene = Scene::new(3);
    at_each(|operations| {
        let mut case = case.fresh()?;
        scene.set(&case, Write::Put)?;
        saw("put", scene.act(Write::Put, case.handles(), 0)?).ok()?;
        case.cut_power_after(operations.into())?;
        let closed = case.store()?.close().is_ok();
        case.drop_and_open()?;
        let when = format!("after the power was cut {operations} operations into close()");
        scene.rest_is_kept(Write::Put, case.handles(), &when)?;
        is_all_there(&case, &scene, Write::Put, 0, true, &when)?;
        Ok(closed)
    })?;
    Ok(())
}

pub(crate) fn power_cut_while_opening_loses_nothing(case: &mut Case) -> LawResult {
    let way = if case.has(Profile::Store) { Write::CommitHead } else { Write::PutMany };
    let way = if way.durable_by().iter().all(|claim| case.claims(*claim)) { way } else { Write::PutMany };
    // The states that the opening finds: a clean store, and one left by an interrupted write.
    for interrupted in [None, Some(1), Some(2), Some(3), Some(4), Some(6)] {
        // The medium chooses which of the last writes survive a cut, and may choose differently after other writes.
        let choices = if interrupted.is_some() && !case.is_slow() { CHOICES } else { 1 };
        for before in 0..choices {
            at_each(|operations| cut_while_opening(case, way, before, interrupted, operations))?;
        }
    }
    Ok(())
}

/// How often a cut is tried, each time after another number of writes.
const CHOICES: usize = 4;

/// Returns whether the power lasted until the store was open and one more write was done.
fn cut_while_opening(
    case: &Case,
    way: Write,
    before: usize,
    interrupted: Option<u64>,
    operations: u32,
) -> Result<bool, Failure> {
    let scene = Scene::new(3);
    let mut case = case.fresh()?;
    blocks("put before", before).iter().try_for_each(|block| put(&*case.blocks()?, block))?;
    scene.set(&case, way)?;
    saw(format_args!("{way}"), scene.act(way, case.handles(), 0)?).ok()?;
    let second = match interrupted {
        Some(operations) => {
            case.cut_power_after(operations)?;
            Some(scene.act(way, case.handles(), 1)?)
        }
        None => None,
    };
    let last = block("put by the opening that was cut");
    let opened = case.open_with_a_cut(operations.into())?;
    let done = opened && case.blocks()?.put(&last.cid, last.data.clone()).is_ok();
    case.drop_and_open()?;
    let cut_off =
        interrupted.map_or_else(String::new, |n| format!(", after a {way} that was cut off {n} operations in"));
    let when = format!("after the power was cut {operations} operations into the opening{cut_off}");
    for again in ["", ", and once more"] {
        let when = format!("{when}{again}");
        scene.rest_is_kept(way, case.handles(), &when)?;
        is_all_there(&case, &scene, way, 0, second.is_none(), &when)?;
        if let Some(second) = &second {
            scene.is_as_said(&case, way, 1, second, &when)?;
        }
        if done {
            holds(&*case.blocks()?, &last, &when)?;
        }
        case.cut_power_after(0)?;
        case.drop_and_open()?;
    }
    saw(format_args!("put {when}"), scene.act(Write::Put, case.handles(), 2)?).ok()?;
    ensure(!done || operations > 0, "put after cut_power_while_opening(0)", "an error: the power is off", "Ok")?;
    Ok(done)
}
