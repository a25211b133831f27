//! Programs that are stuck at a pipe, so that they run as long as a test needs.

use std::{
    fs,
    io::{PipeReader, PipeWriter, Write as _, pipe},
};

/// A full pipe, and the number of bytes in it.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, mut writer) = pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("set");
    let mut filled = 0;
    // At the end byte by byte, until it is full.
    for piece in [4096, 1] {
        while let Ok(written) = writer.write(&vec![b'x'; piece]) {
            filled += written;
        }
    }
    rustix::io::ioctl_fionbio(&writer, false).expect("set");
    (reader, writer, filled)
}

/// Whether the process is already running this program and waits for a pipe.
pub(crate) fn is_stuck(process: u32) -> bool {
    let told = |what: &str| fs::read_to_string(format!("/proc/{process}/{what}")).unwrap_or_default();
    let waits_for = told("wchan");
    told("comm").trim() == "mnem-store"
        && (waits_for.contains("pipe") || waits_for.contains("poll"))
        && told("stat").rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}
