//! What a compiler cannot check.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

/// Files that only the redb backend has: redb's sessions, snapshots, transactions that callers share, and pages, its second layout, and the edge
/// table that it re-exports.
const REDB_ONLY: [&str; 23] = [
    "src/change.rs",
    "src/group.rs",
    "src/keys.rs",
    "src/knn_edges_store.rs",
    "src/layout.rs",
    "src/look.rs",
    "src/overlay.rs",
    "src/reading.rs",
    "src/session.rs",
    "src/snapshot.rs",
    "src/verified.rs",
    "src/writing.rs",
    "tests/batches.rs",
    "tests/close.rs",
    "tests/compact.rs",
    "tests/creation.rs",
    "tests/freshness.rs",
    "tests/groups.rs",
    "tests/interleavings.rs",
    "tests/large.rs",
    "tests/layouts.rs",
    "tests/locking.rs",
    "tests/writes.rs",
];

/// Files that only the simple backend has: files and folders, and the order in which they are written and synced.
const SIMPLE_ONLY: [&str; 10] = [
    "src/unfinished.rs",
    "src/whole.rs",
    "tests/commits.rs",
    "tests/foreign.rs",
    "tests/handles.rs",
    "tests/heads.rs",
    "tests/listings.rs",
    "tests/names.rs",
    "tests/order_of_calls.rs",
    "tests/permissions.rs",
];

/// Runs every check and reports all that is wrong at once.
pub(crate) fn run() -> Result<()> {
    let sh = crate::shell()?;
    let files = tracked(&sh)?;
    let mut wrong = Vec::new();
    for file in &files {
        let Ok(text) = sh.read_file(file) else { continue };
        match file.extension().and_then(|e| e.to_str()) {
            Some("rs") => module_document(file, &text, &mut wrong),
            Some("md") => links(&sh, file, &text, &mut wrong),
            _ => {}
        }
        if file.file_name().is_some_and(|name| name != "Cargo.lock") {
            machine_paths(file, &text, &mut wrong);
        }
    }
    same_file_names(&files, &mut wrong);
    for line in &wrong {
        eprintln!("tidy: {line}");
    }
    if !wrong.is_empty() {
        bail!("{} things are not in order", wrong.len());
    }
    Ok(())
}

fn tracked(sh: &Shell) -> Result<Vec<PathBuf>> {
    let listed = cmd!(sh, "git ls-files --cached --others --exclude-standard").quiet().read()?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| sh.path_exists(path)).collect())
}

fn module_document(file: &Path, text: &str, wrong: &mut Vec<String>) {
    if !text.trim_start_matches("#!/usr/bin/env run\n").starts_with("//!") {
        wrong.push(format!("{}: does not begin with a module document (//!)", file.display()));
    }
}

/// Paths of one machine, in any text file. The pieces are joined here so that this file does not contain them.
fn machine_paths(file: &Path, text: &str, wrong: &mut Vec<String>) {
    let private = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|parts| parts.concat());
    for (number, line) in text.lines().enumerate() {
        if private.iter().any(|path| line.contains(path.as_str())) {
            wrong.push(format!("{}:{}: a path of one machine", file.display(), number + 1));
        }
    }
}

/// Every relative Markdown link leads to a file.
fn links(sh: &Shell, file: &Path, text: &str, wrong: &mut Vec<String>) {
    let folder = file.parent().unwrap_or(Path::new(""));
    for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = target.split('#').next().unwrap_or_default();
        let elsewhere = path.is_empty() || path.contains("://") || path.contains(char::is_whitespace);
        if !elsewhere && !sh.path_exists(folder.join(path)) {
            wrong.push(format!("{}: a link leads nowhere: {target}", file.display()));
        }
    }
}

/// Both backends are laid out alike, so that `diff -r` shows only what differs; what only one has is listed above.
fn same_file_names(files: &[PathBuf], wrong: &mut Vec<String>) {
    let names = |backend: &str| -> BTreeSet<String> {
        let root = Path::new("crates").join(backend);
        let in_crate = files.iter().filter_map(|file| file.strip_prefix(&root).ok());
        let sources = in_crate.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
        let names = sources.map(|file| file.to_string_lossy().into_owned());
        // Helpers, and what a power cut leaves of each medium.
        let own = ["tests/support", "tests/crash"];
        names.filter(|name| !own.iter().any(|own| name.starts_with(own))).collect()
    };
    let (redb, simple) = (names("mnem-backend-redb"), names("mnem-backend-simple"));
    for (backend, own, other, listed) in
        [("redb", &redb, &simple, &REDB_ONLY[..]), ("simple", &simple, &redb, &SIMPLE_ONLY[..])]
    {
        let listed: BTreeSet<String> = listed.iter().map(|&name| name.to_owned()).collect();
        let alone: BTreeSet<String> = own.difference(other).cloned().collect();
        for name in alone.symmetric_difference(&listed) {
            wrong.push(format!("{name}: either only the {backend} backend has it, or tidy says so wrongly"));
        }
    }
}
