//! What to do when a file does not open. The published programs print the text of an error and nothing else.

use std::path::Path;

use mnem_core::error::StoreError as CoreError;
use mnem_core_bridge::core_error;
use mnem_store_traits::{ErrorKind, StoreError};

/// The error with its causes, the path and the next step.
pub(crate) fn does_not_open(error: StoreError, path: &Path) -> CoreError {
    match next_step(error.kind(), path) {
        Some(step) => CoreError::Io(format!("{}; {step}", error.in_full())),
        None => core_error(error),
    }
}

fn next_step(kind: ErrorKind, path: &Path) -> Option<String> {
    let (path, word) = (path.display(), quoted(path));
    match kind {
        ErrorKind::Locked => Some(
            "wait for that process, or set MNEM_REDB_LOCK_WAIT_MS to wait longer; to work beside a server, set \
             MNEM_REDB_SHARING=multi-writer for it and for this program"
                .to_owned(),
        ),
        ErrorKind::Damaged => Some(format!(
            "to rescue its blocks, run `mnem-store copy --salvage {word} NEW --format 'mnem-backend-redb 0.1'`"
        )),
        ErrorKind::UnsupportedFormat => Some(format!("{path} was left as it is: use a version that knows its format")),
        ErrorKind::NotAStore => {
            Some(format!("{path} was left as it is: restore it from a backup, or move it away to begin anew"))
        }
        _ => None,
    }
}

/// The path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_open_is_named_with_a_next_step() {
        let path = Path::new("/a/repo.redb");
        let location = || path.to_owned().into();
        let unsupported = StoreError::UnsupportedFormat { found: "later".into(), supported: "1".into() };
        let absent = StoreError::NotAStore { location: location(), reason: "it is text".into() };
        for (error, step) in [
            (StoreError::Locked { location: location() }, "MNEM_REDB_SHARING"),
            (absent, "restore it from a backup"),
            (unsupported, "use a version that knows its format"),
        ] {
            let text = does_not_open(error, path).to_string();
            assert!(text.contains("/a/repo.redb") && text.contains(step), "{text}");
        }
        let damaged = |path| next_step(ErrorKind::Damaged, Path::new(path)).unwrap();
        assert!(damaged("/a/repo.redb").contains("--salvage /a/repo.redb NEW"));
        assert!(damaged("/a b/it's").contains(r"--salvage '/a b/it'\''s' NEW"));
        let closed = StoreError::Closed { backend: "redb", operation: "open" };
        assert!(!does_not_open(closed, path).to_string().contains("; "));
    }
}
