//! Random parts of a writer's unsynced data get to the disk, in random order.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::Random;

/// The longest time between two syncs. Without pauses, little would remain unsynced.
const PAUSE_MICROSECONDS: u64 = 800;

/// Syncs random files and folders in `folder` until `moment`. Returns how many.
///
/// Skips what the writer removes or renames meanwhile.
pub(super) fn until(moment: Instant, folder: &Path, random: &mut Random) -> u32 {
    let mut synced = 0;
    loop {
        thread::sleep(Duration::from_micros(random.below(PAUSE_MICROSECONDS)));
        if Instant::now() >= moment {
            return synced;
        }
        let mut there = vec![folder.to_owned()];
        list(folder, &mut there);
        let drawn = &there[random.index(there.len())];
        let Ok(file) = File::open(drawn) else { continue };
        let done = match random.below(16) {
            0 => rustix::fs::syncfs(&file).is_ok(),
            1..8 => file.sync_data().is_ok(),
            _ => file.sync_all().is_ok(),
        };
        synced += u32::from(done);
    }
}

fn list(folder: &Path, there: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        there.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&entry.path(), there);
        }
    }
}
