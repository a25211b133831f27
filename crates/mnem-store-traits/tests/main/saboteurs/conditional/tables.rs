//! Side tables.

use std::{collections::BTreeMap, ops::Bound, sync::atomic::Ordering};

use mnem_store_traits::{
    Bytes, KeyIter, SideTable, StoreError,
    backend::{check_table_key, check_table_write, pages},
    limits::TABLE_KEY_BYTES_MAX,
};

use crate::saboteurs::lock;

use super::{Content, Flaw, Handle, wait_for};

const PAGE: usize = 256;

/// A side table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) store: Handle,
    pub(super) name: String,
}

type Rows = BTreeMap<Bytes, Bytes>;

impl Table {
    fn has(&self, flaw: Flaw) -> bool {
        self.store.has(flaw)
    }

    /// The key under which a row is kept.
    fn key(&self, rows: &Rows, key: &Bytes) -> Bytes {
        let begin = |key: &Bytes| key.get(..96).map(<[u8]>::to_vec);
        let alike = rows.keys().find(|other| begin(key).is_some() && begin(other) == begin(key));
        alike.filter(|_| self.has(Flaw::KeysAreCut)).unwrap_or(key).clone()
    }

    /// Counts the rows of the table, not always right.
    fn count(&self, content: &mut Content, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) {
        let before = content.tables.get(&self.name).cloned().unwrap_or_default();
        let (mut rows, count) = (before.clone(), content.counts.entry(self.name.clone()).or_default());
        for (key, value) in puts {
            let is_new = rows.insert(key.clone(), value.clone()).is_none();
            *count += usize::from(is_new || (self.has(Flaw::CountsRowsTwice) && !before.contains_key(key)));
        }
        for key in deletes {
            let was_there = rows.remove(key).is_some();
            *count = count.saturating_sub(usize::from(was_there || self.has(Flaw::CountsAbsentRows)));
        }
    }

    fn put(&self, rows: &mut Rows, (key, value): &(Bytes, Bytes)) {
        let key = self.key(rows, key);
        rows.insert(key, value.clone());
    }
}

impl SideTable for Table {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check_table_key("get", key)?;
        if self.has(Flaw::EmptiedTableGoesLater) {
            // Looks only after the other thread has removed the table.
            wait_for(|| !self.store.0.place.is_removing.load(Ordering::SeqCst));
        }
        let content = self.store.read("read a side table")?;
        let Some(rows) = content.tables.get(&self.name) else { return Ok(None) };
        let large = content.large.get(&(self.name.clone(), Bytes::copy_from_slice(key)));
        if let Some(value) = large.filter(|_| self.has(Flaw::LargeValueHidesSmall)) {
            return Ok(Some(value.clone()));
        }
        Ok(rows.get(&self.key(rows, &Bytes::copy_from_slice(key))).cloned())
    }

    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        check_table_write(puts, deletes)?;
        lock(&self.store.0.memory).tables.clear();
        let mut content = self.store.write("write a side table")?;
        self.count(&mut content, puts, deletes);
        for (key, value) in puts.iter().filter(|(_, value)| value.len() > 1 << 16) {
            content.large.insert((self.name.clone(), key.clone()), value.clone());
        }
        deletes.iter().for_each(|key| drop(content.large.remove(&(self.name.clone(), key.clone()))));
        let unseen = puts.iter().skip(4096).map(|(key, _)| key.clone()).collect();
        content.unseen = (self.store.id(), unseen);
        let rows = content.tables.entry(self.name.clone()).or_default();
        let before = rows.clone();
        if self.has(Flaw::LargeWriteFromItsEnd) {
            puts.chunks(1000).rev().flatten().for_each(|row| self.put(rows, row));
        } else {
            puts.iter().for_each(|row| self.put(rows, row));
        }
        for key in deletes {
            let former = before.get(key).filter(|_| puts.iter().any(|(put, _)| put == key));
            match former.filter(|_| self.has(Flaw::DeleteRestores)) {
                Some(value) => drop(rows.insert(key.clone(), value.clone())),
                None => drop(rows.remove(&self.key(rows, key))),
            }
        }
        content.ghosts.remove(&self.name);
        if !content.tables.get(&self.name).is_some_and(BTreeMap::is_empty) {
            return Ok(());
        }
        if self.has(Flaw::EmptiedTableGoesLater) {
            drop(content);
            self.store.0.place.is_removing.store(true, Ordering::SeqCst);
            let has_rows = |content: &Content| content.tables.get(&self.name).is_some_and(|rows| !rows.is_empty());
            wait_for(|| self.store.read("look").is_ok_and(|content| has_rows(&content)));
            content = self.store.write("write a side table")?;
        }
        content.tables.remove(&self.name);
        content.emptied.insert(self.name.clone());
        self.store.0.place.is_removing.store(false, Ordering::SeqCst);
        let letters = |name: &String| name.bytes().zip(self.name.bytes()).all(|(a, b)| b == b'_' || a == b);
        let is_like = |name: &String| name.len() == self.name.len() && letters(name);
        if self.has(Flaw::NamesArePatterns) && content.tables.keys().any(is_like) {
            content.ghosts.insert(self.name.clone());
        }
        Ok(())
    }

    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        let most = if self.has(Flaw::PrefixIsCut) { TABLE_KEY_BYTES_MAX } else { usize::MAX };
        let prefix = Bytes::copy_from_slice(prefix.get(..most).unwrap_or(prefix));
        let place = self.store.read("list a side table")?.tables.keys().position(|name| *name == self.name);
        let mut was_full = false;
        Ok(pages(move |after: Option<Bytes>| {
            let is_later = after.is_some();
            if self.has(Flaw::CloseEndsKeys) && is_later && self.store.check_open("").is_err() {
                return Ok(Vec::new());
            }
            let content = self.store.read("list a side table")?;
            let by_place = place.filter(|_| self.has(Flaw::TableIsAPlace));
            let rows = by_place.map_or_else(|| content.tables.get(&self.name), |at| content.tables.values().nth(at));
            let Some(rows) = rows else { return Ok(Vec::new()) };
            let is_cut = self.has(Flaw::LongCursorIsCut) && was_full;
            let start = match after {
                None => Bound::Included(prefix.clone()),
                Some(key) if is_cut && key.len() == TABLE_KEY_BYTES_MAX => Bound::Included(key),
                Some(key) => Bound::Excluded(key),
            };
            let in_part = self.has(Flaw::PrefixIsComparedInPart) && is_later;
            let compared = if in_part { prefix.get(..8).unwrap_or(&prefix) } else { &prefix };
            let is_unseen = |key: &Bytes| {
                let (writer, keys) = &content.unseen;
                self.has(Flaw::SeesFewRowsOfOthers) && *writer != self.store.id() && keys.contains(key)
            };
            let keys = rows.range((start, Bound::Unbounded)).map(|(key, _)| key.clone());
            let keys = keys.filter(|key| !is_unseen(key));
            let page: Vec<Bytes> = keys.take_while(|key| key.starts_with(compared)).take(PAGE).collect();
            was_full = page.len() == PAGE;
            Ok(page)
        }))
    }
}
