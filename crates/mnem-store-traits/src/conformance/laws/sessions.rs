//! Sessions: what a handle must not lose, although it has never used it or another handle wrote it.

use bytes::Bytes;

use crate::{
    Store,
    conformance::{
        Claim, Failure, Handles, Profile,
        case::{Case, offered},
        data::{block, blocks, head},
        expect::{heads_are, holds, lists, put, put_many, saw, update},
        failure::LawResult,
    },
};

const TABLE: &str = "table";

fn kept_row() -> (Bytes, Bytes) {
    (Bytes::from_static(b"kept"), Bytes::from_static(b"value"))
}

fn keeps_heads(case: &Case) -> bool {
    case.has(Profile::Heads) && case.claims(Claim::HeadsSurvive)
}

fn write_row(store: &dyn Store, row: &(Bytes, Bytes)) -> Result<(), Failure> {
    let table = saw("side_table", store.side_table(TABLE)).ok()?;
    saw("write", table.write(std::slice::from_ref(row), &[])).ok()
}

/// Writes a block, a head and a row.
fn fill(case: &Case, handles: &Handles) -> Result<(), Failure> {
    put(&*offered(handles.as_blocks(), Profile::Blocks)?, &block("kept"))?;
    if keeps_heads(case) {
        update(&*offered(handles.as_heads(), Profile::Heads)?, &head("kept"), &[])?;
    }
    if case.has(Profile::SideTables) {
        write_row(&*offered(handles.as_store(), Profile::Store)?, &kept_row())?;
    }
    Ok(())
}

fn is_filled(case: &Case, when: &str) -> Result<(), Failure> {
    holds(&*case.blocks()?, &block("kept"), when)?;
    if keeps_heads(case) {
        heads_are(&*case.heads()?, &[head("kept")], when)?;
    }
    if case.has(Profile::SideTables) {
        let (store, (key, value)) = (case.store()?, kept_row());
        let row = store.side_table(TABLE).and_then(|table| table.get(&key));
        saw(format_args!("get of a row {when}"), row).is(Some(value))?;
        saw(format_args!("side_tables() {when}"), store.side_tables()).is(vec![TABLE.into()])?;
    }
    Ok(())
}

/// What a session does before it ends.
#[derive(Clone, Copy)]
enum Use {
    Nothing,
    ReadsABlock,
    WritesBlocks,
    WritesHeads,
    WritesRows,
}

impl Use {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Nothing, "does nothing"),
        (Self::ReadsABlock, "reads a block"),
        (Self::WritesBlocks, "writes only blocks"),
        (Self::WritesHeads, "writes only heads"),
        (Self::WritesRows, "writes only rows"),
    ];

    fn act(self, case: &Case) -> Result<(), Failure> {
        match self {
            Self::ReadsABlock => holds(&*case.blocks()?, &block("kept"), "in a session that reads nothing else"),
            Self::WritesBlocks => put(&*case.blocks()?, &block("of a session of blocks")),
            Self::WritesHeads if keeps_heads(case) => update(&*case.heads()?, &head("kept"), &[head("never there")]),
            Self::WritesRows if case.has(Profile::SideTables) => {
                write_row(&*case.store()?, &(Bytes::from_static(b"of a session of rows"), Bytes::new()))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn session_keeps_what_it_does_not_use(case: &mut Case) -> LawResult {
    fill(case, case.handles())?;
    for (session, what) in Use::ALL {
        case.reopen()?;
        session.act(case)?;
        case.reopen()?;
        is_filled(case, &format!("after a session that {what}"))?;
    }
    // A session may also end without `close`.
    for (session, what) in Use::ALL {
        case.drop_and_open()?;
        session.act(case)?;
        case.drop_and_open()?;
        is_filled(case, &format!("after a session that {what} and was dropped without close()"))?;
    }
    Ok(())
}

pub(crate) fn openings_may_be_closed_in_any_order(case: &mut Case) -> LawResult {
    for first_is_last in [true, false] {
        for first_writes in [true, false] {
            let mut case = case.fresh()?;
            let before = block("of the first opening");
            if first_writes {
                put(&*case.blocks()?, &before)?;
            }
            let second = case.second()?;
            fill(&case, &second)?;
            let last = if first_is_last { case.handles().clone() } else { second.clone() };
            for handles in [if first_is_last { second } else { case.handles().clone() }, last] {
                if let Some(store) = handles.as_store() {
                    saw("close() of one of two openings", store.close()).ok()?;
                }
            }
            case.drop_and_open()?;
            let order = if first_is_last { "the second opening first" } else { "the first opening first" };
            let when = format!("that a second opening wrote, after both were closed, {order}, and the store reopened");
            is_filled(&case, &when)?;
            if first_writes {
                holds(&*case.blocks()?, &before, &format!("after both openings were closed, {order}"))?;
            }
        }
    }
    closing_undoes_nothing(case.fresh()?)?;
    Ok(())
}

/// A handle that is closed does not write what it remembers over what another handle has changed since.
fn closing_undoes_nothing(mut case: Case) -> Result<(), Failure> {
    fill(&case, case.handles())?;
    is_filled(&case, "through the handle that wrote it")?;
    let second = case.second()?;
    change_all(&case, &second)?;
    if let Some(store) = case.handles().as_store() {
        saw("close() of an opening that is behind", store.close()).ok()?;
    }
    is_changed(&case, &second, "through a second handle that changed it, after the first was closed")?;
    if let Some(store) = second.as_store() {
        saw("close() of the second opening", store.close()).ok()?;
    }
    drop(second);
    case.drop_and_open()?;
    is_changed(&case, case.handles(), "after both openings were closed and the store reopened")
}

/// Removes what [`fill`] wrote, and writes something else in its place.
fn change_all(case: &Case, handles: &Handles) -> Result<(), Failure> {
    let blocks = offered(handles.as_blocks(), Profile::Blocks)?;
    saw("delete", blocks.delete(&block("kept").cid)).ok()?;
    put(&*blocks, &block("changed"))?;
    if keeps_heads(case) {
        update(&*offered(handles.as_heads(), Profile::Heads)?, &head("changed"), &[head("kept")])?;
    }
    if case.has(Profile::SideTables) {
        let table = saw("side_table", offered(handles.as_store(), Profile::Store)?.side_table(TABLE)).ok()?;
        let new = (Bytes::from_static(b"changed"), Bytes::from_static(b"value"));
        saw("write", table.write(&[new], &[kept_row().0])).ok()?;
    }
    Ok(())
}

fn is_changed(case: &Case, handles: &Handles, when: &str) -> Result<(), Failure> {
    let blocks = offered(handles.as_blocks(), Profile::Blocks)?;
    lists(&*blocks, &[block("changed").cid], when)?;
    holds(&*blocks, &block("changed"), when)?;
    if keeps_heads(case) {
        heads_are(&*offered(handles.as_heads(), Profile::Heads)?, &[head("changed")], when)?;
    }
    if case.has(Profile::SideTables) {
        let table = saw("side_table", offered(handles.as_store(), Profile::Store)?.side_table(TABLE)).ok()?;
        let keys = table.keys(b"").and_then(|keys| keys.collect::<Result<Vec<_>, _>>());
        saw(format_args!("keys() {when}"), keys).is(vec![Bytes::from_static(b"changed")])?;
    }
    Ok(())
}

pub(crate) fn long_listings_survive_reopen(case: &mut Case) -> LawResult {
    /// More than 8,192 and 10,000.
    const LISTED: usize = 10_500;
    let all = blocks("listed", case.in_time(LISTED));
    all.chunks(3500).try_for_each(|part| put_many(&*case.blocks()?, part))?;
    if case.has(Profile::SideTables) {
        let table = saw("side_table", case.store()?.side_table(TABLE)).ok()?;
        for part in all.chunks(3500) {
            let rows: Vec<_> = part.iter().map(|block| (block.data.clone(), Bytes::new())).collect();
            saw("write of many rows", table.write(&rows, &[])).ok()?;
        }
    }
    case.reopen()?;
    let cids: Vec<_> = all.iter().map(|block| block.cid).collect();
    lists(&*case.blocks()?, &cids, "after reopening")?;
    if case.has(Profile::SideTables) {
        let mut expected: Vec<Bytes> = all.into_iter().map(|block| block.data).collect();
        expected.sort();
        let table = saw("side_table", case.store()?.side_table(TABLE)).ok()?;
        let keys = table.keys(b"").and_then(|keys| keys.take(2 * LISTED).collect::<Result<Vec<_>, _>>());
        let keys = saw("keys() after reopening", keys).ok()?;
        saw("keys() after reopening: how many", Ok(keys.len())).is(expected.len())?;
        saw("keys() after reopening", Ok(keys)).is(expected)?;
    }
    Ok(())
}
