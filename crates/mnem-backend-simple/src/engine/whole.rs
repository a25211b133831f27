//! Making everything on a file system durable at once, where that is as safe as syncing file by file.

use std::{fmt::Debug, io, path::Path};

/// A file system about to be synced whole.
pub trait WholeSync: Debug + Send {
    /// Makes every file and every folder of the file system durable, as they are now.
    ///
    /// # Errors
    /// Whatever the file system says, also of a failure since this was made that was nobody's of this store. What was to be made
    /// durable must then be taken for lost.
    fn sync(&mut self) -> io::Result<()>;
}

/// As [`FileSystem::whole`](crate::engine::medium::FileSystem::whole), on the operating system.
///
/// `syncfs` takes the place of an fsync for each file where these are known:
/// - the kernel is Linux 5.17 or newer: before 5.8 `syncfs` did not report that writing back had failed, and before 5.17 not that the file system
///   could not commit its journal;
/// - the file system is served by the drivers of ext4 or XFS, whose `syncfs` writes back all data, then commits all metadata, then empties the disk's
///   cache. Others may do nothing at all (many in user space), know only a part (network, overlay), or leave out the cache (ext2);
/// - the descriptor was opened before the files were written, so that a failure that the kernel met by itself meanwhile is reported through it;
/// - the store's folders lie on that one file system. (A shard that is on another one refuses every new name.)
///
/// Before 6.13, ext4 answers `Ok` once it was shut down. So whoever uses this syncs one folder at the end as well: fsync reports that.
#[cfg(target_os = "linux")]
pub(crate) fn of(root: &Path) -> Option<Box<dyn WholeSync>> {
    use std::os::linux::fs::MetadataExt as _;

    if !linux::kernel_reports_failures() {
        return None;
    }
    // What cannot be found out is not safe.
    let folder = std::fs::File::open(root).ok()?;
    let device = folder.metadata().ok()?.st_dev();
    let on_device = |inner| root.join(inner).symlink_metadata().is_ok_and(|found| found.st_dev() == device);
    if ![crate::tables::OBJECTS, crate::tables::TMP].into_iter().all(on_device) || !linux::syncs_as_safely(device) {
        return None;
    }
    linux::is_permitted(&folder).then(|| Box::new(linux::SyncFd(folder)) as Box<dyn WholeSync>)
}

/// Only Linux has `syncfs`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_root: &Path) -> Option<Box<dyn WholeSync>> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs::File, io, sync::OnceLock};

    use super::WholeSync;

    /// File systems whose drivers sync as safely as fsync, as the table of mounts calls them. A mount that is called ext2 may be served by a driver that
    /// does not.
    const SAFE: [&str; 3] = ["ext4", "ext3", "xfs"];

    /// The kernel from which on `syncfs` reports all failures.
    const REPORTS_SINCE: (u32, u32) = (5, 17);

    #[derive(Debug)]
    pub(super) struct SyncFd(pub(super) File);

    impl WholeSync for SyncFd {
        fn sync(&mut self) -> io::Result<()> {
            Ok(rustix::fs::syncfs(&self.0)?)
        }
    }

    /// Whether the process may call it: a filter of system calls may forbid what it does not know. Tried once.
    pub(super) fn is_permitted(folder: &File) -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        *ANSWER.get_or_init(|| rustix::fs::syncfs(folder).is_ok())
    }

    pub(super) fn syncs_as_safely(device: u64) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        kind_of_mount(&mounts, &format!("{major}:{minor}")).is_some_and(|kind| SAFE.contains(&kind))
    }

    /// What the file system on a device is called: the third field of its line names the device, the first one behind a lone dash the kind.
    fn kind_of_mount<'a>(mounts: &'a str, device: &str) -> Option<&'a str> {
        let line = mounts.lines().find(|line| line.split(' ').nth(2) == Some(device))?;
        line.split_once(" - ")?.1.split(' ').next()
    }

    pub(super) fn kernel_reports_failures() -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        *ANSWER.get_or_init(|| {
            let system = rustix::system::uname();
            version(&system.release().to_string_lossy()).is_some_and(|version| version >= REPORTS_SINCE)
        })
    }

    /// The first two numbers of a release such as `6.1.0-13-amd64`.
    fn version(release: &str) -> Option<(u32, u32)> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    #[cfg(test)]
    mod tests {
        use super::{kind_of_mount, version};

        #[test]
        fn mounts_are_told_apart_by_their_device() {
            let mounts = "25 30 0:23 / /proc rw,nosuid - proc proc rw\n\
                          30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,discard\n\
                          31 30 8:17 /sub /mnt/a\\040-\\040b rw - xfs /dev/sdb1 rw\n";
            assert_eq!(kind_of_mount(mounts, "254:0"), Some("ext4"));
            assert_eq!(kind_of_mount(mounts, "8:17"), Some("xfs"));
            assert_eq!(kind_of_mount(mounts, "0:23"), Some("proc"));
            assert_eq!(kind_of_mount(mounts, "8:1"), None);
            assert_eq!(kind_of_mount("nonsense", "8:1"), None);
        }

        #[test]
        fn releases_of_kernels_are_read() {
            assert_eq!(version("6.1.0-13-amd64"), Some((6, 1)));
            assert_eq!(version("5.8"), Some((5, 8)));
            assert_eq!(version("5.15.167.4-microsoft-standard-WSL2"), Some((5, 15)));
            assert_eq!(version("4.19.0+"), Some((4, 19)));
            assert_eq!(version("next"), None);
            assert_eq!(version(""), None);
        }
    }
}
