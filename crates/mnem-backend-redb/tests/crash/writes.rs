//! Calls that write, and what a store then has to hold.

use mnem_backend_redb::RedbStore;
use mnem_store_traits::{Blockstore, Bytes, Cid, OpHeadsStore, Store, StoreError, WriteBatch};

use super::{chance::Chance, history::State};

/// A call that writes.
#[derive(Clone)]
pub(super) enum Write {
    Put(Cid, Bytes),
    PutMany(Vec<(Cid, Bytes)>),
    Commit { blocks: Vec<(Cid, Bytes)>, new: Cid, supersedes: Vec<Cid> },
    Swap { blocks: Vec<(Cid, Bytes)>, new: Cid, expected: Vec<Cid> },
    Update { new: Cid, supersedes: Vec<Cid> },
    Rows { table: &'static str, puts: Vec<(Bytes, Bytes)>, deletes: Vec<Bytes> },
    Delete(Cid),
}

impl Write {
    pub(super) fn choose(state: &State, chance: &mut Chance) -> Self {
        let heads = || state.heads.iter().copied();
        match chance.below(12) {
            0 => {
                let (cid, data) = chance.block();
                Self::Put(cid, data)
            }
            1 | 2 => Self::PutMany(chance.blocks(12)),
            3..6 => {
                let blocks = chance.blocks(5);
                let supersedes = heads().filter(|_| chance.one_in(2)).collect();
                Self::Commit { new: blocks[0].0, blocks, supersedes }
            }
            6 => {
                let blocks = chance.blocks(5);
                Self::Swap { new: blocks[0].0, blocks, expected: heads().collect() }
            }
            7 => match chance.pick(state.blocks.keys().copied()) {
                Some(new) => Self::Update { new, supersedes: heads().filter(|_| !chance.one_in(3)).collect() },
                None => Self::PutMany(chance.blocks(3)),
            },
            8 | 9 => {
                let table = ["knn_edges", "names"][chance.below(2)];
                let rows = state.tables.get(table);
                let deletes =
                    rows.into_iter().flat_map(|rows| rows.keys().cloned()).filter(|_| chance.one_in(3)).collect();
                let row = |chance: &mut Chance| (Bytes::from(vec![b'k', chance.below(12) as u8]), chance.block().1);
                Self::Rows { table, puts: (0..chance.below(5)).map(|_| row(chance)).collect(), deletes }
            }
            _ => match chance.pick(state.blocks.keys().filter(|cid| !state.heads.contains(*cid)).copied()) {
                Some(cid) => Self::Delete(cid),
                None => Self::PutMany(chance.blocks(3)),
            },
        }
    }

    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Put(..) => "put",
            Self::PutMany(_) => "put_many",
            Self::Commit { .. } => "commit of an update",
            Self::Swap { .. } => "commit of a swap",
            Self::Update { .. } => "update",
            Self::Rows { .. } => "side table write",
            Self::Delete(_) => "delete",
        }
    }

    pub(super) fn perform(&self, store: &RedbStore) -> Result<(), StoreError> {
        let batch = |blocks: &[(Cid, Bytes)]| {
            blocks.iter().fold(WriteBatch::new(), |batch, (cid, data)| batch.put(*cid, data.clone()))
        };
        match self.clone() {
            Self::Put(cid, data) => store.put(&cid, data),
            Self::PutMany(blocks) => store.put_many(&mut blocks.into_iter().map(Ok)),
            Self::Commit { blocks, new, supersedes } => store.commit(batch(&blocks).update(new, supersedes)),
            Self::Swap { blocks, new, expected } => store.commit(batch(&blocks).swap(expected, new)),
            Self::Update { new, supersedes } => store.update(&new, &supersedes),
            Self::Rows { table, puts, deletes } => store.side_table(table)?.write(&puts, &deletes),
            Self::Delete(cid) => store.delete(&cid),
        }
    }

    /// What a store holds after it.
    pub(super) fn apply(&self, state: &mut State) {
        match self {
            Self::Put(cid, data) => drop(state.blocks.insert(*cid, data.clone())),
            Self::PutMany(blocks) => state.blocks.extend(blocks.iter().cloned()),
            Self::Commit { blocks, new, supersedes } => {
                state.blocks.extend(blocks.iter().cloned());
                state.heads.retain(|head| !supersedes.contains(head));
                state.heads.insert(*new);
            }
            Self::Swap { blocks, new, .. } => {
                state.blocks.extend(blocks.iter().cloned());
                state.heads = [*new].into();
            }
            Self::Update { new, supersedes } => {
                state.heads.retain(|head| !supersedes.contains(head));
                state.heads.insert(*new);
            }
            Self::Rows { table, puts, deletes } => {
                let rows = state.tables.entry((*table).to_owned()).or_default();
                rows.extend(puts.iter().cloned());
                rows.retain(|key, _| !deletes.contains(key));
                if rows.is_empty() {
                    state.tables.remove(*table);
                }
            }
            Self::Delete(cid) => drop(state.blocks.remove(cid)),
        }
    }
}
