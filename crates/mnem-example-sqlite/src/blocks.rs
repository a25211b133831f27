//! Blocks: one row each.

use mnem_store_traits::{
    Blocks, Blockstore, Bytes, Capabilities, Cid, CidIter, Cids, Durability, StoreError,
    backend::{check_block, check_read, check_size, drain_checked, pages},
    cid_from_bytes,
};
use rusqlite::{Connection, OptionalExtension as _};

use crate::{
    SqliteStore,
    database::Work,
    error::{BACKEND, damaged},
};

pub(crate) const CAPABILITIES: Capabilities = Capabilities::WEAKEST
    .with_put_durability(Durability::Power)
    .with_atomic_put_many(true)
    .with_atomic_commit(true)
    .with_side_tables(true)
    .with_atomic_side_table_writes(true);

/// Names of a listing that are in memory at once.
pub(crate) const PAGE: i64 = 512;

impl Blockstore for SqliteStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        let data: Option<Vec<u8>> = self.database.read("get a block", |connection| {
            let mut select = connection.prepare_cached("SELECT data FROM blocks WHERE cid = ?1")?;
            select.query_row([cid.to_bytes()], |row| row.get(0)).optional()
        })?;
        let Some(data) = data else { return Ok(None) };
        check_read(BACKEND, cid, &data)?;
        Ok(Some(data.into()))
    }

    fn put(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, CAPABILITIES.block_bytes_max)?;
        check_block(cid, &data)?;
        self.database.write("put a block", |work| insert(work, cid, &data))
    }

    fn delete(&self, cid: &Cid) -> Result<(), StoreError> {
        self.database.write("delete a block", |work| remove(work, cid))
    }

    fn cids(&self) -> Result<CidIter<'_>, StoreError> {
        // No CID is empty, so every one follows the empty key.
        Ok(pages(|after: Option<Cid>| {
            let after = after.map(|cid| cid.to_bytes()).unwrap_or_default();
            let page = self.database.read("list blocks", |connection| {
                let mut select =
                    connection.prepare_cached("SELECT cid FROM blocks WHERE cid > ?1 ORDER BY cid LIMIT ?2")?;
                select.query_map((after, PAGE), |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()
            })?;
            page.into_iter().map(|key| read_cid("blocks", key)).collect()
        }))
    }

    fn has(&self, cid: &Cid) -> Result<bool, StoreError> {
        self.database.read("look for a block", |connection| is_there(connection, cid))
    }

    fn size(&self, cid: &Cid) -> Result<Option<u64>, StoreError> {
        let bytes: Option<i64> = self.database.read("size a block", |connection| {
            let mut select = connection.prepare_cached("SELECT length(data) FROM blocks WHERE cid = ?1")?;
            select.query_row([cid.to_bytes()], |row| row.get(0)).optional()
        })?;
        Ok(bytes.map(i64::unsigned_abs))
    }

    fn put_trusted(&self, cid: &Cid, data: Bytes) -> Result<(), StoreError> {
        check_size(cid, &data, CAPABILITIES.block_bytes_max)?;
        self.database.write("put a block", |work| insert(work, cid, &data))
    }

    fn put_many(&self, blocks: &mut Blocks<'_>) -> Result<(), StoreError> {
        let blocks = drain_checked(blocks, CAPABILITIES.block_bytes_max)?;
        self.database.write("put blocks", |work| blocks.iter().try_for_each(|(cid, data)| insert(work, cid, data)))
    }

    fn has_many(&self, cids: &[Cid]) -> Result<Vec<bool>, StoreError> {
        self.database.read("look for blocks", |connection| cids.iter().map(|cid| is_there(connection, cid)).collect())
    }

    fn delete_many(&self, cids: &mut Cids<'_>) -> Result<(), StoreError> {
        let cids = cids.collect::<Result<Vec<_>, _>>()?;
        self.database.write("delete blocks", |work| cids.iter().try_for_each(|cid| remove(work, cid)))
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }
}

fn remove(work: &Work<'_>, cid: &Cid) -> Result<(), StoreError> {
    work.run(|connection| connection.prepare_cached("DELETE FROM blocks WHERE cid = ?1")?.execute([cid.to_bytes()]))?;
    Ok(())
}

/// Adds a block unless it is present. A block that another connection shows was synced before it became visible.
pub(crate) fn insert(work: &Work<'_>, cid: &Cid, data: &[u8]) -> Result<(), StoreError> {
    work.run(|connection| {
        let mut insert =
            connection.prepare_cached("INSERT INTO blocks (cid, data) VALUES (?1, ?2) ON CONFLICT (cid) DO NOTHING")?;
        insert.execute((cid.to_bytes(), data))
    })?;
    Ok(())
}

pub(crate) fn is_there(connection: &Connection, cid: &Cid) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM blocks WHERE cid = ?1")?.exists([cid.to_bytes()])
}

/// Decodes a CID. This backend did not write a key that is not a CID, so that is an error and not skipped.
pub(crate) fn read_cid(table: &str, key: Vec<u8>) -> Result<Cid, StoreError> {
    cid_from_bytes(&key).map_err(|error| damaged(format!("a key in table {table} is no CID: {key:02x?}"), error))
}
