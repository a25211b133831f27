//! The costs of a workload other than time, where the operating system reports them.

use std::{fs, path::Path};

/// Bytes that this process has caused to be written to a medium so far; `None` if the system does not report it.
///
/// The kernel counts a page when it becomes dirty, so a page written twice before a sync counts once.
pub fn written_bytes() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/io").ok()?, "write_bytes:")
}

/// Peak resident memory of this process, in bytes; `None` if the system does not report it.
pub fn peak_memory_bytes() -> Option<u64> {
    Some(field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")? * 1024)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Bytes on disk of a file, or of a folder with everything in it. Unreadable entries count as zero.
pub fn disk_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let inside = if metadata.is_dir() {
        fs::read_dir(path).map_or(0, |entries| entries.flatten().map(|entry| disk_bytes(&entry.path())).sum())
    } else {
        0
    };
    allocated(&metadata) + inside
}

#[cfg(unix)]
fn allocated(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}
