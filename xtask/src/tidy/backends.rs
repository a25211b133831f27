//! Both backends are laid out alike, so that `diff -r` shows only what differs; what only one has is listed here.

use std::{collections::BTreeSet, path::Path};

use super::workspace::Workspace;

/// Files that only the redb backend has: redb's sessions, snapshots, transactions that callers share, and pages, its second layout, and the edge
/// table that it re-exports.
const REDB_ONLY: [&str; 32] = [
    "src/as_it_is.rs",
    "src/change.rs",
    "src/group.rs",
    "src/header.rs",
    "src/keys.rs",
    "src/knn_edges_store.rs",
    "src/layout.rs",
    "src/locks.rs",
    "src/look.rs",
    "src/overlay.rs",
    "src/place/tests.rs",
    "src/present.rs",
    "src/publish.rs",
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
    "tests/lengths.rs",
    "tests/locking.rs",
    "tests/no_locks.rs",
    "tests/paths.rs",
    "tests/writes.rs",
];

/// Files that only the simple backend has: files and folders, and the order in which they are written and synced.
const SIMPLE_ONLY: [&str; 18] = [
    "src/required.rs",
    "src/unfinished.rs",
    "src/whole.rs",
    "tests/commits.rs",
    "tests/copied.rs",
    "tests/crash_points.rs",
    "tests/foreign.rs",
    "tests/handles.rs",
    "tests/heads.rs",
    "tests/io_errors.rs",
    "tests/links.rs",
    "tests/listings.rs",
    "tests/names.rs",
    "tests/order_of_calls.rs",
    "tests/permissions.rs",
    "tests/places.rs",
    "tests/required.rs",
    "tests/two_steps.rs",
];

/// Folders in which each backend is by itself: helpers, and what a power cut leaves of its medium.
const OWN: [&str; 2] = ["tests/support", "tests/crash/"];

pub(super) fn check(workspace: &Workspace, wrong: &mut Vec<String>) {
    let (redb, simple) = (names(workspace, "mnem-backend-redb"), names(workspace, "mnem-backend-simple"));
    compare("redb", &redb, &simple, &REDB_ONLY, wrong);
    compare("simple", &simple, &redb, &SIMPLE_ONLY, wrong);
}

/// The Rust files of a backend, but for those in folders of its own.
fn names(workspace: &Workspace, backend: &str) -> BTreeSet<String> {
    let root = Path::new("crates").join(backend);
    let in_crate = workspace.with_extension("rs").filter_map(|(file, _)| file.strip_prefix(&root).ok());
    let names = in_crate.map(|file| file.to_string_lossy().into_owned());
    names.filter(|name| !OWN.iter().any(|own| name.starts_with(own))).collect()
}

fn compare(backend: &str, own: &BTreeSet<String>, other: &BTreeSet<String>, listed: &[&str], wrong: &mut Vec<String>) {
    let listed: BTreeSet<String> = listed.iter().map(|&name| name.to_owned()).collect();
    let alone: BTreeSet<String> = own.difference(other).cloned().collect();
    for name in alone.symmetric_difference(&listed) {
        wrong.push(format!("{name}: either only the {backend} backend has it, or tidy says so wrongly"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::said;

    #[test]
    fn a_file_of_one_backend_is_named() {
        let of = |backend: &str, name: &str| (format!("crates/mnem-backend-{backend}/{name}"), "");
        let mut files: Vec<_> = REDB_ONLY.map(|name| of("redb", name)).into();
        files.extend(SIMPLE_ONLY.map(|name| of("simple", name)));
        files.extend([
            of("redb", "src/store.rs"),
            of("simple", "src/store.rs"),
            of("redb", "tests/support/x.rs"),
            of("simple", "tests/crash/x.rs"),
        ]);
        let said_of = |files: &[(String, &str)]| {
            said(check, &files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
        };
        assert_eq!(said_of(&files), [""; 0]);
        files.push(of("simple", "src/extra.rs"));
        let extra = "src/extra.rs: either only the simple backend has it, or tidy says so wrongly";
        assert_eq!(said_of(&files), [extra]);
        files.retain(|(path, _)| !path.ends_with("src/extra.rs") && !path.ends_with(REDB_ONLY[0]));
        let gone = format!("{}: either only the redb backend has it, or tidy says so wrongly", REDB_ONLY[0]);
        assert_eq!(said_of(&files), [gone]);
    }
}
