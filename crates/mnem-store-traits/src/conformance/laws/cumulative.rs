//! The claim that the `Ok` of one write covers everything that its handle could read before.

use crate::{
    StoreError, WriteBatch,
    conformance::{
        Failure, Fault, Handles, Profile,
        case::{Case, offered},
        data::{Block, block},
        expect::{holds, saw},
        failure::LawResult,
        outcomes::at_each,
        ways::{Scene, Write, writes_of},
    },
};

/// A write that covers what its handle could read before.
#[derive(Clone, Copy)]
enum Covering {
    /// It writes something.
    By(Write),
    /// A put of a block that is there and durable: it has nothing to write.
    PutOfPresent,
    /// A commit that only requires such a block.
    Requirement,
}

pub(crate) fn ok_covers_what_the_handle_could_read(case: &mut Case) -> LawResult {
    let ways = writes_of("ok_covers_what_the_handle_could_read").into_iter();
    let ways = ways.filter(|way| case.has(way.needs()) && way.durable_by().iter().all(|claim| case.claims(*claim)));
    let covering = ways.map(Covering::By).chain([Covering::PutOfPresent]);
    let covering = covering.chain(case.has(Profile::Store).then_some(Covering::Requirement));
    for covering in covering.collect::<Vec<_>>() {
        at_each(|syncs| covered(case, covering, false, syncs))?;
        if case.has(Profile::SecondHandle) {
            at_each(|syncs| covered(case, covering, true, syncs))?;
        }
    }
    Ok(())
}

/// The first put of a block meets a failed sync. Then a handle that can read the block has another write acknowledged,
/// and the power is cut: the block must survive.
fn covered(case: &Case, covering: Covering, through_another: bool, syncs: u32) -> Result<bool, Failure> {
    let (unsynced, durable, scene) = (block("put while syncs fail"), block("durable before"), Scene::new(3));
    let mut case = case.fresh()?;
    if let Covering::By(way) = covering {
        scene.set(&case, way)?;
    }
    saw("put", case.blocks()?.put(&durable.cid, durable.data.clone())).ok()?;
    case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
    let done = case.blocks()?.put(&unsynced.cid, unsynced.data.clone()).is_ok();
    case.set_fault(None)?;
    let second = if through_another { Some(case.second()?) } else { None };
    if second.is_none() {
        case.drop_and_open()?;
    }
    let handles = second.as_ref().unwrap_or(case.handles());
    let there = saw("has", offered(handles.as_blocks(), Profile::Blocks)?.has(&unsynced.cid)).ok()?;
    saw(covering.name(), act(handles, covering, &scene, &durable)?).ok()?;
    case.cut_power_after(0)?;
    drop(second);
    case.drop_and_open()?;
    if there {
        let when = format!(
            "after a power cut: its put met a failure after {syncs} syncs, it could be read, then {} was acknowledged",
            covering.name()
        );
        holds(&*case.blocks()?, &unsynced, &when)?;
    }
    Ok(done)
}

fn act(
    handles: &Handles,
    covering: Covering,
    scene: &Scene,
    durable: &Block,
) -> Result<Result<(), StoreError>, Failure> {
    match covering {
        Covering::By(way) => scene.act(way, handles, 0),
        Covering::PutOfPresent => Write::Put.put(handles, std::slice::from_ref(durable)),
        Covering::Requirement => {
            Ok(offered(handles.as_store(), Profile::Store)?.commit(WriteBatch::new().require(durable.cid)))
        }
    }
}

impl Covering {
    fn name(self) -> &'static str {
        match self {
            Self::By(way) => way.name(),
            Self::PutOfPresent => "put of a block that is there",
            Self::Requirement => "commit that only requires a block",
        }
    }
}
