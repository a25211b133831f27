//! The claim that the `Ok` of one write covers everything that its handle could read before.

use std::fmt;

use bytes::Bytes;
use cid::Cid;

use crate::{
    StoreError,
    conformance::{
        Claim, Failure, Fault, Handles, Profile,
        case::{Case, offered},
        data::{block, head},
        expect::{ensure, holds, saw},
        failure::LawResult,
        outcomes::{LARGE, at_each},
        show::Show,
        ways::{Idle, IdleContent, Scene, Write, writes_of},
    },
};

const TABLE: &str = "unsynced";

/// A write that covers what its handle could read before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Covering {
    /// It writes something.
    By(Write),
    /// It has nothing to write, and names so many durable blocks or rows.
    Idle(Idle, usize),
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
    let ways = ways.filter(|way| way.is_offered(case) && way.durable_by().iter().all(|claim| case.claims(*claim)));
    let idle = Idle::all().into_iter().filter(|idle| idle.is_offered(case) && (heads || !idle.is_about_heads()));
    let idle: Vec<Idle> = idle.collect();
    let large = case.in_short(LARGE);
    let coverings: Vec<Covering> =
        ways.map(Covering::By).chain(idle.iter().map(|idle| Covering::Idle(*idle, 1))).collect();
    let larger: Vec<Covering> =
        idle.iter().filter(|idle| idle.is_batch()).map(|idle| Covering::Idle(*idle, large)).collect();
    for unsynced in [Unsynced::Block, Unsynced::Head, Unsynced::Row] {
        let has = match unsynced {
            Unsynced::Block => true,
            Unsynced::Head => heads,
            Unsynced::Row => case.has(Profile::SideTables),
        };
        // A swap names all heads, so it would supersede the one to be covered.
        let swaps = [Covering::By(Write::Swap), Covering::Idle(Idle::Swap, 1)];
        let fits = |covering: &&Covering| unsynced != Unsynced::Head || !swaps.contains(covering);
        // Many items are tried with one kind of content, because they take long.
        let larger = if unsynced == Unsynced::Block { &larger[..] } else { &[] };
        for covering in coverings.iter().chain(larger).filter(fits).filter(|_| has) {
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
    let n = if let Covering::Idle(_, n) = covering { n } else { 1 };
    let mut content = IdleContent::write(&case, n, vec![head("old")])?;
    // Opened now, because an opening after the failure might make the data durable.
    let second = if through_another { Some(case.second()?) } else { None };
    case.set_fault(Some(Fault::SyncsAfter(syncs)))?;
    let done = unsynced.write(case.handles())?.is_ok();
    case.set_fault(None)?;
    if second.is_none() {
        case.drop_and_open()?;
    }
    let handles = second.as_ref().unwrap_or(case.handles());
    let there = unsynced.is_there(handles, "before the power was cut")?;
    if there && unsynced == Unsynced::Head {
        content.heads.push(unsynced_cid());
    }
    let acknowledged = match covering {
        Covering::By(way) => scene.act(way, handles, 0)?,
        Covering::Idle(idle, n) => idle.act(handles, &content, n)?,
    };
    saw(covering, acknowledged).ok()?;
    case.cut_power_after(0)?;
    drop(second);
    case.drop_and_open()?;
    let when = format!(
        "after a power cut: its write met a failure after {syncs} syncs, it could be read, then {covering} was acknowledged"
    );
    let survived = unsynced.is_there(case.handles(), &when)?;
    ensure(survived || !there, format_args!("{} {when}", unsynced.name()), "it is there", "nothing")?;
    Ok(done)
}

/// The block, or the head, of the first write.
fn unsynced_cid() -> Cid {
    block("written while syncs fail").cid
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

impl fmt::Display for Covering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(way) => way.fmt(f),
            Self::Idle(idle, n) => write!(f, "{idle} ({n})"),
        }
    }
}
