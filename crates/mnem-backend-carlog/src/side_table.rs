//! Side tables: the values of rows are in the log, and all keys are in memory.

use std::{ops::Bound, sync::Arc};

use mnem_store_traits::{
    Bytes, KeyIter, SideTable, StoreError,
    backend::{HashCheck, check_hash, check_table_key, check_table_name, check_table_write, pages},
};

use crate::{
    engine::rows::Value,
    engine::writer::{Work, submit},
    error::damaged,
    handle::{Depth, Handle},
    view::file_of,
};

/// Number of keys in one page of a listing.
const PAGE_KEYS: usize = 1024;

/// One side table of a [`CarlogStore`](crate::CarlogStore).
#[derive(Debug)]
pub(crate) struct CarlogSideTable {
    handle: Arc<Handle>,
    name: String,
}

impl CarlogSideTable {
    pub(crate) fn open(handle: &Arc<Handle>, name: &str) -> Result<Self, StoreError> {
        check_table_name(name)?;
        handle.gate.check_open("open a side table")?;
        Ok(Self { handle: handle.clone(), name: name.to_owned() })
    }
}

impl SideTable for CarlogSideTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check_table_key("get", key)?;
        self.handle.begin_read("read a side table")?;
        let found = self.handle.ask(|| {
            let (place, file) = {
                let view = self.handle.view();
                let value = view.tables.get(&self.name).and_then(|rows| rows.get(key)).copied();
                let Some(Value { place, .. }) = value else { return Ok(None) };
                (place, file_of(&view.segments, place.segment()).cloned())
            };
            let found = file.map(|file| self.handle.read_section(&*file, place, Depth::Whole)).transpose()?;
            Ok(Some((place, found.flatten())))
        })?;
        let Some((place, found)) = found else { return Ok(None) };
        let whole = found.map(|found| (found.section.cid, found.data()));
        match whole {
            Some((cid, value)) if check_hash(&cid, &value) == HashCheck::Match => Ok(Some(value)),
            _ => {
                let path = self.handle.layout.segment(place.segment());
                Err(damaged(&path, format!("a row of the table `{}` at byte {}", self.name, place.offset())))
            }
        }
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        let puts = puts.iter().map(|(key, value)| (self.name.clone(), key.clone(), Some(value.clone())));
        let deletes = deletes.iter().map(|key| (self.name.clone(), key.clone(), None));
        submit(&self.handle, "write a side table", Work { rows: puts.chain(deletes).collect(), ..Work::default() })
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.handle.begin_read("list a side table")?;
        let prefix = Bytes::copy_from_slice(prefix);
        Ok(pages(move |after: Option<Bytes>| {
            let view = self.handle.view();
            let Some(rows) = view.tables.get(&self.name) else { return Ok(Vec::new()) };
            let from = after.map_or(Bound::Included(prefix.clone()), Bound::Excluded);
            let keys = rows.range((from, Bound::Unbounded)).map(|(key, _)| key.clone());
            Ok(keys.take_while(|key| key.starts_with(&prefix)).take(PAGE_KEYS).collect())
        }))
    }
}
