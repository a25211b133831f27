//! The claim that the `Ok` of one write covers everything that its handle could read before.

use bytes::Bytes;

use crate::{
    StoreError, WriteBatch,
    conformance::{
        Claim, Failure, Fault, Handles, Profile,
        case::{Case, offered},
        data::{block, head},
        expect::{ensure, holds, saw},
        failure::LawResult,
        outcomes::at_each,
        show::Show,
        ways::{Scene, Write, writes_of},
    },
};

const TABLE: &str = "unsynced";

/// A write that covers what its handle could read before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Covering {
    /// It writes something.
    By(Write),
    /// A put of a block that is there and durable: it has nothing to write. So have the others.
    PutOfPresent,
    /// A commit of such a block.
    CommitOfPresent,
    /// A commit that only requires such a block.
    Requirement,
    DeleteOfAbsent,
    DeleteManyOfAbsent,
    UpdateToPresent,
    CommitToTheSameHeads,
    DeleteOfAbsentRow,
}

/// What a first write puts into the store without being able to sync it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unsynced {
    Block,
    Head,
    Row,
}

pub(crate) fn ok_covers_what_the_handle_could_read(case: &mut Case) -> LawResult {
    let heads = case.has(Profile::Heads) && case.claims(Claim::HeadsSurvivePower);
    let ways = writes_of("ok_covers_what_the_handle_could_read").into_iter();
    let ways = ways.filter(|way| case.has(way.needs()) && way.durable_by().iter().all(|claim| case.claims(*claim)));
    let idle = Covering::IDLE.into_iter().filter(|covering| case.has(covering.needs()));
    let idle = idle.filter(|covering| heads || !covering.is_about_heads());
    let coverings: Vec<Covering> = ways.map(Covering::By).chain(idle).collect();
    for unsynced in [Unsynced::Block, Unsynced::Head, Unsynced::Row] {
        let has = match unsynced {
            Unsynced::Block => true,
            Unsynced::Head => heads,
            Unsynced::Row => case.has(Profile::SideTables),
        };
        // A swap names all heads, so it would supersede the one to be covered.
        let fits = |covering: &&Covering| unsynced != Unsynced::Head || **covering != Covering::By(Write::Swap);
        for covering in coverings.iter().filter(fits).filter(|_| has) {
            at_each(|syncs| covered(case, unsynced, *covering, false, syncs))?;
            if case.has(Profile::SecondHandle) {
                at_each(|syncs| covered(case, unsynced, *covering, true, syncs))?;
            }
        }
    }
    Ok(())
}

/// A first write meets a failed sync. Then a handle that can read what it wrote has another write acknowledged, and the
/// power is cut: what it could read must survive.
fn covered(
    case: &Case,
    unsynced: Unsynced,
    covering: Covering,
    through_another: bool,
    syncs: u32,
) -> Result<bool, Failure> {
    let scene = Scene::new(3);
    let mut case = case.fresh()?;
    scene.set(&case, if let Covering::By(way) = covering { way } else { Write::Put })?;
    case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
    let done = unsynced.write(case.handles())?.is_ok();
    case.set_fault(None)?;
    let second = if through_another { Some(case.second()?) } else { None };
    if second.is_none() {
        case.drop_and_open()?;
    }
    let handles = second.as_ref().unwrap_or(case.handles());
    let there = unsynced.is_there(handles, "before the power was cut")?;
    saw(covering.name(), covering.act(handles, &scene)?).ok()?;
    case.cut_power_after(0)?;
    drop(second);
    case.drop_and_open()?;
    let when = format!(
        "after a power cut: its write met a failure after {syncs} syncs, it could be read, then {} was acknowledged",
        covering.name()
    );
    let survived = unsynced.is_there(case.handles(), &when)?;
    ensure(survived || !there, format_args!("{} {when}", unsynced.name()), "it is there", "nothing")?;
    Ok(done)
}

impl Unsynced {
    fn name(self) -> &'static str {
        match self {
            Self::Block => "a block",
            Self::Head => "a head",
            Self::Row => "a row",
        }
    }

    fn row() -> (Bytes, Bytes) {
        (Bytes::from_static(b"written while syncs fail"), Bytes::from_static(b"value"))
    }

    fn write(self, handles: &Handles) -> Result<Result<(), StoreError>, Failure> {
        let written = block("written while syncs fail");
        Ok(match self {
            Self::Block => offered(handles.as_blocks(), Profile::Blocks)?.put(&written.cid, written.data),
            Self::Head => offered(handles.as_heads(), Profile::Heads)?.update(&written.cid, &[]),
            Self::Row => {
                let table = offered(handles.as_store(), Profile::Store)?.side_table(TABLE);
                table.and_then(|table| table.write(&[Self::row()], &[]))
            }
        })
    }

    fn is_there(self, handles: &Handles, when: &str) -> Result<bool, Failure> {
        let written = block("written while syncs fail");
        match self {
            Self::Block => {
                let store = offered(handles.as_blocks(), Profile::Blocks)?;
                let there = saw(format_args!("has {when}"), store.has(&written.cid)).ok()?;
                if there {
                    holds(&*store, &written, when)?;
                }
                Ok(there)
            }
            Self::Head => {
                let heads = offered(handles.as_heads(), Profile::Heads)?.heads();
                Ok(saw(format_args!("heads() {when}"), heads).ok()?.contains(&written.cid))
            }
            Self::Row => {
                let table = saw("side_table", offered(handles.as_store(), Profile::Store)?.side_table(TABLE)).ok()?;
                let (key, value) = Self::row();
                let did = format_args!("get of a row {when}");
                let found = saw(did, table.get(&key)).ok()?;
                ensure(found.as_ref().is_none_or(|found| *found == value), did, "a whole row or none", found.show())?;
                Ok(found.is_some())
            }
        }
    }
}

impl Covering {
    /// Those that write nothing.
    const IDLE: [Self; 8] = [
        Self::PutOfPresent,
        Self::Requirement,
        Self::CommitOfPresent,
        Self::DeleteOfAbsent,
        Self::DeleteManyOfAbsent,
        Self::UpdateToPresent,
        Self::CommitToTheSameHeads,
        Self::DeleteOfAbsentRow,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::By(way) => way.name(),
            Self::PutOfPresent => "put of a block that is there",
            Self::CommitOfPresent => "commit of a block that is there",
            Self::Requirement => "commit that only requires a block",
            Self::DeleteOfAbsent => "delete of an absent block",
            Self::DeleteManyOfAbsent => "delete_many of an absent block",
            Self::UpdateToPresent => "update to a head that is there",
            Self::CommitToTheSameHeads => "commit that swaps the heads for themselves",
            Self::DeleteOfAbsentRow => "side table write that deletes an absent row",
        }
    }

    fn needs(self) -> Profile {
        match self {
            Self::By(way) => way.needs(),
            Self::PutOfPresent | Self::DeleteOfAbsent | Self::DeleteManyOfAbsent => Profile::Blocks,
            Self::UpdateToPresent => Profile::Heads,
            Self::CommitOfPresent | Self::Requirement | Self::CommitToTheSameHeads => Profile::Store,
            Self::DeleteOfAbsentRow => Profile::SideTables,
        }
    }

    fn is_about_heads(self) -> bool {
        matches!(self, Self::UpdateToPresent | Self::CommitToTheSameHeads)
    }

    fn act(self, handles: &Handles, scene: &Scene) -> Result<Result<(), StoreError>, Failure> {
        let durable = &scene.kept()[0];
        let (blocks, store) =
            (|| offered(handles.as_blocks(), Profile::Blocks), || offered(handles.as_store(), Profile::Store));
        Ok(match self {
            Self::By(way) => scene.act(way, handles, 0)?,
            Self::PutOfPresent => blocks()?.put(&durable.cid, durable.data.clone()),
            Self::CommitOfPresent => store()?.commit(WriteBatch::new().put(durable.cid, durable.data.clone())),
            Self::Requirement => store()?.commit(WriteBatch::new().require(durable.cid)),
            Self::DeleteOfAbsent => blocks()?.delete(&block("absent").cid),
            Self::DeleteManyOfAbsent => blocks()?.delete_many(&mut std::iter::once(Ok(block("absent").cid))),
            Self::UpdateToPresent => offered(handles.as_heads(), Profile::Heads)?.update(&head("old"), &[]),
            Self::CommitToTheSameHeads => {
                let heads = saw("heads()", offered(handles.as_heads(), Profile::Heads)?.heads()).ok()?;
                store()?.commit(WriteBatch::new().swap_all(heads.clone(), heads))
            }
            Self::DeleteOfAbsentRow => {
                let table = store()?.side_table(TABLE);
                table.and_then(|table| table.write(&[], &[Bytes::from_static(b"absent")]))
            }
        })
    }
}
