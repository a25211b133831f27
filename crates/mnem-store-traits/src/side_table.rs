//! The contract for side tables: ordered maps from bytes to bytes, for data that can be derived again.

use std::fmt::Debug;

use bytes::Bytes;

use crate::{
    StoreError,
    limits::{TABLE_KEY_BYTES_MAX, TABLE_NAME_BYTES_MAX, TABLE_VALUE_BYTES_MAX},
};

/// The result of [`SideTable::keys`]: keys in ascending byte order, or the error that ended the listing.
pub type KeyIter<'a> = Box<dyn Iterator<Item = Result<Bytes, StoreError>> + Send + 'a>;

/// An ordered map from bytes to bytes beside the blocks, for derived data such as indexes.
///
/// Keys have 1 to 100 bytes, values up to 16 MiB. Unless
/// [`Capabilities::atomic_side_table_writes`](crate::Capabilities::atomic_side_table_writes) is claimed, a reader may
/// see a [`write`](Self::write) of several keys in part. If several keys belong together, write a manifest last, and
/// delete it first.
///
/// ```
/// use mnem_store_traits::{Bytes, MemoryStore, Store, StoreError};
///
/// let store = MemoryStore::new();
/// let table = store.side_table("word_counts")?;
/// table.write(&[(Bytes::from("cat"), Bytes::from("2")), (Bytes::from("car"), Bytes::from("5"))], &[])?;
/// assert_eq!(table.get(b"cat")?, Some(Bytes::from("2")));
/// let keys: Vec<Bytes> = table.keys(b"ca")?.collect::<Result<_, _>>()?;
/// assert_eq!(keys, ["car", "cat"]);
/// table.write(&[], &keys)?;
/// assert!(store.side_tables()?.is_empty()); // a table exists by its keys
/// # Ok::<(), StoreError>(())
/// ```
///
/// # Contract
/// - A table exists while it has keys. Opening it writes nothing, and after its last key is deleted it is gone from
///   [`Store::side_tables`](crate::Store::side_tables). Law: `side_table_exists_by_its_keys`.
/// - Tables do not see each other's keys, nor blocks and heads. Law: `side_tables_are_separate`.
/// - `Ok` means as durable as [`Capabilities::put_durability`](crate::Capabilities::put_durability), also after sessions
///   that use no side table. Laws: `side_tables_survive_reopen`, `session_keeps_what_it_does_not_use`.
pub trait SideTable: Send + Sync + Debug {
    /// The value of a key, or `None` if the table does not hold it.
    ///
    /// # Contract
    /// - Returns the value that was written last, whole. Law: `side_table_returns_what_was_written`.
    ///
    /// # Errors
    /// [`StoreError::InvalidArgument`] for a key outside the limits; [`StoreError::Backend`], [`StoreError::Damaged`],
    /// [`StoreError::Closed`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Applies `puts` (key, value) in order, then `deletes`. Each key is applied atomically, all of them if the
    /// capability says so.
    ///
    /// # Contract
    /// - A key in both lists is absent afterwards. If a key is put twice, the last value stays. Deleting an absent key
    ///   is `Ok`. Law: `side_table_write_applies_puts_then_deletes`.
    /// - Concurrent writes lose no row. Law: `concurrent_side_table_writes_lose_no_row`.
    ///
    /// # Errors
    /// - [`StoreError::InvalidArgument`]: a key or value is outside the limits; nothing was written.
    /// - [`StoreError::Backend`]: as [`StoreError::outcome`] says. Unless the store claims `atomic_side_table_writes`,
    ///   some keys may have been applied, always the first ones in the order above.
    fn write(&self, puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError>;

    /// The keys that begin with `prefix` (all keys for an empty one), ascending as bytes, streamed.
    ///
    /// # Contract
    /// - Yields each key that is present during the whole iteration exactly once, in order. Blocks no writer. Laws:
    ///   `side_table_keys_are_sorted_and_filtered`, `long_keys_are_apart_on_every_page`.
    /// - No key begins with a prefix of more than 100 bytes.
    ///
    /// # Errors
    /// An item is an error if the listing could not go on; it ends there.
    fn keys(&self, prefix: &[u8]) -> Result<KeyIter<'_>, StoreError>;
}

/// Checks the name of a side table: `[a-z0-9_]{1,32}`.
///
/// # Errors
/// [`StoreError::InvalidArgument`] if it does not match.
pub fn check_table_name(name: &str) -> Result<(), StoreError> {
    let ok = (1..=TABLE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if ok {
        return Ok(());
    }
    Err(StoreError::InvalidArgument {
        operation: "side_table",
        reason: format!(
            "a table name must have 1 to {TABLE_NAME_BYTES_MAX} characters of a-z, 0-9 and _, not {name:?}"
        ),
    })
}

/// Checks the length of a key: 1 to 100 bytes.
///
/// # Errors
/// [`StoreError::InvalidArgument`] if it is outside the limits.
pub fn check_table_key(operation: &'static str, key: &[u8]) -> Result<(), StoreError> {
    if (1..=TABLE_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(StoreError::InvalidArgument {
        operation,
        reason: format!("a key of a side table must have 1 to {TABLE_KEY_BYTES_MAX} bytes, not {}", key.len()),
    })
}

/// Checks the keys and values of a write. For implementers of [`SideTable::write`].
///
/// # Errors
/// [`StoreError::InvalidArgument`] for the first key or value outside the limits.
pub fn check_table_write(puts: &[(Bytes, Bytes)], deletes: &[Bytes]) -> Result<(), StoreError> {
    for (key, value) in puts {
        check_table_key("write", key)?;
        if value.len() > TABLE_VALUE_BYTES_MAX {
            return Err(StoreError::InvalidArgument {
                operation: "write",
                reason: format!(
                    "a value of a side table may have up to {TABLE_VALUE_BYTES_MAX} bytes, not {}",
                    value.len()
                ),
            });
        }
    }
    deletes.iter().try_for_each(|key| check_table_key("write", key))
}
