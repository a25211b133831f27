//! What a store holds, and what it may hold after a crash: of the states that its history went through, the last one acknowledged or the one
//! under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mnem_backend_redb::RedbStore;
use mnem_store_traits::{Blockstore, Bytes, Cid, OpHeadsStore, Store, StoreError};

use super::{disk::Entry, image::Image};

/// All that a store answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) blocks: BTreeMap<Cid, Bytes>,
    pub(super) heads: BTreeSet<Cid>,
    pub(super) tables: BTreeMap<String, BTreeMap<Bytes, Bytes>>,
}

/// Something that was done to a store, with its place in the log of the disk.
pub(super) struct Step {
    pub(super) what: &'static str,
    /// Entries before it began.
    pub(super) begun: usize,
    /// Entries when it was acknowledged.
    pub(super) acknowledged: usize,
    pub(super) after: Arc<State>,
    /// While it was under way the store may also have held one of these.
    pub(super) perhaps: Vec<Arc<State>>,
}

/// A store's life on a disk.
pub(super) struct History {
    pub(super) start: Image,
    pub(super) log: Vec<Entry>,
    /// What the store may have held before the first step. Empty: there was none, and the first step made it.
    pub(super) before: Vec<Arc<State>>,
    /// In the order of the log.
    pub(super) steps: Vec<Step>,
}

/// What a store may hold.
pub(super) struct Allowed {
    pub(super) states: Vec<Arc<State>>,
    /// There may be no store yet.
    pub(super) or_none: bool,
    /// What was going on.
    pub(super) during: &'static str,
}

impl History {
    /// What a crash after so many entries of the log may leave.
    pub(super) fn allowed(&self, cut: usize) -> Allowed {
        let done = self.steps.partition_point(|step| step.acknowledged <= cut);
        let mut states = match done.checked_sub(1) {
            Some(last) => vec![Arc::clone(&self.steps[last].after)],
            None => self.before.clone(),
        };
        let under_way = self.steps.get(done).filter(|step| step.begun < cut);
        states.extend(under_way.into_iter().flat_map(|step| step.perhaps.iter().chain([&step.after])).cloned());
        let or_none = self.before.is_empty() && done == 0;
        if or_none {
            // Who opens nothing to make a store of it gets an empty one.
            states.push(Arc::default());
        }
        Allowed { states, or_none, during: under_way.map_or("nothing", |step| step.what) }
    }
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// It does not open.
    NotOpened,
    /// An answer is an error.
    Failed,
    /// An answer contradicts another one.
    Contradiction,
    HeadWithoutBlock,
    /// Something acknowledged is not there.
    Lost,
    /// Something is there that nobody wrote, or that was gone.
    Phantom,
    /// Part of an operation.
    Half,
    /// A new commit is refused, or gone after a clean close.
    NotUsable,
    /// An error does not say what was tried, or has no cause.
    NotNamed,
    Panicked,
}

pub(super) type Checked<T> = Result<T, (Wrong, String)>;

fn answered<T>(what: &str, answer: Result<T, StoreError>) -> Checked<T> {
    answer.map_err(|error| (Wrong::Failed, format!("{what}: {error:?}")))
}

pub(super) fn ensure(holds: bool, wrong: Wrong, what: impl FnOnce() -> String) -> Checked<()> {
    if holds { Ok(()) } else { Err((wrong, what())) }
}

/// Reads all of a store in every way, and compares the answers with each other.
pub(super) fn observe(store: &RedbStore) -> Checked<State> {
    let mut state = State::default();
    for cid in answered("cids", store.cids())? {
        let cid = answered("a listing", cid)?;
        let data = answered("get", store.get(&cid))?;
        let data = data.ok_or_else(|| (Wrong::Contradiction, format!("{cid} is listed and absent")))?;
        let size = answered("size", store.size(&cid))?;
        ensure(size == Some(data.len() as u64), Wrong::Contradiction, || format!("{cid} has size {size:?}"))?;
        ensure(answered("has", store.has(&cid))?, Wrong::Contradiction, || format!("{cid}: get, but not has"))?;
        ensure(state.blocks.insert(cid, data).is_none(), Wrong::Contradiction, || format!("{cid} is listed twice"))?;
    }
    let heads = answered("heads", store.heads())?;
    for head in &heads {
        ensure(state.blocks.contains_key(head), Wrong::HeadWithoutBlock, || format!("head {head} has no block"))?;
    }
    state.heads = heads.iter().copied().collect();
    let sorted = heads.iter().copied().eq(state.heads.iter().copied());
    ensure(sorted, Wrong::Contradiction, || format!("heads out of order: {heads:?}"))?;
    for name in answered("side_tables", store.side_tables())? {
        let table = answered("side_table", store.side_table(&name))?;
        let mut rows = BTreeMap::new();
        for key in answered("keys", table.keys(b""))? {
            let key = answered("a key", key)?;
            let value = answered("a row", table.get(&key))?;
            let value = value.ok_or_else(|| (Wrong::Contradiction, format!("{name}: a key is listed and absent")))?;
            rows.insert(key, value);
        }
        state.tables.insert(name, rows);
    }
    Ok(state)
}

impl State {
    /// Whether it is one of those allowed, or what is wrong with it.
    pub(super) fn judge(&self, allowed: &Allowed) -> Checked<Arc<State>> {
        if let Some(state) = allowed.states.iter().find(|state| ***state == *self) {
            return Ok(Arc::clone(state));
        }
        let facts = self.facts();
        let each: Vec<BTreeSet<String>> = allowed.states.iter().map(|state| state.facts()).collect();
        let mut everywhere = each.first().cloned().unwrap_or_default();
        each.iter().for_each(|other| everywhere.retain(|fact| other.contains(fact)));
        if let Some(fact) = everywhere.iter().find(|fact| !facts.contains(*fact)) {
            return Err((Wrong::Lost, fact.clone()));
        }
        if let Some(fact) = facts.iter().find(|fact| !each.iter().any(|other| other.contains(*fact))) {
            return Err((Wrong::Phantom, fact.clone()));
        }
        let difference = each.last().and_then(|after| after.symmetric_difference(&facts).next().cloned());
        Err((Wrong::Half, difference.unwrap_or_default()))
    }

    fn facts(&self) -> BTreeSet<String> {
        let blocks = self.blocks.keys().map(|cid| format!("block {cid}"));
        let heads = self.heads.iter().map(|cid| format!("head {cid}"));
        let rows = self.tables.iter().flat_map(|(name, rows)| {
            rows.iter().map(move |(key, value)| format!("{name}: {key:?} is {} bytes {value:?}", value.len()))
        });
        blocks.chain(heads).chain(rows).collect()
    }
}
