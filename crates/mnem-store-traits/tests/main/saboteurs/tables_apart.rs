//! Defects with several side tables: a change of one table shows in another, or in the list of tables.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex},
};

use mnem_store_traits::{Bytes, KeyIter, MemoryStore, SideTable, Store, StoreError};

use super::{Defect, Gap, lock, saboteurs};

saboteurs! {
    write_of_nothing_leaves_a_table: Beside<LeavesAnEmptyTable> => side_table_exists_by_its_keys "deletes all that it puts";
    last_row_takes_others_along: Beside<DropsByPrefix> => side_tables_whose_names_begin_alike_are_separate "lost its last row";
    tables_are_one_file: Beside<TablesAreOneFile> => concurrent_side_table_writes_lose_no_row "of a table of its own thread";
}

/// A write that differs from the reference.
trait WriteDefect: fmt::Debug + Default + Send + Sync + 'static {
    fn write(&self, table: &Table<Self>, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError>
    where
        Self: Sized;

    /// Tables that are listed although they are empty.
    fn ghosts(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
    fn gap(&self) -> Option<&Gap> {
        None
    }
}

#[derive(Debug, Default)]
struct Beside<T>(Arc<T>);

#[derive(Debug)]
struct Table<T> {
    store: MemoryStore,
    name: String,
    inner: Arc<dyn SideTable>,
    defect: Arc<T>,
}

impl<T: WriteDefect> SideTable for Table<T> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        self.defect.write(self, puts, deletes)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        self.inner.keys(prefix)
    }
}

impl<T: WriteDefect> Defect for Beside<T> {
    fn gaps(&self) -> Vec<&Gap> {
        self.0.gap().into_iter().collect()
    }
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        let (store, defect) = (inner.clone(), Arc::clone(&self.0));
        Ok(Arc::new(Table { store, name: name.to_owned(), inner: inner.side_table(name)?, defect }))
    }
    fn side_tables(&self, inner: &MemoryStore) -> Result<Vec<String>, StoreError> {
        let mut names = self.0.ghosts();
        names.extend(inner.side_tables()?);
        Ok(names.into_iter().collect())
    }
}

/// The first put creates the table, and only a delete of an existing row removes it. This breaks "A table exists by its
/// keys."
#[derive(Debug, Default)]
struct LeavesAnEmptyTable(Mutex<BTreeSet<String>>);

impl WriteDefect for LeavesAnEmptyTable {
    fn write(&self, table: &Table<Self>, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let was_there = table.store.side_tables()?.contains(&table.name);
        table.inner.write(puts, deletes)?;
        let is_there = table.store.side_tables()?.contains(&table.name);
        if !was_there && !is_there && !puts.is_empty() {
            lock(&self.0).insert(table.name.clone());
        }
        Ok(())
    }
    fn ghosts(&self) -> BTreeSet<String> {
        lock(&self.0).clone()
    }
}

/// When the last row of a table goes, so do all tables whose names begin with its name. This breaks "Tables do not see
/// each other's keys".
#[derive(Debug, Default)]
struct DropsByPrefix;

impl WriteDefect for DropsByPrefix {
    fn write(&self, table: &Table<Self>, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        table.inner.write(puts, deletes)?;
        let names = table.store.side_tables()?;
        if deletes.is_empty() || names.contains(&table.name) {
            return Ok(());
        }
        for name in names.iter().filter(|name| name.starts_with(&table.name)) {
            let other = table.store.side_table(name)?;
            let keys = other.keys(b"")?.collect::<Result<Vec<_>, _>>()?;
            other.write(&[], &keys)?;
        }
        Ok(())
    }
}

/// Keeps all tables in one file; a write to one table reads, changes and writes back the whole file. This breaks
/// "concurrent writes lose no row".
#[derive(Debug, Default)]
struct TablesAreOneFile(Gap);

/// The rows of all other tables.
fn others<T>(table: &Table<T>) -> Result<BTreeSet<(String, Bytes)>, StoreError> {
    let mut rows = BTreeSet::new();
    for name in table.store.side_tables()?.into_iter().filter(|name| *name != table.name) {
        for key in table.store.side_table(&name)?.keys(b"")? {
            rows.insert((name.clone(), key?));
        }
    }
    Ok(rows)
}

impl WriteDefect for TablesAreOneFile {
    fn write(&self, table: &Table<Self>, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let before = others(table)?;
        self.0.meet();
        let since = others(table)?;
        table.inner.write(puts, deletes)?;
        since.difference(&before).try_for_each(|(name, key)| {
            // Another saboteur covers concurrent writes to one table.
            if name == "table" {
                return Ok(());
            }
            table.store.side_table(name)?.write(&[], std::slice::from_ref(key))
        })
    }
    fn gap(&self) -> Option<&Gap> {
        Some(&self.0)
    }
}
