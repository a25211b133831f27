//! Every name of a file or folder, and the text of the marker files. `FORMAT.md` documents them.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use mnem_store_traits::{
    Bytes, Cid,
    backend::check_table_name,
    cid::multibase::{self, Base},
    cid_from_bytes,
    limits::{TABLE_KEY_BYTES_MAX, TABLE_NAME_BYTES_MAX},
};

/// The text of the `format` file before the version.
pub(crate) const FORMAT_NAME: &str = "mnem-backend-simple";

/// The one version that this build reads and writes.
pub(crate) const FORMAT_VERSION: &str = "1";

/// The formats that this build opens, by name and version: one.
pub const FORMATS: [&str; 1] = ["mnem-backend-simple 1"];

/// The text of the `unsynced` file. Only the presence of the file matters.
pub(crate) const UNSYNCED_TEXT: &[u8] = b"written without waiting for the disk: present blocks may not be durable\n";

const FORMAT: &str = "format";
const LOCK: &str = "lock";
pub(crate) const OBJECTS: &str = "objects";
const OP_HEADS: &str = "op_heads";
const TABLES: &str = "tables";
pub(crate) const TMP: &str = "tmp";
const TMP_LOCK: &str = ".lock";
const UNSYNCED: &str = "unsynced";

/// The digits of base32, lower case, in order of their values.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Shards: one for each pair of base32 digits.
pub(crate) const SHARDS: usize = 32 * 32;

/// Hexadecimal digits in the name of an unfinished file.
const UNFINISHED_DIGITS: usize = 32;

/// The paths of a store.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
}

/// The paths of a block.
#[derive(Clone, Debug)]
pub(crate) struct BlockPlace {
    pub(crate) shard: PathBuf,
    pub(crate) file: PathBuf,
}

/// The meaning of a name in the root folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RootName {
    Format,
    Lock,
    Objects,
    OpHeads,
    Tables,
    Tmp,
    Unsynced,
}

impl RootName {
    pub(crate) fn of(name: &OsStr) -> Option<Self> {
        Some(match name.to_str()? {
            FORMAT => Self::Format,
            LOCK => Self::Lock,
            OBJECTS => Self::Objects,
            OP_HEADS => Self::OpHeads,
            TABLES => Self::Tables,
            TMP => Self::Tmp,
            UNSYNCED => Self::Unsynced,
            _ => return None,
        })
    }

    pub(crate) fn is_folder(self) -> bool {
        matches!(self, Self::Objects | Self::Tables | Self::Tmp)
    }
}

impl Paths {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn format(&self) -> PathBuf {
        self.root.join(FORMAT)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.root.join(OBJECTS)
    }

    pub(crate) fn op_heads(&self) -> PathBuf {
        self.root.join(OP_HEADS)
    }

    pub(crate) fn tables(&self) -> PathBuf {
        self.root.join(TABLES)
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join(TMP)
    }

    pub(crate) fn tmp_lock(&self) -> PathBuf {
        self.tmp().join(TMP_LOCK)
    }

    pub(crate) fn unsynced(&self) -> PathBuf {
        self.root.join(UNSYNCED)
    }

    /// The folder of the `index`-th shard, in name order. `None` after the last.
    pub(crate) fn shard(&self, index: usize) -> Option<PathBuf> {
        (index < SHARDS).then(|| self.objects().join(shard_name(index)))
    }

    pub(crate) fn block(&self, cid: &Cid) -> BlockPlace {
        let name = cid_name(cid);
        let shard = self.objects().join(shard_of(&name));
        let file = shard.join(name);
        BlockPlace { shard, file }
    }

    /// A path as long as the longest in a store: that of a row.
    pub(crate) fn longest(&self) -> PathBuf {
        self.table(&"t".repeat(TABLE_NAME_BYTES_MAX)).join("0".repeat(2 * TABLE_KEY_BYTES_MAX))
    }

    pub(crate) fn table(&self, name: &str) -> PathBuf {
        self.tables().join(name)
    }
}

/// The name of a CID's file, and its text in `op_heads`: its bytes in multibase base32, lower case, whatever its
/// version.
pub(crate) fn cid_name(cid: &Cid) -> String {
    multibase::encode(Base::Base32Lower, cid.to_bytes())
}

/// The CID of a name. `None` unless the name is exactly what [`cid_name`] returns.
pub(crate) fn cid_of_name(name: &str) -> Option<Cid> {
    // The longest name has 138 characters; decoding more would only cost time.
    if name.len() > 255 {
        return None;
    }
    let (base, bytes) = multibase::decode(name).ok()?;
    let cid = cid_from_bytes(&bytes).ok()?;
    (base == Base::Base32Lower && cid_name(&cid) == name).then_some(cid)
}

/// The shard of a block's name: the two characters before the last one, which carries fewer bits than a digit.
pub(crate) fn shard_of(name: &str) -> &str {
    // The shortest name, of a CID of four bytes, has eight characters.
    name.get(name.len().saturating_sub(3)..name.len().saturating_sub(1)).unwrap_or_default()
}

/// The index, in the order of [`Paths::shard`], of the shard of a block of this name.
pub(crate) fn shard_index(name: &str) -> usize {
    let digit = |c: u8| BASE32.iter().position(|d| *d == c).unwrap_or(0);
    shard_of(name).bytes().fold(0, |index, c| index * 32 + digit(c))
}

fn shard_name(index: usize) -> String {
    let digit = |value: usize| BASE32.get(value % 32).map_or('a', |d| char::from(*d));
    String::from_iter([digit(index / 32), digit(index)])
}

/// Whether this is the name of a shard.
pub(crate) fn is_shard_name(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|c| BASE32.contains(&c))
}

/// Whether this is the name of a side table.
pub(crate) fn is_table_name(name: &str) -> bool {
    check_table_name(name).is_ok()
}

/// The name of a key's file: its bytes in lower-case hexadecimal.
pub(crate) fn key_name(key: &[u8]) -> String {
    hex(key)
}

/// The key of a name. `None` unless the name is exactly what [`key_name`] returns for a valid key of a side table.
pub(crate) fn key_of_name(name: &str) -> Option<Bytes> {
    let digits = name.as_bytes();
    if digits.is_empty() || digits.len() > 2 * TABLE_KEY_BYTES_MAX || !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    digits.chunks_exact(2).map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.last()?)?)).collect()
}

/// The name of an unfinished file in `tmp`.
pub(crate) fn unfinished_name(random: u128) -> String {
    format!("{random:0UNFINISHED_DIGITS$x}")
}

/// Whether this is a name that [`unfinished_name`] returns.
pub(crate) fn is_unfinished_name(name: &str) -> bool {
    name.len() == UNFINISHED_DIGITS && name.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether this is the name of the lock file in `tmp`.
pub(crate) fn is_tmp_lock(name: &str) -> bool {
    name == TMP_LOCK
}

/// The whole text of the `format` file.
pub(crate) fn format_text() -> String {
    format!("{FORMAT_NAME} {FORMAT_VERSION}\n")
}

/// `bytes` in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{RAW, cid_of};

    use super::*;

    #[test]
    fn the_formats_are_those_that_are_written() {
        assert_eq!(FORMATS, [format!("{FORMAT_NAME} {FORMAT_VERSION}")]);
    }

    #[test]
    fn the_shards_are_numbered_in_the_order_of_their_names() {
        let names: Vec<String> = (0..SHARDS).map(shard_name).collect();
        assert_eq!((names.first().unwrap().as_str(), names.last().unwrap().as_str()), ("aa", "77"));
        assert!(names.iter().all(|name| is_shard_name(name)));
        for n in 0..200u32 {
            let cid = cid_of(RAW, &n.to_be_bytes());
            assert_eq!(names[shard_index(&cid_name(&cid))], shard_of(&cid_name(&cid)));
        }
    }

    #[test]
    fn a_key_and_its_name_are_each_others() {
        for key in [&[0u8][..], b"manifest", &[0xff; TABLE_KEY_BYTES_MAX]] {
            assert_eq!(key_of_name(&key_name(key)).as_deref(), Some(key));
        }
        for name in ["", "0", "0G", "AB", "abc", &"00".repeat(TABLE_KEY_BYTES_MAX + 1)] {
            assert_eq!(key_of_name(name), None, "{name}");
        }
    }
}
