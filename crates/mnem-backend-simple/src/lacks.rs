//! Distinguishes a feature that a file system lacks from a failure.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use mnem_store_traits::{StoreError, driver::PlaceLacks};

use crate::{
    engine::medium::{FileSystem, SyncError},
    error::at,
    limits::BLOCK_NAME_CHARS_MAX,
    tables::Paths,
};

/// Whether a failed link, or a failed rename without replacing, means that this file system or a system call filter
/// does not support the call. "Permission denied" counts too: if the permission is really missing, the next way to give
/// the name fails as well.
pub(crate) fn has_no_such_call(error: &io::Error) -> bool {
    use ErrorKind::{CrossesDevices, InvalidInput, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), Unsupported | InvalidInput | PermissionDenied | TooManyLinks | CrossesDevices)
}

/// Whether a folder was not synced because the file system cannot sync folders. A failed or full disk returns other
/// errors.
pub(crate) fn cannot_sync_folders(error: &SyncError) -> bool {
    let (SyncError::NotOpened(error) | SyncError::Failed(error)) = error;
    is_without_folder_sync(error)
}

/// As [`cannot_sync_folders`], for an error of the system.
pub(crate) fn is_without_folder_sync(error: &io::Error) -> bool {
    use ErrorKind::{InvalidInput, IsADirectory, PermissionDenied, Unsupported};
    matches!(error.kind(), Unsupported | InvalidInput | IsADirectory | PermissionDenied) || is_bad_descriptor(error)
}

/// The one such error that the standard library has no name for. It has the same number on every Unix.
fn is_bad_descriptor(error: &io::Error) -> bool {
    const EBADF: i32 = 9;
    cfg!(unix) && error.raw_os_error() == Some(EBADF)
}

/// Whether a lock failed because the file system has no locks.
pub(crate) fn has_no_locks(error: &io::Error) -> bool {
    // From a network file system whose server has no lock service. The standard library has no name for it.
    const ENOLCK: i32 = 37;
    error.kind() == ErrorKind::Unsupported || (cfg!(target_os = "linux") && error.raw_os_error() == Some(ENOLCK))
}

/// Whether an error of the store means that there are no locks.
pub(crate) fn is_without_locks(error: &StoreError) -> bool {
    match error {
        StoreError::Backend { source, .. } => matches!(source.downcast_ref(), Some(PlaceLacks::Locks { .. })),
        _ => false,
    }
}

/// Fails unless every name of a store fits below this root. Nothing needs to exist yet.
pub(crate) fn check_names_fit(fs: &dyn FileSystem, root: &Path) -> Result<(), StoreError> {
    // The system checks the length of a path before it looks up any part of it. It checks the length of a name in its
    // folder, which must exist.
    let path = Paths::new(root.to_owned()).longest();
    let name = root.parent().unwrap_or(root).join("b".repeat(BLOCK_NAME_CHARS_MAX));
    for path in [&path, &name] {
        if let Err(error) = fs.metadata(path)
            && error.kind() == ErrorKind::InvalidFilename
        {
            return Err(at("fit the names of a store into the path length below", root)(error));
        }
    }
    Ok(())
}

/// As [`FileSystem::replaces_in_one_step`], on the operating system. Returns `false` for file systems in user space, of
/// other machines, and of the host of a virtual machine, whose servers may do as they like.
#[cfg(target_os = "linux")]
pub(crate) fn replaces_in_one_step(folder: &Path) -> bool {
    /// FUSE, CIFS, SMB 2, 9P, VirtualBox and VMware.
    const OTHERS: [u32; 6] = [0x6573_5546, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x786f_4256, 0xbacb_acbc];
    // The width and sign of the field differ between machines; its magic numbers have 32 bits.
    rustix::fs::statfs(folder).is_ok_and(|found| !OTHERS.contains(&(found.f_type as u32)))
}

/// Elsewhere, only Unix promises it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn replaces_in_one_step(_folder: &Path) -> bool {
    cfg!(unix)
}
