//! Every table and key of the file, in one place. `FORMAT.md` documents them.

use mnem_store_traits::{Cid, RAW, backend::check_table_name, cid_of};
use redb::TableDefinition;

use crate::Layout;

/// A table from bytes to bytes.
pub(crate) type BytesTable<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// The table of heads: CID bytes as keys, no values.
pub(crate) type HeadsTable<'a> = TableDefinition<'a, &'static [u8], ()>;

/// The table that identifies the file. Only in [`Layout::Native`].
pub(crate) const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");

/// Key in [`META`]: the format, as text.
pub(crate) const META_FORMAT: &str = "format";

/// Key in [`META`]: checksum over the heads, written in the same transaction as the heads.
pub(crate) const META_HEADS_CHECKSUM: &str = "heads_checksum";

/// The name before the version in the format row.
pub(crate) const FORMAT_NAME: &str = "mnem-backend-redb";

/// The version that this build reads and writes.
pub(crate) const FORMAT_VERSION: &str = "1";

/// The formats that this build opens, as returned by [`RedbStore::format`](crate::RedbStore::format). The first is the
/// default of a new file.
pub const FORMATS: [&str; 2] = ["mnem-backend-redb 1", FORMAT_MNEM01];

/// The format of a file in [`Layout::Mnem01`], which has no format row.
const FORMAT_MNEM01: &str = "mnem-backend-redb 0.1";

/// Name of the edge table as a side table.
pub(crate) const KNN_EDGES: &str = "knn_edges";

/// Name of the edge table in a file of [`Layout::Native`].
pub(crate) const KNN_EDGES_NATIVE: &str = "knn_edges";

impl Layout {
    /// CID bytes → block bytes.
    pub(crate) fn objects(self) -> BytesTable<'static> {
        TableDefinition::new(match self {
            Self::Native => "objects",
            Self::Mnem01 => "mnem_objects",
        })
    }

    /// CID bytes of the heads.
    pub(crate) fn op_heads(self) -> HeadsTable<'static> {
        TableDefinition::new(match self {
            Self::Native => "op_heads",
            Self::Mnem01 => "mnem_op_heads",
        })
    }

    fn knn_edges(self) -> &'static str {
        match self {
            Self::Native => KNN_EDGES_NATIVE,
            Self::Mnem01 => "mnem_knn_edges",
        }
    }

    /// Prefix of the name of every side table except the edge table, which keeps it apart from all other tables.
    fn side_prefix(self) -> &'static str {
        match self {
            Self::Native => "side_",
            Self::Mnem01 => "mnem_side_",
        }
    }

    /// The name of a side table in the file.
    pub(crate) fn side_table(self, name: &str) -> String {
        if name == KNN_EDGES { self.knn_edges().to_owned() } else { format!("{}{name}", self.side_prefix()) }
    }

    /// The side table stored in a table of the file, or `None` for other tables.
    pub(crate) fn side_table_name(self, table: &str) -> Option<&str> {
        if table == self.knn_edges() {
            return Some(KNN_EDGES);
        }
        table.strip_prefix(self.side_prefix()).filter(|name| *name != KNN_EDGES && check_table_name(name).is_ok())
    }

    /// Whether the heads have a checksum.
    pub(crate) fn has_meta(self) -> bool {
        self == Self::Native
    }

    /// The format, as text.
    pub(crate) fn format(self) -> &'static str {
        match self {
            Self::Native => FORMATS[0],
            Self::Mnem01 => FORMATS[1],
        }
    }
}

/// sha2-256 over the heads in ascending byte order, each preceded by its length as 4 bytes, big-endian.
pub(crate) fn heads_checksum<'a>(heads: impl Iterator<Item = &'a Cid>) -> Vec<u8> {
    let mut encoded: Vec<Vec<u8>> = heads.map(Cid::to_bytes).collect();
    encoded.sort_unstable();
    let mut bytes = Vec::new();
    for head in encoded {
        // A CID has at most a few dozen bytes, so its length always fits.
        bytes.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&head);
    }
    cid_of(RAW, &bytes).hash().digest().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formats_are_those_of_the_layouts() {
        assert_eq!(FORMATS, [Layout::Native.format(), Layout::Mnem01.format()]);
    }
}
