//! Side tables: rows of one SQL table, distinguished by the name of the side table.

use std::sync::Arc;

use mnem_store_traits::{
    Bytes, KeyIter, SideTable, StoreError,
    backend::{check_table_key, check_table_write, pages},
};
use rusqlite::OptionalExtension as _;

use crate::{blocks::PAGE, database::Database};

/// An open side table. It shares the store's connection, and is closed with it.
#[derive(Debug)]
pub(crate) struct SqliteTable {
    pub(crate) database: Arc<Database>,
    pub(crate) name: String,
}

impl SideTable for SqliteTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check_table_key("get", key)?;
        let value: Option<Vec<u8>> = self.database.read("read a side table", |connection| {
            let mut select = connection.prepare_cached("SELECT value FROM side WHERE name = ?1 AND key = ?2")?;
            select.query_row((&self.name, key), |row| row.get(0)).optional()
        })?;
        Ok(value.map(Bytes::from))
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        self.database.write("write a side table", |work| {
            work.run(|connection| {
                let mut put = connection.prepare_cached("REPLACE INTO side (name, key, value) VALUES (?1, ?2, ?3)")?;
                for (key, value) in puts {
                    put.execute((&self.name, &key[..], &value[..]))?;
                }
                let mut delete = connection.prepare_cached("DELETE FROM side WHERE name = ?1 AND key = ?2")?;
                for key in deletes {
                    delete.execute((&self.name, &key[..]))?;
                }
                Ok(())
            })
        })
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        let prefix = prefix.to_vec();
        Ok(pages(move |last: Option<Bytes>| {
            // The first page begins with the prefix itself, every other one after the last key. No key is empty.
            let (from, skip) = match &last {
                Some(last) => (&last[..], &last[..]),
                None => (&prefix[..], &[][..]),
            };
            let page: Vec<Vec<u8>> = self.database.read("list a side table", |connection| {
                let mut select = connection.prepare_cached(
                    "SELECT key FROM side WHERE name = ?1 AND key >= ?2 AND key <> ?3 ORDER BY key LIMIT ?4",
                )?;
                select.query_map((&self.name, from, skip, PAGE), |row| row.get(0))?.collect()
            })?;
            Ok(page.into_iter().take_while(|key| key.starts_with(&prefix)).map(Bytes::from).collect())
        }))
    }
}
