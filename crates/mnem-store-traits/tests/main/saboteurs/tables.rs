//! Defects of side tables.

use std::{
    marker::PhantomData,
    sync::{Arc, Mutex},
    time::Duration,
};

use mnem_store_traits::{
    Bytes, Capabilities, KeyIter, MemoryStore, SideTable, Store, StoreError,
    conformance::{Options, run},
    limits::TABLE_VALUE_BYTES_MAX,
};

use super::{Defect, Gap, Planted, defect, lock, saboteurs};

saboteurs! {
    side_table_names_are_folded: FoldsNames => side_table_names_are_checked "side_table(\"Upper\")";
    side_table_writes_up_to_a_bad_key: OneDefect<WritesUpToABadKey> => side_table_keys_and_values_are_checked "after refused writes";
    side_table_cuts_values_to_the_limit: OneDefect<CutsToTheLimit> => side_table_keys_and_values_are_checked "write of a value of 16777217 bytes";
    side_table_takes_less_than_it_must: OneDefect<TakesHalf> => side_table_keys_and_values_are_checked "write of a value of 16777216 bytes";
    side_table_keeps_the_first_value: OneDefect<FirstValueStays> => side_table_returns_what_was_written "after it was written again";
    side_table_truncates_values: OneDefect<TruncatesValues> => side_table_returns_what_was_written "get of key b\"65536 bytes\"";
    side_table_deletes_first_at_random: OneDefect<DeletesFirst> => random_side_table_writes_agree_with_a_model "of which these fail by themselves";
    side_table_locks_while_it_lists: ListsUnderALock => side_table_keys_blocks_no_writer "no end: a deadlock";
    side_table_is_another_each_time: AnotherEachTime => buffered_passes_side_tables_through "get below Buffered";
    side_tables_are_claimed_and_absent: ClaimsSideTables => side_tables_are_offered_where_claimed "Err(Unsupported";
    side_tables_are_there_and_unclaimed: HidesSideTables => side_tables_are_offered_where_claimed "Err(Unsupported)";
    side_table_sorts_long_writes: OneDefect<SortsLongWrites> => side_table_write_applies_puts_then_deletes "puts it 100 times";
    side_table_write_takes_32_mib: OneDefect<TakesOf32MiB> => side_table_writes_may_be_large "three rows of 16 MiB";
    side_table_prefix_is_a_pattern: OneDefect<PrefixIsAPattern> => side_table_keys_are_sorted_and_filtered "keys([5f])";
    side_table_cuts_trailing_zeros: OneDefect<CutsTrailingZeros> => side_table_returns_what_was_written "get of key";
    side_table_deletes_first: OneDefect<DeletesFirst> => side_table_write_applies_puts_then_deletes "both";
    side_table_prefix_ignored: OneDefect<IgnoresPrefix> => side_table_keys_are_sorted_and_filtered "keys(";
    side_table_writes_row_by_row: OneDefect<RowByRow> => side_table_write_is_seen_as_one_step "at least";
    side_tables_share_keys: SharedTable => side_tables_are_separate "of table";
    side_table_exists_when_opened: ExistsWhenOpened => side_table_exists_by_its_keys "after two were opened";
}

defect! {
    FoldsNames {
        fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            inner.side_table(&name.to_lowercase())
        }
    }

    AnotherEachTime {
        fn side_table(&self, _: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            MemoryStore::new().side_table(name)
        }
    }

    ClaimsSideTables {
        fn side_table(&self, _: &MemoryStore, _: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            Err(StoreError::Unsupported { operation: "side_table".into(), reason: "no".into() })
        }
    }

    HidesSideTables {
        fn capabilities(&self, _: &MemoryStore) -> Capabilities {
            Capabilities::WEAKEST
        }
    }

    SharedTable {
        fn side_table(&self, inner: &MemoryStore, _: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            inner.side_table("the_only_one")
        }
    }

    ExistsWhenOpened {
        fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
            let table = inner.side_table(name)?;
            table.write(&[(Bytes::from_static(b"header"), Bytes::new())], &[])?;
            Ok(table)
        }
    }
}

/// A side table with one method that differs from the reference.
pub(super) trait TableDefect: std::fmt::Debug + Default + Send + Sync + 'static {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        inner.write(puts, deletes)
    }
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        inner.keys(prefix)
    }
}

#[derive(Debug)]
struct Table<T> {
    inner: Arc<dyn SideTable>,
    gap: Arc<Gap>,
    defect: PhantomData<T>,
}

impl<T: TableDefect> SideTable for Table<T> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.gap.look();
        self.inner.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        T::write(&*self.inner, &self.gap, puts, deletes)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        T::keys(&*self.inner, prefix)
    }
}

#[derive(Debug, Default)]
pub(super) struct OneDefect<T> {
    defect: PhantomData<T>,
    gap: Arc<Gap>,
}

impl<T: TableDefect> Defect for OneDefect<T> {
    fn gaps(&self) -> Vec<&Gap> {
        vec![&self.gap]
    }
    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(Table { inner: inner.side_table(name)?, gap: Arc::clone(&self.gap), defect: self.defect }))
    }
}

#[derive(Debug, Default)]
struct DeletesFirst;

impl TableDefect for DeletesFirst {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        inner.write(&[], deletes)?;
        inner.write(puts, &[])
    }
}

#[derive(Debug, Default)]
struct IgnoresPrefix;

impl TableDefect for IgnoresPrefix {
    fn keys<'a>(inner: &'a dyn SideTable, _: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        inner.keys(b"")
    }
}

#[derive(Debug, Default)]
pub(super) struct RowByRow;

impl TableDefect for RowByRow {
    fn write(inner: &dyn SideTable, gap: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        for row in puts {
            inner.write(std::slice::from_ref(row), &[])?;
            gap.wait_for(6);
        }
        inner.write(&[], deletes)
    }
}

#[derive(Debug, Default)]
struct WritesUpToABadKey;

impl TableDefect for WritesUpToABadKey {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        puts.iter().try_for_each(|row| inner.write(std::slice::from_ref(row), &[]))?;
        inner.write(&[], deletes)
    }
}

#[derive(Debug, Default)]
struct CutsToTheLimit;

impl TableDefect for CutsToTheLimit {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let short =
            |(key, value): &(Bytes, Bytes)| (key.clone(), value.slice(..value.len().min(TABLE_VALUE_BYTES_MAX)));
        inner.write(&puts.iter().map(short).collect::<Vec<_>>(), deletes)
    }
}

#[derive(Debug, Default)]
struct TakesHalf;

impl TableDefect for TakesHalf {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        if puts.iter().any(|(_, value)| value.len() > TABLE_VALUE_BYTES_MAX / 2) {
            return Err(StoreError::InvalidArgument { operation: "write", reason: "the value is too long".into() });
        }
        inner.write(puts, deletes)
    }
}

#[derive(Debug, Default)]
struct FirstValueStays;

impl TableDefect for FirstValueStays {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let mut new = Vec::new();
        for row in puts {
            if inner.get(&row.0)?.is_none() {
                new.push(row.clone());
            }
        }
        inner.write(&new, deletes)
    }
}

#[derive(Debug, Default)]
struct TruncatesValues;

impl TableDefect for TruncatesValues {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let short = |(key, value): &(Bytes, Bytes)| (key.clone(), value.slice(..value.len().min(65_535)));
        inner.write(&puts.iter().map(short).collect::<Vec<_>>(), deletes)
    }
}

/// Sorts many puts first. This breaks "`write` applies its puts in order".
#[derive(Debug, Default)]
struct SortsLongWrites;

impl TableDefect for SortsLongWrites {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let mut puts = puts.to_vec();
        if puts.len() > 32 {
            puts.sort();
        }
        inner.write(&puts, deletes)
    }
}

/// Limits the sum of all values. The contract limits only each value: "values up to 16 MiB".
#[derive(Debug, Default)]
struct TakesOf32MiB;

impl TableDefect for TakesOf32MiB {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        if puts.iter().map(|(_, value)| value.len()).sum::<usize>() > 2 * TABLE_VALUE_BYTES_MAX {
            return Err(StoreError::InvalidArgument { operation: "write", reason: "the write is too large".into() });
        }
        inner.write(puts, deletes)
    }
}

/// Uses `LIKE prefix%`, in which `_` matches any byte.
#[derive(Debug, Default)]
struct PrefixIsAPattern;

impl TableDefect for PrefixIsAPattern {
    fn keys<'a>(inner: &'a dyn SideTable, prefix: &[u8]) -> Result<KeyIter<'a>, StoreError> {
        let prefix = prefix.to_vec();
        let is_like = move |key: &Bytes| {
            key.len() >= prefix.len() && prefix.iter().zip(key).all(|(sign, byte)| sign == byte || *sign == b'_')
        };
        Ok(Box::new(inner.keys(b"")?.filter(move |key| key.as_ref().map_or(true, &is_like))))
    }
}

/// Pads values with zeros in a fixed column, and strips zeros on reading. This breaks "bytes to bytes".
#[derive(Debug, Default)]
struct CutsTrailingZeros;

impl TableDefect for CutsTrailingZeros {
    fn write(inner: &dyn SideTable, _: &Gap, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let cut = |value: &Bytes| value.slice(..value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        inner.write(&puts.iter().map(|(key, value)| (key.clone(), cut(value))).collect::<Vec<_>>(), deletes)
    }
}

/// Blocks all writes once a listing has begun. The law writes before the listing ends.
#[derive(Debug, Default)]
struct ListsUnderALock;

impl Defect for ListsUnderALock {
    const DEADLINE: Duration = Duration::from_secs(1);

    fn side_table(&self, inner: &MemoryStore, name: &str) -> Result<Arc<dyn SideTable>, StoreError> {
        Ok(Arc::new(LockedTable { inner: inner.side_table(name)?, lock: Mutex::new(()) }))
    }
}

#[derive(Debug)]
struct LockedTable {
    inner: Arc<dyn SideTable>,
    lock: Mutex<()>,
}

impl SideTable for LockedTable {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(key)
    }
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
        let _held = lock(&self.lock);
        self.inner.write(puts, deletes)
    }
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError> {
        // Never released, because the guard cannot travel with the iterator.
        std::mem::forget(lock(&self.lock));
        self.inner.keys(prefix)
    }
}

#[test]
fn a_report_says_that_an_unclaimed_capability_was_not_refused() {
    let report =
        run(Planted::<HidesSideTables>::WIDENED, &Options::default().only("side_tables_are_offered_where_claimed"))
            .to_string();
    let line = "declines  side_tables: not claimed, and not refused: store::side_tables_are_offered_where_claimed";
    assert!(report.contains(line), "{report}");
}
