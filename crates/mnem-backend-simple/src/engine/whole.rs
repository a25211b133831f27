//! Syncs a whole file system, where that is as safe as syncing file by file.

use std::{fmt::Debug, io, path::Path};

/// A prepared sync of a whole file system.
pub trait WholeSync: Debug + Send {
    /// Makes the current state of every file and folder of the file system durable.
    ///
    /// # Errors
    /// Those of the file system, including any failure since this was created, even of a file of another program. The
    /// unsynced data must then be considered lost.
    fn sync(&mut self) -> io::Result<()>;
}

/// As [`FileSystem::whole`](crate::engine::medium::FileSystem::whole), on the operating system.
///
/// `syncfs` replaces the fsync of each file if all of the following hold:
/// - The kernel is Linux 5.17 or newer. Before 5.8, `syncfs` did not report failed writeback, and before 5.17 not that
///   the file system could not commit its journal.
/// - The driver of the file system is ext4 or XFS, whose `syncfs` writes back all data, then commits all metadata, then
///   flushes the disk's cache. Other drivers may do nothing at all (many in user space), cover only a part (network,
///   overlay), or skip the cache (ext2).
/// - The descriptor was opened before the files were written, so that it reports writeback failures that the kernel met
///   in the meantime.
/// - The store's folders are on that one file system. (A shard on another one refuses every new name.)
///
/// Before 6.13, `syncfs` of ext4 returns `Ok` even after the file system was shut down. Callers must therefore also
/// sync one folder at the end, since fsync reports that.
#[cfg(target_os = "linux")]
pub(crate) fn of(root: &Path) -> Option<Box<dyn WholeSync>> {
    use std::os::linux::fs::MetadataExt as _;

    if !linux::kernel_reports_failures() {
        return None;
    }
    // If something cannot be determined, assume that it is not safe.
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

    /// Names in the mount table of file systems whose drivers sync as safely as fsync. A mount named ext2 may be served
    /// by a driver that does not.
    const SAFE: [&str; 3] = ["ext4", "ext3", "xfs"];

    /// The first kernel whose `syncfs` reports all failures.
    const REPORTS_SINCE: (u32, u32) = (5, 17);

    #[derive(Debug)]
    pub(super) struct SyncFd(pub(super) File);

    impl WholeSync for SyncFd {
        fn sync(&mut self) -> io::Result<()> {
            Ok(rustix::fs::syncfs(&self.0)?)
        }
    }

    /// Whether the process may call `syncfs`: a system call filter may forbid calls that it does not know. Tried once.
    pub(super) fn is_permitted(folder: &File) -> bool {
        static ANSWER: OnceLock<bool> = OnceLock::new();
        *ANSWER.get_or_init(|| rustix::fs::syncfs(folder).is_ok())
    }

    pub(super) fn syncs_as_safely(device: u64) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        kind_of_mount(&mounts, &format!("{major}:{minor}")).is_some_and(|kind| SAFE.contains(&kind))
    }

    /// The type of the file system on a device: the third field of a mount line names the device, the first one after a
    /// lone dash the type.
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
