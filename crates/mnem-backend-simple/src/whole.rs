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

/// As [`FileSystem::whole`](crate::medium::FileSystem::whole), on the operating system.
///
/// `syncfs` takes the place of an fsync for each file where four things are known:
/// - the kernel is Linux 5.8 or newer: before, `syncfs` did not report that writing back had failed;
/// - the file system is one whose `syncfs` writes back all data, then commits all metadata, then empties the disk's cache: ext4, XFS and Btrfs.
///   Others may do nothing at all (many in user space) or know only a part (network, overlay);
/// - the descriptor was opened before the files were written, so that a failure that the kernel met by itself meanwhile is reported through it;
/// - the store's folders lie on that one file system. (A shard that is on another one refuses every new name.)
#[cfg(target_os = "linux")]
pub(crate) fn of(root: &Path) -> io::Result<Option<Box<dyn WholeSync>>> {
    use std::os::linux::fs::MetadataExt as _;

    if !linux::kernel_reports_failures() {
        return Ok(None);
    }
    let folder = std::fs::File::open(root)?;
    if !linux::syncs_as_safely(&folder)? {
        return Ok(None);
    }
    let device = folder.metadata()?.st_dev();
    for inner in [crate::tables::OBJECTS, crate::tables::TMP] {
        if root.join(inner).symlink_metadata()?.st_dev() != device {
            return Ok(None);
        }
    }
    Ok(Some(Box::new(linux::Opened(folder))))
}

/// Only Linux has `syncfs`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_root: &Path) -> io::Result<Option<Box<dyn WholeSync>>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs::File, io, sync::OnceLock};

    use super::WholeSync;

    /// What `statfs` calls ext4 (and its elders, which the same code serves), XFS and Btrfs.
    const SAFE: [u64; 3] = [0xef53, 0x5846_5342, 0x9123_683e];

    /// The kernel from which on `syncfs` reports failures.
    const REPORTS_SINCE: (u32, u32) = (5, 8);

    #[derive(Debug)]
    pub(super) struct Opened(pub(super) File);

    impl WholeSync for Opened {
        fn sync(&mut self) -> io::Result<()> {
            Ok(rustix::fs::syncfs(&self.0)?)
        }
    }

    pub(super) fn syncs_as_safely(folder: &File) -> io::Result<bool> {
        // The type is a number of 32 bits, whatever the width and sign of the field.
        let kind = rustix::fs::fstatfs(folder)?.f_type as u64 & 0xffff_ffff;
        Ok(SAFE.contains(&kind))
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
        use super::version;

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
