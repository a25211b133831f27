//! Checks whether two paths or URLs lead to the same store.

use std::{fs, io, path::Path};

use mnem_store_traits::driver::Location;

/// Whether both paths lead to the same file or folder, for instance in another spelling, or through a symbolic link, a
/// hard link or a second mount. `false` if one of them leads nowhere.
///
/// A `file:///` URL is the path that it names. Other URLs are the same if their texts are, apart from slashes at the
/// end: two names of one bucket are not recognised.
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
    let [one, other] = [one, other].map(Location::from);
    match (one.to_local_path(), other.to_local_path()) {
        (Some(one), Some(other)) => matches!((identity(&one), identity(&other)), (Ok(one), Ok(other)) if one == other),
        (None, None) => one.to_string().trim_end_matches('/') == other.to_string().trim_end_matches('/'),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_compared_by_their_text_and_file_urls_as_paths() {
        let same = |one: &str, other: &str| is_same_place(Path::new(one), Path::new(other));
        assert!(same("s3://b/x", "s3://b/x/") && !same("s3://b/x", "s3://b/y") && !same("s3://b/x", "b/x"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        if cfg!(unix) {
            assert!(same(path, &format!("file://{path}")) && same(path, &format!("{path}/.")));
        }
        assert!(!same(&format!("file://{path}/absent"), &format!("file://{path}/absent")));
    }
}
