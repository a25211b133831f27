//! From a path to the two stores.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mnem_core::{
    error::{Error, StoreError as CoreError},
    store::{Blockstore, OpHeadsStore},
};
use mnem_core_bridge::Bridge;
use mnem_store_traits::{StoreError, driver::Sharing};
use storage_redb::{Layout, OpenOptions, RedbStore};

use crate::advice::does_not_open;

/// How long [`open_or_init`] waits for another process unless `MNEM_REDB_LOCK_WAIT_MS` is set.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Of a new file: the umask decides, as in the published crate.
const MODE: u32 = 0o666;

type Halves = (Arc<dyn Blockstore>, Arc<dyn OpHeadsStore>, PathBuf);

/// Opens the database at `path`, or makes it and its folders, in the published layout.
///
/// The file is this handle's alone unless `MNEM_REDB_SHARING` is `multi-writer`. Another process that has it open is
/// waited for. Where the file cannot be written, by its permissions or a read-only mount, it is opened for reading.
///
/// # Errors
/// Those of the file system and of redb, as [`Error::Store`], and an environment variable that has no such value.
pub fn open_or_init(path: impl AsRef<Path>) -> Result<Halves, Error> {
    open(path.as_ref(), sharing_from_env()?)
}

/// As [`open_or_init`], beside other processes that open it so too.
///
/// # Errors
/// As [`open_or_init`].
pub fn open_shared(path: impl AsRef<Path>) -> Result<Halves, Error> {
    open(path.as_ref(), Sharing::MultiWriter)
}

fn open(path: &Path, sharing: Sharing) -> Result<Halves, Error> {
    make_folders(path)?;
    let options =
        OpenOptions::new().layout(Layout::Mnem01).mode(MODE).lock_wait(lock_wait_from_env()?).sharing(sharing);
    let store = open_store(path, &options).map_err(|error| does_not_open(error, path))?;
    let (blocks, heads) = Bridge::new(Arc::new(store)).stores();
    Ok((blocks, heads, path.to_owned()))
}

fn make_folders(path: &Path) -> Result<(), CoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), fs::create_dir_all).map_err(|error| CoreError::Io(format!("create parent dir: {error}")))
}

/// For reading only where it cannot be written: `status`, `get` and `export` work there.
fn open_store(path: &Path, options: &OpenOptions) -> Result<RedbStore, StoreError> {
    match options.clone().create(true).open(path) {
        Err(error) if cannot_be_written(&error) && path.exists() => {
            tracing::warn!(path = %path.display(), %error, "the file cannot be written: it is opened for reading only");
            // The cause is worth more than what reading says, where that fails too.
            options.clone().read_only(true).open(path).map_err(|_| error)
        }
        opened => opened,
    }
}

fn cannot_be_written(error: &StoreError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn sharing_from_env() -> Result<Sharing, CoreError> {
    match env::var("MNEM_REDB_SHARING").as_deref() {
        Err(env::VarError::NotPresent) | Ok("exclusive") => Ok(Sharing::ExclusiveWriter),
        Ok("multi-writer") => Ok(Sharing::MultiWriter),
        Ok(_) | Err(_) => Err(CoreError::Io("MNEM_REDB_SHARING is `exclusive` or `multi-writer`".into())),
    }
}

fn lock_wait_from_env() -> Result<Duration, CoreError> {
    match env::var("MNEM_REDB_LOCK_WAIT_MS") {
        Err(env::VarError::NotPresent) => Ok(LOCK_WAIT),
        value => value
            .ok()
            .and_then(|value| value.parse().ok())
            .map(Duration::from_millis)
            .ok_or_else(|| CoreError::Io("MNEM_REDB_LOCK_WAIT_MS is a number of milliseconds".into())),
    }
}

#[cfg(test)]
mod tests {
    use mnem_store_traits::{Cause, Outcome};

    use super::*;

    #[test]
    fn only_a_place_that_refuses_writes_is_opened_for_reading() {
        let failed = |kind: io::ErrorKind| StoreError::Backend {
            backend: "redb",
            operation: "open".into(),
            outcome: Outcome::NotApplied,
            source: Cause::new(io::Error::from(kind)),
        };
        assert!(cannot_be_written(&failed(io::ErrorKind::PermissionDenied)));
        assert!(cannot_be_written(&failed(io::ErrorKind::ReadOnlyFilesystem)));
        assert!(!cannot_be_written(&failed(io::ErrorKind::StorageFull)));
        assert!(!cannot_be_written(&StoreError::Locked { location: "repo.redb".into() }));
    }
}
