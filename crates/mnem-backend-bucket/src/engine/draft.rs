//! The entry that is to be written next: the sum of several calls, judged by the state before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mnem_car::ROOTS_MAX;
use mnem_store_traits::{Bytes, Cid, StoreError};
use serde_bytes::{ByteArray, ByteBuf};

use super::{
    entry::{Encoded, encode},
    format::Token,
    pack::{Digest, Packer},
    queue::Work,
    record::{Record, VERSION},
    state::State,
};

/// What the entry changes.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    added: BTreeMap<Cid, Bytes>,
    /// Keys of `added`, in the order of the calls; some may have been deleted by a later call.
    order: Vec<Cid>,
    deleted: BTreeSet<Cid>,
    /// `None`: as they are.
    heads: Option<BTreeSet<Cid>>,
    rows: BTreeMap<(String, Bytes), Option<(Cid, Bytes)>>,
}

impl Draft {
    /// Takes in a call, which sees what the calls before it did.
    ///
    /// # Errors
    /// [`StoreError::MissingBlock`], [`StoreError::HeadsMoved`], [`StoreError::InvalidArgument`]: the call is refused,
    /// and the draft is as it was.
    pub(crate) fn take(&mut self, state: &State, work: &Work) -> Result<(), StoreError> {
        if !work.required.is_empty() {
            let brought: BTreeSet<&Cid> = work.puts.iter().map(|(cid, _)| cid).collect();
            let missing = work.required.iter().find(|cid| !brought.contains(cid) && !self.has(state, cid));
            if let Some(cid) = missing {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
        }
        if let Some(change) = &work.head {
            let heads = change.apply(self.heads.as_ref().unwrap_or(&state.heads))?;
            if heads.len() > ROOTS_MAX {
                let reason = format!("there would be {} heads, above the limit of {ROOTS_MAX}", heads.len());
                return Err(StoreError::InvalidArgument { operation: "commit", reason });
            }
            self.heads = Some(heads);
        }
        for (cid, data) in &work.puts {
            if !self.has(state, cid) {
                self.added.insert(*cid, data.clone());
                self.order.push(*cid);
            }
        }
        for cid in &work.deletes {
            self.added.remove(cid);
            if state.blocks.contains(cid) {
                self.deleted.insert(*cid);
            }
        }
        for (table, key, value) in &work.rows {
            let row = (table.clone(), key.clone());
            if value.is_some() || state.row(table, key).is_some() {
                self.rows.insert(row, value.clone());
            } else {
                self.rows.remove(&row);
            }
        }
        Ok(())
    }

    fn has(&self, state: &State, cid: &Cid) -> bool {
        self.added.contains_key(cid) || state.blocks.contains(cid) && !self.deleted.contains(cid)
    }

    /// Whether an entry would change nothing.
    pub(crate) fn is_empty(&self, state: &State) -> bool {
        let moves_heads = self.heads.as_ref().is_some_and(|heads| *heads != state.heads);
        self.added.is_empty() && self.deleted.is_empty() && self.rows.is_empty() && !moves_heads
    }

    /// The entry that follows the state of `base`.
    pub(crate) fn encode(self, base: Base, own: Own, packer: &mut Packer) -> Result<Encoded, String> {
        let Self { mut added, order, deleted, heads, rows } = self;
        let mut record = Record {
            v: VERSION,
            n: base.next,
            store: ByteArray::new(own.store),
            token: ByteArray::new(own.token),
            prev: base.last,
            at: own.at,
            heads: heads.unwrap_or_else(|| base.heads.clone()).into_iter().collect(),
            deleted: deleted.into_iter().collect(),
            blocks: Vec::new(),
            values: Vec::new(),
            packs: Vec::new(),
            rows: Vec::with_capacity(rows.len()),
            dead: Vec::new(),
            dropped: Vec::new(),
        };
        let mut pieces = Vec::with_capacity(added.len() + rows.len());
        for cid in order {
            if let Some(bytes) = added.remove(&cid) {
                record.blocks.push((cid, bytes.len() as u64));
                pieces.push((cid, bytes));
            }
        }
        for ((table, key), value) in rows {
            let index = value.map(|(cid, bytes)| {
                record.values.push((cid, bytes.len() as u64));
                pieces.push((cid, bytes));
                record.values.len() as u64 - 1
            });
            record.rows.push((table, ByteBuf::from(key.to_vec()), index));
        }
        let packs = packer.pack(&pieces, |digest| base.dropped.contains_key(digest));
        encode(record, &pieces, packs)
    }
}

/// What an entry needs to know of the state before it.
pub(crate) struct Base {
    pub(super) next: u64,
    pub(super) last: Option<Cid>,
    pub(super) heads: BTreeSet<Cid>,
    /// Packs that the entry may not name.
    pub(super) dropped: Arc<BTreeMap<Digest, u64>>,
}

impl Base {
    pub(crate) fn of(state: &State) -> Self {
        Self { next: state.next, last: state.last, heads: state.heads.clone(), dropped: Arc::clone(&state.dropped) }
    }
}

/// What tells an entry from those of others.
pub(crate) struct Own {
    pub(crate) store: Token,
    pub(crate) token: Token,
    pub(crate) at: u64,
}
