//! The sizes of caches and batches under a memory limit.
//!
//! The limits of address space (`ulimit -v`) and of data (`ulimit -d`) count without the memory that the process uses
//! already and the address space that the C library reserves for threads. The limit of a container (control groups,
//! versions 1 and 2) counts in full. The lowest limit applies. Limits are read once, at the start of the program.

use std::sync::LazyLock;
#[cfg(unix)]
use std::{fs, path::Path};

#[cfg(unix)]
use crate::limits::THREADS_ADDRESS_BYTES;
use crate::{
    error::{Failure, Result},
    limits::{CACHE_SHARE, IMPORT_BATCH_SHARE},
    output::Size,
};

/// A memory limit in bytes, and the name of what sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    bytes: u64,
    of: &'static str,
}

static LIMIT: LazyLock<Option<Limit>> = LazyLock::new(|| limits().min_by_key(|limit| limit.bytes));

/// The cache size of a store: `usual`, or less under a limit.
pub(crate) fn cache_bytes(usual: usize) -> usize {
    let share = |limit: Limit| usize::try_from(limit.bytes / CACHE_SHARE).unwrap_or(usize::MAX);
    LIMIT.map_or(usual, |limit| share(limit).min(usual))
}

/// The batch size of an import: `usual`, or less under a limit.
pub(crate) fn import_batch_bytes(usual: u64) -> u64 {
    LIMIT.map_or(usual, |limit| (limit.bytes / IMPORT_BATCH_SHARE).min(usual))
}

/// Checks that the limit leaves enough memory for a command, which would otherwise be killed midway.
///
/// # Errors
/// [`Failure::Refused`] if it does not.
pub(crate) fn is_enough(needed: u64) -> Result<()> {
    match *LIMIT {
        Some(Limit { bytes, of }) if bytes < needed => Err(Failure::Refused {
            message: format!("{of} leaves {} of memory, but this command needs {}", Size(bytes), Size(needed)),
            hint: format!("raise the limit by at least {}; `ulimit -v` takes KiB", Size(needed - bytes)),
        }),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn limits() -> impl Iterator<Item = Limit> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of_process = [
        (rustix::process::Resource::As, "VmSize:", THREADS_ADDRESS_BYTES, "the address space limit"),
        (rustix::process::Resource::Data, "VmData:", 0, "the data limit"),
    ];
    let of_process = of_process.into_iter().filter_map(move |(resource, used, reserved, of)| {
        let bytes = rustix::process::getrlimit(resource).current?;
        let taken = kibibytes(&status, used) * 1024 + reserved;
        Some(Limit { bytes: bytes.saturating_sub(taken), of })
    });
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    of_process.chain(
        of_groups(Path::new("/sys/fs/cgroup"), &groups)
            .map(|bytes| Limit { bytes, of: "the container's memory limit" }),
    )
}

#[cfg(not(unix))]
fn limits() -> impl Iterator<Item = Limit> {
    std::iter::empty()
}

/// A value of `/proc/self/status`; 0 if it has no such line.
#[cfg(unix)]
fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim_end().parse().ok()).unwrap_or(0)
}

/// The lowest memory limit of the control groups in the text of `/proc/self/cgroup` and of their ancestors. A group
/// with the limit `max` has none. `root` is the mount point of the control groups.
#[cfg(unix)]
fn of_groups(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (mounts, file): (&[_], _) = match controllers {
            "" => (&["", "unified"], "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (&["memory"], "memory.limit_in_bytes")
            }
            _ => (&[], ""),
        };
        let relative = group.trim_start_matches('/').to_owned();
        mounts.iter().flat_map(move |mount| {
            // Inside a container, the path may be the one on the host, while the group itself is mounted at the root.
            let folders = Path::new(&relative).ancestors().map(|folder| root.join(mount).join(folder));
            folders.map(|folder| folder.join(file)).collect::<Vec<_>>()
        })
    });
    limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_all_groups_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, text).expect("written");
        };
        let limit = |groups: &str| of_groups(folder.path(), groups);
        assert_eq!(limit("0::/\n"), None);
        write("a/b/memory.max", "max\n");
        assert_eq!(limit("0::/a/b\n"), None);
        write("a/memory.max", "268435456\n");
        assert_eq!(limit("0::/a/b\n"), Some(268_435_456));
        write("memory.max", "1000\n");
        assert_eq!(limit("0::/seen/from/outside\n"), Some(1000));
        write("memory/c/memory.limit_in_bytes", "900\n");
        assert_eq!(limit("5:cpu,memory:/c\n2:cpuset:/\n0::/a\n"), Some(900));
        assert_eq!(limit("nonsense\n::\n"), Some(1000));
    }

    #[test]
    fn what_is_used_is_read_in_kibibytes() {
        let status = "Name:\tmnem-store\nVmSize:\t   12345 kB\n";
        assert_eq!(["VmSize:", "VmData:"].map(|name| kibibytes(status, name)), [12_345, 0]);
    }
}
