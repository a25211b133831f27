//! Checks whether two paths lead to the same store.

use std::{fs, io, path::Path};

/// Whether both paths lead to the same file or folder, for instance in another spelling, or through a symbolic link, a
/// hard link or a second mount. `false` if one of them leads nowhere.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let (path, link) = (folder.path().join("memory.redb"), folder.path().join("link.redb"));
/// std::fs::write(&path, "a store")?;
/// std::fs::hard_link(&path, &link)?;
/// # if cfg!(unix) {
/// assert!(mnem_storage::is_same_place(&path, &link));
/// # }
/// assert!(!mnem_storage::is_same_place(&path, &folder.path().join("other.redb")));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn is_same_place(one: &Path, other: &Path) -> bool {
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// The identity of a file or folder, equal for all its names and for no other file.
#[cfg(unix)]
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Its canonical path. Hard links are not detected.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<std::path::PathBuf> {
    fs::canonicalize(path)
}
