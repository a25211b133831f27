//! Checks that the path of an open store still leads to it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mnem_store_traits::{
    Cause, Outcome, StoreError,
    driver::{FileIdentity, Location, ManagedStore, identity},
};

/// The place where a store was opened.
///
/// An open file stays open when its name is removed. A program that writes to it then gets no error, and nobody can
/// find the data again. So check the place before you close a store that you wrote to.
#[derive(Clone, Debug)]
pub struct Place {
    backend: &'static str,
    at: Location,
    identity: FileIdentity,
}

/// The path of a store no longer leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Elsewhere {
    /// The path under which it was opened.
    pub path: PathBuf,
    /// Whether something else is there now.
    pub replaced: bool,
    /// The present path of the store, if it still has a name and the system reports it. Known only while the store is
    /// open.
    pub now: Option<PathBuf>,
}

impl std::fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match (&self.now, self.replaced) {
            (Some(now), false) => write!(f, "{path} was moved to {} while it was open", now.display()),
            (Some(now), true) => {
                write!(f, "{path} was moved to {} and replaced while it was open", now.display())
            }
            (None, true) => write!(f, "{path} was replaced while it was open"),
            (None, false) => write!(f, "{path} was removed while it was open"),
        }
    }
}

impl std::error::Error for Elsewhere {}

impl Place {
    /// The place of a store that was opened at `at`.
    pub fn new(store: &dyn ManagedStore, at: impl Into<Location>) -> Self {
        Self { backend: store.driver().name(), at: at.into(), identity: store.identity() }
    }

    /// Checks whether the path still leads to the store that was opened there. `None`: it does, or the system does not
    /// report it.
    ///
    /// Call it before you close the store: only then can its present name be found.
    ///
    /// # Errors
    /// An error of the file system at the path, except absence.
    pub fn elsewhere(&self) -> io::Result<Option<Elsewhere>> {
        let (Some(opened), Location::Path(path)) = (self.identity, &self.at) else { return Ok(None) };
        let found = match fs::metadata(path) {
            Ok(found) => identity(&found),
            // A part of the path may have become a file.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
            Err(error) => return Err(error),
        };
        if found == Some(opened) {
            return Ok(None);
        }
        Ok(Some(Elsewhere { path: path.clone(), replaced: found.is_some(), now: present_name(opened) }))
    }

    /// As [`elsewhere`](Self::elsewhere), as an error.
    ///
    /// # Errors
    /// [`StoreError::Backend`] with [`Elsewhere`] or the file system's error as its cause.
    pub fn check(&self) -> Result<(), StoreError> {
        let source = match self.elsewhere() {
            Ok(None) => return Ok(()),
            Ok(Some(elsewhere)) => Cause::new(elsewhere),
            Err(error) => Cause::new(error),
        };
        Err(StoreError::Backend {
            backend: self.backend,
            operation: format!("check its path {}", self.at),
            outcome: Outcome::Unknown,
            source,
        })
    }
}

/// The name of a file that this process has open, or of a folder in which it has a file open. Linux reports it.
fn present_name(opened: (u64, u64)) -> Option<PathBuf> {
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|found| identity(&found) == Some(opened));
    // The files of a store are at most this deep in its folder.
    const LEVELS: usize = 3;
    let names = fs::read_dir("/proc/self/fd").ok()?.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    names
        .filter(|name| name.is_absolute())
        .find_map(|name| name.ancestors().take(LEVELS).find(|path| is_it(path)).map(Path::to_owned))
}
