//! The model: for everything that was written, what must be there, what may be there, and what must not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mnem_store_traits::Cid;

use crate::{
    Act, Checked, Gone, Visible, Wrong, ensure,
    observed::{Found, Observed, RowKey},
};

/// The whole content of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct State {
    /// The blocks that are there.
    pub blocks: BTreeSet<usize>,
    /// The heads.
    pub heads: BTreeSet<Cid>,
    /// The rows, with the numbers of their values.
    pub rows: BTreeMap<RowKey, u8>,
}

/// What a store may show after a crash.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Whether a call that created or opened the store was acknowledged.
    pub created: bool,
    blocks: BTreeMap<usize, BTreeSet<Found>>,
    heads: BTreeSet<BTreeSet<Cid>>,
    rows: BTreeMap<RowKey, BTreeSet<Option<u8>>>,
    /// For each committed head, the blocks that it relies on.
    closures: Arc<BTreeMap<Cid, Vec<usize>>>,
    /// The rows of a write in progress, in order, each with its old and new value.
    row_order: Vec<(RowKey, Option<u8>, Option<u8>)>,
    /// If each call is all or nothing, the states in which the store may be.
    states: Option<BTreeSet<Arc<State>>>,
}

impl State {
    /// Applies a call.
    fn apply(&mut self, act: &Act) {
        self.blocks.extend(act.puts());
        self.blocks.retain(|n| !act.deletes().contains(n));
        if let Some(heads) = act.heads() {
            self.heads = heads.after(&self.heads);
        }
        if let Act::Rows { table, puts, deletes } = act {
            self.rows.extend(puts.iter().map(|(key, value)| ((*table, *key), *value)));
            self.rows.retain(|(of, key), _| of != table || !deletes.contains(key));
        }
    }

    fn of(observed: &Observed) -> Self {
        let there = |(n, found): (&usize, &Found)| (*found != Found::Absent).then_some(*n);
        Self {
            blocks: observed.blocks.iter().filter_map(there).collect(),
            heads: observed.heads.clone(),
            rows: observed.rows.iter().filter_map(|(key, value)| Some((*key, (*value)?))).collect(),
        }
    }
}

impl Expected {
    /// The model of a place without a store. `atomic`: each call except `delete_many` is all or nothing.
    pub fn nothing(atomic: bool) -> Self {
        Self {
            created: false,
            blocks: BTreeMap::new(),
            heads: [BTreeSet::new()].into(),
            rows: BTreeMap::new(),
            closures: Arc::default(),
            row_order: Vec::new(),
            states: atomic.then(|| [Arc::default()].into()),
        }
    }

    /// The blocks that were written or deleted.
    pub fn blocks(&self) -> impl Iterator<Item = usize> {
        self.blocks.keys().copied()
    }

    /// The rows that were written or deleted.
    pub fn rows(&self) -> impl Iterator<Item = RowKey> {
        self.rows.keys().copied()
    }

    /// From now on, the store must show exactly what was observed: a crash left it, so it is durable.
    pub fn settle(&mut self, observed: Observed) {
        if let Some(states) = &mut self.states {
            *states = [Arc::new(State::of(&observed))].into();
        }
        self.blocks = observed.blocks.into_iter().map(|(n, found)| (n, [found].into())).collect();
        self.rows = observed.rows.into_iter().map(|(key, value)| (key, [value].into())).collect();
        self.heads = [observed.heads].into();
        self.row_order.clear();
    }

    fn block(&mut self, n: usize) -> &mut BTreeSet<Found> {
        self.blocks.entry(n).or_insert_with(|| [Found::Absent].into())
    }

    fn row(&mut self, key: RowKey) -> &mut BTreeSet<Option<u8>> {
        self.rows.entry(key).or_insert_with(|| [None].into())
    }

    /// The call is in progress, or failed, or promised less than to survive a power cut.
    pub fn may_be(&mut self, act: &Act, visible: &Visible, durable: bool) {
        let put = if durable { &[Found::Whole][..] } else { &[Found::Whole, Found::Damaged] };
        for n in act.puts() {
            let fates = self.block(*n);
            if fates.contains(&Found::Absent) {
                fates.extend(put);
            }
        }
        act.deletes().iter().for_each(|n| self.block(*n).extend([Found::Absent]));
        self.heads_may_be(act, visible, durable);
        if let Act::Rows { table, puts, deletes } = act {
            let changes = puts.iter().map(|(key, value)| (*key, Some(*value)));
            for (key, new) in changes.chain(deletes.iter().map(|key| (*key, None))) {
                let values = self.row((*table, key));
                let old = (durable && values.len() == 1).then(|| *values.first().expect("one value"));
                values.insert(new);
                self.row_order.extend(old.map(|old| ((*table, key), old, new)));
            }
        }
        self.states_may_be(act);
    }

    fn heads_may_be(&mut self, act: &Act, visible: &Visible, durable: bool) {
        let Some(change) = act.heads() else { return };
        if let Act::Commit { .. } = act {
            for head in &change.new {
                // A call that promised less may have left the head without its blocks.
                let is_new = !self.heads.iter().any(|heads| heads.contains(head));
                if durable && is_new {
                    Arc::make_mut(&mut self.closures).insert(*head, act.relied_on());
                } else if !durable {
                    // This applies even if an earlier call promised more.
                    Arc::make_mut(&mut self.closures).remove(head);
                }
            }
        }
        self.heads.insert(change.after(&visible.heads));
        // Concurrent callers change each other's heads.
        if let Some(states) = &self.states {
            self.heads.extend(states.iter().map(|state| change.after(&state.heads)));
        }
    }

    fn states_may_be(&mut self, act: &Act) {
        let Some(states) = &mut self.states else { return };
        match act {
            // A deletion of many blocks may end halfway.
            Act::DeleteMany(blocks) | Act::Sweep(blocks) => {
                blocks.iter().for_each(|n| states.extend(applied(states, &Act::Delete(*n))));
            }
            act if act.writes() => states.extend(applied(states, act)),
            _ => {}
        }
    }

    /// The call returned `Ok`, and so promised to survive a power cut.
    pub fn is(&mut self, act: &Act, visible: &Visible) {
        self.row_order.clear();
        for n in act.puts().iter().copied().chain(act.relied_on()) {
            let fates = self.block(n);
            // A present block is not written again, even if it is damaged.
            if fates.iter().any(|found| *found != Found::Damaged) {
                *fates = [Found::Whole].into();
            }
        }
        act.deletes().iter().for_each(|n| *self.block(*n) = [Found::Absent].into());
        match act {
            Act::Open { .. } => self.created = true,
            Act::Rows { table, puts, deletes } => {
                puts.iter().for_each(|(key, value)| *self.row((*table, *key)) = [Some(*value)].into());
                deletes.iter().for_each(|key| *self.row((*table, *key)) = [None].into());
            }
            Act::Commit { heads, .. } => {
                let closures = Arc::make_mut(&mut self.closures);
                heads.new.iter().for_each(|head| drop(closures.insert(*head, act.relied_on())));
            }
            _ => {}
        }
        if let Some(states) = &mut self.states {
            *states = applied(states, act);
        }
        // A refused swap wrote nothing, and the heads that it reported need not be durable.
        if let Some(change) = act.heads().filter(|heads| heads.gone != Gone::Stale) {
            self.heads = match &self.states {
                Some(states) => states.iter().map(|state| state.heads.clone()).collect(),
                None => [change.after(&visible.heads)].into(),
            };
        }
    }

    /// Whether only one state is allowed.
    pub fn is_settled(&self) -> bool {
        self.states.as_ref().is_none_or(|states| states.len() == 1)
            && self.heads.len() == 1
            && self.blocks.values().all(|fates| fates.len() == 1)
            && self.rows.values().all(|values| values.len() == 1)
    }

    /// No call is in progress any more.
    pub fn is_still(&mut self) {
        self.row_order.clear();
    }

    /// The blocks that any possible head relies on.
    pub(crate) fn kept(&self) -> BTreeSet<usize> {
        let heads = self.heads.iter().flatten();
        heads.filter_map(|head| self.closures.get(head)).flatten().copied().collect()
    }

    /// Checks that a store shows one of the allowed states.
    ///
    /// # Errors
    /// It does not: the most serious fault.
    pub fn check(&self, observed: &Observed) -> Checked<()> {
        let blocks = observed.blocks.iter().filter_map(|(n, found)| self.check_block(*n, *found));
        let rows = observed.rows.iter().filter_map(|(key, value)| self.check_row(*key, *value));
        let all = self
            .check_closures(observed)
            .into_iter()
            .chain(blocks)
            .chain(self.check_heads(&observed.heads))
            .chain(rows);
        if let Some(worst) = all.min_by_key(|(wrong, _)| *wrong) {
            return Err(worst);
        }
        self.check_row_order(observed)?;
        self.check_state(observed)
    }

    fn check_closures(&self, observed: &Observed) -> Option<(Wrong, String)> {
        let relied_on = |head| self.closures.get(head).into_iter().flatten().map(move |n| (head, n));
        let mut all = observed.heads.iter().flat_map(relied_on);
        let (head, n) = all.find(|(_, n)| observed.blocks.get(n) == Some(&Found::Absent))?;
        Some((Wrong::HeadWithoutBlock, format!("head {head} is there without its block {n}")))
    }

    fn check_block(&self, n: usize, found: Found) -> Option<(Wrong, String)> {
        let fates = self.blocks.get(&n);
        if fates.is_some_and(|fates| fates.contains(&found)) {
            return None;
        }
        let wrong = if found == Found::Whole { Wrong::Phantom } else { Wrong::Lost };
        Some((wrong, format!("block {n} is {found:?}, of {fates:?}")))
    }

    fn check_row(&self, key: RowKey, value: Option<u8>) -> Option<(Wrong, String)> {
        let values = self.rows.get(&key);
        if values.is_some_and(|values| values.contains(&value)) {
            return None;
        }
        // An old value means that the new one was lost.
        let wrong = if values.is_none_or(|values| values.contains(&None)) { Wrong::Phantom } else { Wrong::Lost };
        Some((wrong, format!("row {key:?} is {value:?}, of {values:?}")))
    }

    fn check_heads(&self, heads: &BTreeSet<Cid>) -> Option<(Wrong, String)> {
        if self.heads.contains(heads) {
            return None;
        }
        let mut all = self.heads.iter();
        let everywhere = all.next().cloned().unwrap_or_default();
        let lost = everywhere.iter().any(|head| !heads.contains(head) && all.clone().all(|heads| heads.contains(head)));
        let phantom = heads.iter().any(|head| !self.heads.iter().any(|heads| heads.contains(head)));
        let wrong = if lost {
            Wrong::Lost
        } else if phantom {
            Wrong::Phantom
        } else {
            Wrong::Half
        };
        Some((wrong, format!("the heads are {heads:?}, of {:?}", self.heads)))
    }

    /// A non-atomic write of rows must proceed in the order of the rows.
    fn check_row_order(&self, observed: &Observed) -> Checked<()> {
        let mut cut_off = false;
        for (key, old, new) in self.row_order.iter().filter(|(_, old, new)| old != new) {
            let value = observed.rows.get(key).copied().flatten();
            ensure(!cut_off || value != *new, Wrong::Half, || {
                format!("row {key:?} was written, and one before it was not")
            })?;
            cut_off |= value == *old;
        }
        Ok(())
    }

    fn check_state(&self, observed: &Observed) -> Checked<()> {
        let Some(states) = &self.states else { return Ok(()) };
        let state = State::of(observed);
        ensure(states.contains(&state), Wrong::Half, || format!("{state:?} is a mixture of {states:?}"))
    }
}

fn applied(states: &BTreeSet<Arc<State>>, act: &Act) -> BTreeSet<Arc<State>> {
    let after = |state: &Arc<State>| {
        let mut state = State::clone(state);
        state.apply(act);
        Arc::new(state)
    };
    states.iter().map(after).collect()
}
