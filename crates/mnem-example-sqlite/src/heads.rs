//! Op heads: one row each.

use std::collections::BTreeSet;

use mnem_store_traits::{Cid, Durability, HeadChange, HeadsCapabilities, OpHeadsStore, StoreError};
use rusqlite::Connection;

use crate::{SqliteStore, blocks::read_cid, database::Work};

impl OpHeadsStore for SqliteStore {
    fn heads(&self) -> Result<Vec<Cid>, StoreError> {
        let keys = self.database.read("read the heads", keys)?;
        Ok(parse(keys)?.into_iter().collect())
    }

    fn update(&self, new: &Cid, supersedes: &[Cid]) -> Result<(), StoreError> {
        let change = HeadChange::Update { new: vec![*new], supersedes: supersedes.to_vec() };
        self.database.write("update the heads", |work| apply(work, &change))
    }

    fn swap(&self, expected: &[Cid], new: &Cid) -> Result<(), StoreError> {
        let change = HeadChange::Swap { expected: expected.to_vec(), new: vec![*new] };
        self.database.write("swap the heads", |work| apply(work, &change))
    }

    fn heads_capabilities(&self) -> HeadsCapabilities {
        HeadsCapabilities::WEAKEST.with_durability(Durability::Power).with_atomic_heads(true)
    }
}

/// Reads the heads, computes the new ones and writes the difference, in the caller's transaction.
pub(crate) fn apply(work: &Work<'_>, change: &HeadChange) -> Result<(), StoreError> {
    let before = parse(work.run(keys)?)?;
    let after = change.apply(&before)?;
    work.run(|connection| {
        let mut delete = connection.prepare_cached("DELETE FROM heads WHERE cid = ?1")?;
        for gone in before.difference(&after) {
            delete.execute([gone.to_bytes()])?;
        }
        let mut insert = connection.prepare_cached("INSERT INTO heads (cid) VALUES (?1)")?;
        for new in after.difference(&before) {
            insert.execute([new.to_bytes()])?;
        }
        Ok(())
    })
}

fn keys(connection: &Connection) -> rusqlite::Result<Vec<Vec<u8>>> {
    connection.prepare_cached("SELECT cid FROM heads")?.query_map((), |row| row.get(0))?.collect()
}

/// Decodes heads. The set is ordered by `Cid`, which differs from byte order.
fn parse(keys: Vec<Vec<u8>>) -> Result<BTreeSet<Cid>, StoreError> {
    keys.into_iter().map(|key| read_cid("heads", key)).collect()
}
