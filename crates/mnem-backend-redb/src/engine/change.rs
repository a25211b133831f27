//! What a write does to the tables, as a value: so that one caller's transaction can carry out another's.

use mnem_store_traits::{Bytes, Cid, HeadChange, StoreError};
use redb::{ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use crate::{
    Layout,
    engine::{
        heads::HeadsChange,
        keys::Key,
        rows::{Row, insert_absent},
    },
    error::At,
    tables::BytesTable,
};

/// One caller's write.
pub(crate) struct Change {
    pub(crate) operation: &'static str,
    pub(crate) what: What,
}

pub(crate) enum What {
    Commit(Commit),
    /// Ascending.
    Delete(Vec<Key>),
    SideTable {
        /// Its name in the file.
        table: String,
        puts: Vec<(Bytes, Bytes)>,
        deletes: Vec<Bytes>,
    },
}

/// Blocks and heads. The rows have passed their checks.
#[derive(Default)]
pub(crate) struct Commit {
    /// Ascending by key.
    pub(crate) rows: Vec<Row>,
    pub(crate) required: Vec<Cid>,
    pub(crate) head: Option<HeadChange>,
}

/// What a change did, and hence how its transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// Commit.
    Something,
    /// Abort, unless others wrote: nothing is written.
    Nothing,
}

impl Wrote {
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::Something { self } else { other }
    }

    fn if_so(yes: bool) -> Self {
        if yes { Self::Something } else { Self::Nothing }
    }
}

impl Change {
    /// Bytes that it holds in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match &self.what {
            What::Commit(commit) => commit.rows.iter().map(|(_, data)| data.len()).sum(),
            What::Delete(keys) => size_of_val(keys.as_slice()),
            What::SideTable { puts, .. } => puts.iter().map(|(_, value)| value.len()).sum(),
        }
    }

    /// Whether a block may go by it.
    pub(crate) fn deletes(&self) -> bool {
        matches!(self.what, What::Delete(_))
    }
}

impl What {
    /// Applies it to the tables.
    ///
    /// # Errors
    /// [`is_refusal`]: nothing was written. Any other: the transaction cannot go on.
    pub(crate) fn apply(
        &self,
        at: At<'_>,
        layout: Layout,
        transaction: &WriteTransaction,
    ) -> Result<Wrote, StoreError> {
        match self {
            Self::Commit(commit) => commit.apply(at, layout, transaction),
            Self::Delete(keys) => {
                let mut objects = transaction.open_table(layout.objects()).map_err(|error| at.redb(error))?;
                let mut wrote = Wrote::Nothing;
                for key in keys {
                    let found = objects.remove(&**key).map_err(|error| at.redb(error))?.is_some();
                    wrote = wrote.or(Wrote::if_so(found));
                }
                Ok(wrote)
            }
            Self::SideTable { table, puts, deletes } => {
                write_side_table(at, transaction, TableDefinition::new(table), puts, deletes)
            }
        }
    }
}

/// Whether a change was refused for what the store holds: decided before it wrote anything, so that the transaction can go on without it.
pub(crate) fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::MissingBlock { .. } | StoreError::HeadsMoved { .. })
}

impl Commit {
    /// Decides everything that can be refused, then writes.
    fn apply(&self, at: At<'_>, layout: Layout, transaction: &WriteTransaction) -> Result<Wrote, StoreError> {
        let mut objects = transaction.open_table(layout.objects()).map_err(|error| at.redb(error))?;
        for cid in &self.required {
            let key = Key::of(cid);
            let comes_along = self.rows.binary_search_by(|(row, _)| (**row).cmp(&*key)).is_ok();
            if !comes_along && objects.get(&*key).map_err(|error| at.redb(error))?.is_none() {
                return Err(StoreError::MissingBlock { cid: *cid, linked_from: None });
            }
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
        Ok(Wrote::if_so(inserted || moved))
    }
}

fn write_side_table(
    at: At<'_>,
    transaction: &WriteTransaction,
    definition: BytesTable<'_>,
    puts: &[(Bytes, Bytes)],
    deletes: &[Bytes],
) -> Result<Wrote, StoreError> {
    let mut table = transaction.open_table(definition).map_err(|error| at.redb(error))?;
    let mut wrote = Wrote::if_so(!puts.is_empty());
    for (key, value) in puts {
        table.insert(key.as_ref(), value.as_ref()).map_err(|error| at.redb(error))?;
    }
    for key in deletes {
        wrote = wrote.or(Wrote::if_so(table.remove(key.as_ref()).map_err(|error| at.redb(error))?.is_some()));
    }
    let empty = table.is_empty().map_err(|error| at.redb(error))?;
    drop(table);
    if empty {
        transaction.delete_table(definition).map_err(|error| at.redb(error))?;
    }
    Ok(wrote)
}
