//! What may be there after a crash: for everything that was touched, the values that it may have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mnem_store_traits::Cid;

use super::{
    block,
    observed::{Found, Observed, RowKey},
    workload::Act,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// Whether somebody was told that the store is there.
    pub(crate) created: bool,
    pub(crate) blocks: BTreeMap<usize, BTreeSet<Found>>,
    pub(crate) heads: BTreeSet<BTreeSet<Cid>>,
    pub(crate) rows: BTreeMap<RowKey, BTreeSet<Option<u8>>>,
    /// What each head that was committed relies on.
    pub(crate) closures: Arc<BTreeMap<Cid, Vec<usize>>>,
    /// Rows of a write in progress, in its order: what each was and is going to be.
    row_order: Vec<(RowKey, Option<u8>, Option<u8>)>,
}

impl Expected {
    /// Of a folder without a store.
    pub(crate) fn nothing() -> Self {
        Self { heads: [BTreeSet::new()].into(), ..Self::default() }
    }

    /// That, and no other thing: a crash left it, so it is durable.
    pub(crate) fn settle(&mut self, observed: Observed) {
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

    /// The call was made and did not return yet, or failed, or promised less than to survive a power cut.
    ///
    /// `heads` are the ones it leaves if it succeeds.
    pub(crate) fn may_be(&mut self, act: &Act, heads: &BTreeSet<Cid>, durable: bool) {
        let put = if durable { &[Found::Whole][..] } else { &[Found::Whole, Found::Damaged] };
        for n in act.puts() {
            let fates = self.block(n);
            if fates.contains(&Found::Absent) {
                fates.extend(put);
            }
        }
        // A call that promised less may have left the head without its blocks.
        let is_new = |head: usize| !self.heads.iter().any(|heads| heads.contains(&block(head).0));
        if let Act::Commit { head, .. } = act
            && durable
            && is_new(*head)
        {
            Arc::make_mut(&mut self.closures).insert(block(*head).0, act.relied_on());
        }
        self.heads.insert(heads.clone());
        match act {
            Act::Delete(n) => {
                self.block(*n).insert(Found::Absent);
            }
            Act::Rows { table, puts, deletes } => {
                let changes = puts.iter().map(|(key, value)| (*key, Some(*value)));
                for (key, new) in changes.chain(deletes.iter().map(|key| (*key, None))) {
                    let values = self.row((*table, key));
                    let old = (durable && values.len() == 1).then(|| *values.first().unwrap());
                    values.insert(new);
                    self.row_order.extend(old.map(|old| ((*table, key), old, new)));
                }
            }
            // The head may come without its blocks then, also if a call before this one promised more.
            Act::Commit { head, .. } if !durable => {
                Arc::make_mut(&mut self.closures).remove(&block(*head).0);
            }
            _ => {}
        }
    }

    /// The call returned `Ok`, and with it the promise to survive a power cut.
    pub(crate) fn is(&mut self, act: &Act, heads: &BTreeSet<Cid>) {
        self.row_order.clear();
        for n in act.puts().into_iter().chain(act.relied_on()) {
            let fates = self.block(n);
            // A block that is there is not written again, also when it is damaged.
            if fates.iter().any(|found| *found != Found::Damaged) {
                *fates = [Found::Whole].into();
            }
        }
        match act {
            Act::Open { .. } => self.created = true,
            Act::Delete(n) => *self.block(*n) = [Found::Absent].into(),
            Act::Rows { table, puts, deletes } => {
                puts.iter().for_each(|(key, value)| *self.row((*table, *key)) = [Some(*value)].into());
                deletes.iter().for_each(|key| *self.row((*table, *key)) = [None].into());
            }
            Act::Commit { head, .. } => {
                Arc::make_mut(&mut self.closures).insert(block(*head).0, act.relied_on());
                self.heads = [heads.clone()].into();
            }
            Act::Update { .. } | Act::Swap { stale: false, .. } => self.heads = [heads.clone()].into(),
            // A swap that was refused wrote nothing: what it was told need not be durable.
            Act::Swap { stale: true, .. } | Act::Put(_) | Act::PutMany(_) => {}
        }
    }

    /// No call is in progress any more.
    pub(crate) fn is_still(&mut self) {
        self.row_order.clear();
    }

    /// Whether what a store shows is one of the states that are allowed.
    pub(crate) fn check(&self, observed: &Observed) -> Result<(), String> {
        for (n, found) in &observed.blocks {
            let allowed = self.blocks.get(n).is_some_and(|fates| fates.contains(found));
            if !allowed {
                return Err(format!("block {n} is {found:?}, of {:?}", self.blocks.get(n)));
            }
        }
        if !self.heads.contains(&observed.heads) {
            return Err(format!("the heads are {:?}, of {:?}", observed.heads, self.heads));
        }
        for head in &observed.heads {
            for n in self.closures.get(head).into_iter().flatten() {
                if observed.blocks.get(n) == Some(&Found::Absent) {
                    return Err(format!("head {head} is there without its block {n}"));
                }
            }
        }
        for (key, value) in &observed.rows {
            if !self.rows.get(key).is_some_and(|values| values.contains(value)) {
                return Err(format!("row {key:?} is {value:?}, of {:?}", self.rows.get(key)));
            }
        }
        let mut cut_off = false;
        for (key, old, new) in self.row_order.iter().filter(|(_, old, new)| old != new) {
            let value = observed.rows.get(key).copied().flatten();
            if value == *new && cut_off {
                return Err(format!("row {key:?} was written, and one before it was not"));
            }
            cut_off |= value == *old;
        }
        Ok(())
    }
}
