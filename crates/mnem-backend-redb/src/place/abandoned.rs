//! Unfinished files that killed creators of stores left behind.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::Path,
};

use crate::{engine::locks::file_id, limits::TEMPORARY_PREFIX};

/// Random characters after the prefix.
pub(super) const RANDOM_CHARS: usize = 6;

/// Removes the unfinished files of a folder that no creator holds. Ignores files that cannot be removed, and a folder
/// that cannot be listed.
pub(crate) fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_file = entry.file_type().is_ok_and(|file_type| file_type.is_file());
        if is_file && is_unfinished(&entry.file_name()) && remove_unless_held(&entry.path()).is_ok_and(|gone| gone) {
            tracing::info!(path = %entry.path().display(), "removed the unfinished store of a killed process");
        }
    }
}

fn is_unfinished(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY_PREFIX));
    random.is_some_and(|random| random.len() == RANDOM_CHARS && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Removes the file if it can be locked, as its creator and redb do too. Returns whether it is gone.
fn remove_unless_held(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    // Without locks the owner is unknown.
    if file.try_lock().is_err() || file_id(&file)? != file_id(&File::open(path)?)? {
        return Ok(false);
    }
    fs::remove_file(path).map(|()| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_pattern_is_unfinished() {
        for name in [".mnem-redb-new-aB3xY9", ".mnem-redb-new-000000"] {
            assert!(is_unfinished(OsStr::new(name)), "{name}");
        }
        for name in [
            ".mnem-redb-new-",
            ".mnem-redb-new-aB3xY",
            ".mnem-redb-new-aB3xY99",
            ".mnem-redb-new-aB3x.9",
            "mnem-redb-new-aB3xY9",
            ".mnem-redb-new-aB3xY9.bak",
            ".mnem-redb-old-aB3xY9",
            ".mnem-redb-new-aB3x\u{e9}",
        ] {
            assert!(!is_unfinished(OsStr::new(name)), "{name}");
        }
    }
}
