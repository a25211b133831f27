//! Changes to the tables as values, so that one caller's transaction can apply the changes of other callers.

use mnem_store_traits::{Bytes, Cid, HeadChange, StoreError};
use redb::{ReadableTableMetadata, TableDefinition, WriteTransaction};

use crate::{
    Layout,
    engine::{
        heads::HeadsChange,
        keys::Key,
        nearby::Presence,
        rows::{ObjectsMut, Row, insert_absent, remove_present},
    },
    error::At,
    tables::BytesTable,
};

/// A change of one caller, as it waits for a transaction.
pub(crate) struct Request {
    pub(crate) operation: &'static str,
    pub(crate) change: Change,
}

pub(crate) enum Change {
    Commit(Commit),
    /// Ascending.
    Delete(Vec<Key>),
    SideTable {
        /// The name of the table in the file.
        table: String,
        puts: Vec<(Bytes, Bytes)>,
        deletes: Vec<Bytes>,
    },
}

/// Blocks, required blocks and a head change. The rows have passed their checks.
#[derive(Default)]
pub(crate) struct Commit {
    /// Ascending by key.
    pub(crate) rows: Vec<Row>,
    pub(crate) required: Vec<Cid>,
    pub(crate) head: Option<HeadChange>,
}

impl Change {
    /// The memory that the change holds, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Commit(commit) => commit.rows.iter().map(|(_, data)| data.len()).sum(),
            Self::Delete(keys) => size_of_val(keys.as_slice()),
            Self::SideTable { puts, .. } => puts.iter().map(|(_, value)| value.len()).sum(),
        }
    }

    /// Whether the change may delete blocks.
    pub(crate) fn deletes(&self) -> bool {
        matches!(self, Self::Delete(_))
    }

    /// Applies the change to the tables. Returns whether that wrote anything.
    ///
    /// # Errors
    /// If [`is_refusal`] holds for the error, nothing was written. After any other error the transaction must be
    /// aborted.
    pub(crate) fn apply(&self, at: At<'_>, layout: Layout, transaction: &WriteTransaction) -> Result<bool, StoreError> {
        match self {
            Self::Commit(commit) => commit.apply(at, layout, transaction),
            Self::Delete(keys) => {
                let mut objects = transaction.open_table(layout.objects()).map_err(|error| at.redb(error))?;
                remove_present(at, &mut objects, keys)
            }
            Self::SideTable { table, puts, deletes } => {
                write_side_table(at, transaction, TableDefinition::new(table), puts, deletes)
            }
        }
    }
}

/// Whether a change was refused because of the content of the store. That is decided before the change writes, so the
/// transaction can go on without it.
pub(crate) fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::MissingBlock { .. } | StoreError::HeadsMoved { .. })
}

impl Commit {
    /// Decides everything that can be refused, then writes.
    fn apply(&self, at: At<'_>, layout: Layout, transaction: &WriteTransaction) -> Result<bool, StoreError> {
        let mut objects = transaction.open_table(layout.objects()).map_err(|error| at.redb(error))?;
        if let Some(cid) = self.first_missing(at, &objects)? {
            return Err(StoreError::MissingBlock { cid, linked_from: None });
        }
        let heads = match &self.head {
            Some(change) => Some(HeadsChange::decide(at, layout, transaction, change)?),
            None => None,
        };
        let inserted = insert_absent(at, &mut objects, &self.rows)?;
        let moved = match heads {
            Some(heads) => heads.write(at, layout, transaction)?,
            None => false,
        };
        Ok(inserted || moved)
    }

    /// The first required block that is neither in the table nor in this commit.
    fn first_missing(&self, at: At<'_>, objects: &ObjectsMut<'_>) -> Result<Option<Cid>, StoreError> {
        let mut presence = Presence::new(objects);
        for cid in &self.required {
            let key = Key::of(cid);
            let comes_along = self.rows.binary_search_by(|(row, _)| (**row).cmp(&*key)).is_ok();
            let is_there = comes_along
                || presence.is_near(&key).map_err(|error| at.redb(error))?
                || presence.contains(&key).map_err(|error| at.redb(error))?;
            if !is_there {
                return Ok(Some(*cid));
            }
        }
        Ok(None)
    }
}

fn write_side_table(
    at: At<'_>,
    transaction: &WriteTransaction,
    definition: BytesTable<'_>,
    puts: &[(Bytes, Bytes)],
    deletes: &[Bytes],
) -> Result<bool, StoreError> {
    let mut table = transaction.open_table(definition).map_err(|error| at.redb(error))?;
    let mut wrote = !puts.is_empty();
    for (key, value) in puts {
        table.insert(key.as_ref(), value.as_ref()).map_err(|error| at.redb(error))?;
    }
    for key in deletes {
        wrote |= table.remove(key.as_ref()).map_err(|error| at.redb(error))?.is_some();
    }
    let empty = table.is_empty().map_err(|error| at.redb(error))?;
    drop(table);
    if empty {
        transaction.delete_table(definition).map_err(|error| at.redb(error))?;
    }
    Ok(wrote)
}
