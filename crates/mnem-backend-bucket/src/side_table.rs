//! Side tables: rows whose values stand in the log, and whose keys are in memory.

use std::{ops::Bound, sync::Arc};

use mnem_store_traits::{
    Bytes, KeyIter, SideTable, StoreError,
    backend::{check_table_key, check_table_name, check_table_write, pages},
};

use crate::{
    engine::{
        queue::{Work, submit, value_cid},
        reading::{Fetched, Read},
    },
    error::damaged,
    handle::Handle,
};

/// Keys that one page of a listing holds.
const PAGE: usize = 1024;

/// One side table of a [`BucketStore`](crate::BucketStore).
#[derive(Debug)]
pub(crate) struct BucketTable {
    handle: Arc<Handle>,
    name: String,
}

impl BucketTable {
    pub(crate) fn open(handle: &Arc<Handle>, name: &str) -> Result<Self, StoreError> {
        check_table_name(name)?;
        handle.gate.check_open("open a side table")?;
        Ok(Self { handle: Arc::clone(handle), name: name.to_owned() })
    }
}

impl SideTable for BucketTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check_table_key("get", key)?;
        let found = || {
            let state = self.handle.state();
            let value = state.row(&self.name, key)?;
            Some((value.cid, state.locate(value.place)?))
        };
        drop(self.handle.current("read a side table")?);
        match self.handle.read(found, &mut Fetched::new())? {
            Read::Found(bytes) => Ok(Some(bytes)),
            Read::Absent => Ok(None),
            Read::Mismatch(_, at) => {
                let why = format!("the bytes of a row of the table `{}` do not match their CID", self.name);
                Err(damaged(&self.handle.objects, &at.object.name.path(), why))
            }
        }
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        let puts =
            puts.iter().map(|(key, value)| (self.name.clone(), key.clone(), Some((value_cid(value), value.clone()))));
        let deletes = deletes.iter().map(|key| (self.name.clone(), key.clone(), None));
        submit(&self.handle, "write a side table", Work { rows: puts.chain(deletes).collect(), ..Work::default() })
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        drop(self.handle.current("list a side table")?);
        let prefix = Bytes::copy_from_slice(prefix);
        Ok(pages(move |after: Option<Bytes>| {
            let state = self.handle.state();
            let Some(rows) = state.tables.get(&self.name) else { return Ok(Vec::new()) };
            let from = after.map_or(Bound::Included(prefix.clone()), Bound::Excluded);
            let keys = rows.range((from, Bound::Unbounded)).map(|(key, _)| key.clone());
            Ok(keys.take_while(|key| key.starts_with(&prefix)).take(PAGE).collect())
        }))
    }
}
