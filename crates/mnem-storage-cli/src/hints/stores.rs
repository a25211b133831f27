//! What a store says no with.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use mnem_storage::{
    Cid, Component, OpenOptions, StoreError,
    driver::{AppendedBytes, Location, PlaceLacks},
    knn::IndexError,
};

use super::{for_io, quoted};
use crate::drivers;

/// What failed is the store that a copy writes to.
///
/// `merges`: whether heads that the source does not know were to be kept.
pub(super) fn for_target(error: &StoreError, from: &Path, to: &Path, merges: bool) -> String {
    match error {
        StoreError::Corrupt { cid, .. } => {
            let (from, to) = (quoted(from), quoted(to));
            format!("`mnem-store rm {cid} --store {to}` (a head: --force), then `mnem-store copy {from} {to}` again")
        }
        StoreError::InvalidArgument { operation: "copy", .. } if merges => {
            format!("`mnem-store copy {} OTHER` copies to another place", quoted(from))
        }
        StoreError::InvalidArgument { operation: "copy", .. } => {
            format!(
                "`mnem-store copy {0} OTHER` copies to another place; --merge-heads keeps the heads of {1} that {0} does not know",
                quoted(from),
                quoted(to)
            )
        }
        StoreError::NotAStore { location: Location::Path(path), .. } => match missing_folder(path) {
            Some(folder) => format!("`mkdir -p {}`, then the same again", quoted(&folder)),
            None => for_nothing_there(path),
        },
        _ => for_store(error, &quoted(to)),
    }
}

/// A block is missing that no block links to: a head, or a root that was typed.
pub(super) fn for_missing_root(cid: &Cid, store: &str) -> String {
    format!(
        "import an archive that holds the block; if it is a head, `mnem-store heads rm {cid} --store {store}` drops it"
    )
}

/// The folder in which something is to be made, if it is not there.
fn missing_folder(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.exists()).then(|| folder.to_owned())
}

/// `store`: the path of the store concerned, for the command line.
pub(super) fn for_store(error: &StoreError, store: &str) -> String {
    match error {
        StoreError::NotAStore { location: Location::Path(path), .. } => for_nothing_there(path),
        StoreError::NotAStore { .. } => {
            "name a path; `mnem-store --version` lists the backends of this build, and these open no URL".to_owned()
        }
        StoreError::NeedsRecovery { .. } => {
            format!("`mnem-store verify --recover --store {store}` recovers the store, then checks it")
        }
        StoreError::UnsupportedFormat { .. } => {
            "use the version of mnem-store that wrote it, or a newer one: the store was left untouched".to_owned()
        }
        StoreError::Corrupt { cid, .. } => format!(
            "`mnem-store rm {cid} --store {store}` (a head: --force), then import an archive that holds the block; \
             `mnem-store verify --store {store}` finds all damage"
        ),
        StoreError::MissingBlock { linked_from: None, .. } => {
            format!(
                "import an archive that holds the block; `mnem-store ls --store {store}` lists those that are there"
            )
        }
        StoreError::MissingBlock { .. } => format!(
            "import an archive that holds the block; `mnem-store verify --store {store}` lists all that are missing"
        ),
        StoreError::Damaged { source, .. } if source.is::<IndexError>() => {
            format!(
                "`mnem-store knn rm INDEX --store {store}` removes it, then `mnem-store knn build` makes it anew from the vectors"
            )
        }
        StoreError::Damaged { source, .. } if source.is::<AppendedBytes>() => {
            for_appended(source.downcast_ref(), store)
        }
        // What others keep in a side table is no part of the store's own structure.
        StoreError::Damaged { component: Component::Store(_), .. } => {
            format!(
                "`mnem-store copy --salvage {store} NEW` saves what can be read into a new store; \
             `mnem-store verify --store {store}` lists the damage"
            )
        }
        StoreError::Malformed { .. } | StoreError::Damaged { .. } => {
            format!("`mnem-store verify --store {store}` lists all damage")
        }
        StoreError::HeadsMoved { .. } => format!("`mnem-store heads --store {store}` lists the current heads"),
        StoreError::Unsupported { .. } => "`mnem-store --version` lists the backends of this build".to_owned(),
        StoreError::Poisoned { source, .. } => match io_error(&**source) {
            Some(error) => format!("{}; then `mnem-store verify --store {store}`", for_failed_write(error, store)),
            None => in_doubt(store),
        },
        StoreError::Backend { source, .. } => match source.downcast_ref() {
            Some(lacks) => for_place(lacks).to_owned(),
            None => io_error(&**source).map_or_else(|| in_doubt(store), |error| for_failed_write(error, store)),
        },
        StoreError::CidMismatch { .. } => "get the block again from its source: its bytes were changed".to_owned(),
        StoreError::UnsupportedHash { .. } => "write the block with a hash function that is supported".to_owned(),
        StoreError::BlockTooLarge { .. } => "split it, and let one block link to the parts".to_owned(),
        StoreError::ReadOnly { .. } => {
            "name a store that can be written to, or copy this one: `mnem-store copy FROM TO`".to_owned()
        }
        StoreError::InvalidArgument { operation: "open", .. } => {
            "name another path, or leave out the option that the store does not take".to_owned()
        }
        _ => in_doubt(store),
    }
}

/// Bytes follow the store in its file.
fn for_appended(appended: Option<&AppendedBytes>, store: &str) -> String {
    appended.map_or_else(
        || in_doubt(store),
        |appended| {
            let store_bytes = appended.store_bytes;
            let read = if appended.closed { "; `mnem-store verify` and `copy` pass over them" } else { "" };
            format!("`truncate -s {store_bytes} {store}` cuts these bytes off{read}")
        },
    )
}

/// The system refused to read or write. A file that was made longer for a write that failed keeps its length.
fn for_failed_write(error: &io::Error, store: &str) -> String {
    let hint = for_io(error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{hint}; `mnem-store compact --store {store}` gives back the space that the failed write took")
        }
        _ => hint,
    }
}

/// The place of the store lacks something that an option may do without.
fn for_place(lacks: &PlaceLacks) -> &'static str {
    match lacks {
        PlaceLacks::RangeLocks => {
            "run it without --concurrency, or copy the store to another file system: `mnem-store copy FROM TO`"
        }
        PlaceLacks::Locks { can_do_without: false, .. } => {
            "mount it with locks, for instance `mount -o flock`, or move the store; reading works without"
        }
        PlaceLacks::Locks { .. } => {
            "mount it with locks, for instance `mount -o flock`, or move the store; \
             while nothing else uses the store, `--without-locks` opens it as it is"
        }
        _ => {
            "name a path on another file system; if a power cut may cost new files, \
             `--without-folder-sync` goes on without"
        }
    }
}

/// The system's own error: the lowest in a chain of causes, since those above it may have wrapped it.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    let causes = std::iter::from_fn(|| {
        let error = next?;
        next = error.source();
        Some(error)
    });
    causes.filter_map(|error| error.downcast_ref()).last()
}

fn for_nothing_there(store: &Path) -> String {
    // Without the slash at its end, which would turn a file into nothing.
    let found: PathBuf = store.components().collect();
    let is_empty_folder = std::fs::read_dir(&found).is_ok_and(|mut entries| entries.next().is_none());
    let has_slash = store.as_os_str().as_encoded_bytes().ends_with(b"/");
    if has_slash && matches!(OpenOptions::new().drivers(drivers::all().iter().copied()).detect(&found), Ok(Some(_))) {
        return format!("leave out the slash, which is for folders: {}", quoted(&found));
    }
    if found.symlink_metadata().is_ok() && !is_empty_folder {
        return "name another path, or restore a copy of the store: what is there is left as it is".to_owned();
    }
    let init = format!(
        "`mnem-store init --store {0}` makes an empty store, `mnem-store import FILE --store {0}` one from an archive",
        quoted(store)
    );
    match missing_folder(&found) {
        None => format!("check the path; {init}"),
        Some(folder) => format!("check the path; `mkdir -p {}` makes its folder; then {init}", quoted(&folder)),
    }
}

/// Where nothing better is known.
pub(super) fn in_doubt(store: &str) -> String {
    format!("`mnem-store verify --store {store}` says whether the store is whole")
}

#[cfg(test)]
mod tests {
    use mnem_storage::{Cause, ErrorKind, Outcome};

    use super::*;

    fn errors() -> Vec<StoreError> {
        let cid: Cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy".parse().expect("a CID");
        let location = || Location::from("nowhere/a.redb");
        let backend = |source: Cause| StoreError::Backend {
            backend: "redb",
            operation: "write".into(),
            outcome: Outcome::Unknown,
            source,
        };
        vec![
            StoreError::NotAStore { location: location(), reason: "nothing is there".into() },
            StoreError::NeedsRecovery { location: location() },
            StoreError::UnsupportedFormat { found: "9".into(), supported: "1".into() },
            StoreError::MissingBlock { cid, linked_from: None },
            StoreError::MissingBlock { cid, linked_from: Some(Box::new(cid)) },
            StoreError::HeadsMoved { actual: Vec::new() },
            StoreError::Unsupported { operation: "that".into(), reason: "it has none".into() },
            StoreError::InvalidArgument { operation: "put", reason: "no".into() },
            StoreError::Poisoned { backend: "redb", source: Cause::new("no space") },
            StoreError::Closed { backend: "redb", operation: "put" },
            backend(Cause::new(io::Error::from(io::ErrorKind::PermissionDenied))),
            backend(Cause::new(io::Error::from(io::ErrorKind::StorageFull))),
            backend(Cause::new("something else")),
        ]
    }

    #[test]
    fn every_error_of_a_store_leads_on() {
        for error in errors() {
            let hint = for_store(&error, "a.redb");
            let leads =
                hint.contains('`') || hint.starts_with("use the version") || hint.starts_with("import an archive");
            assert!(leads && !hint.ends_with('.') && !hint.contains('\n'), "{error}: {hint}");
        }
        assert!(errors().iter().any(|error| error.kind() == ErrorKind::Backend));
    }

    #[test]
    fn an_index_that_no_version_will_open_is_to_be_made_anew() {
        let unsorted =
            IndexError::SelfLoop { position: 0, node: "00112233445566778899aabbccddeeff".parse().expect("an id") };
        let damaged =
            |source| StoreError::Damaged { component: Component::SideTable("knn_edges"), what: "a row".into(), source };
        let hint = for_store(&damaged(Cause::new(unsorted)), "a.redb");
        assert!(hint.contains("`mnem-store knn rm INDEX --store a.redb`") && hint.contains("knn build"), "{hint}");
        assert!(for_store(&damaged(Cause::new("a checksum")), "a.redb").contains("mnem-store verify"));
    }

    #[test]
    fn what_a_place_lacks_leads_to_the_option_for_it() {
        let source = || io::Error::from(io::ErrorKind::Unsupported);
        for (lacks, option) in [
            (PlaceLacks::Locks { can_do_without: true, source: None }, "`--without-locks`"),
            (PlaceLacks::Locks { can_do_without: false, source: Some(source()) }, "reading works without"),
            (PlaceLacks::RangeLocks, "without --concurrency"),
            (PlaceLacks::FolderSync { source: source() }, "`--without-folder-sync`"),
        ] {
            let what = lacks.to_string();
            let error = StoreError::Backend {
                backend: "redb",
                operation: "look".into(),
                outcome: Outcome::NotApplied,
                source: Cause::new(lacks),
            };
            assert!(for_store(&error, "a.redb").contains(option), "{what}");
        }
    }

    #[test]
    fn the_bottom_of_the_causes_decides() {
        let hints: Vec<String> = errors().iter().rev().take(3).map(|error| for_store(error, "a.redb")).collect();
        assert!(hints[0].contains("mnem-store verify"), "{}", hints[0]);
        assert!(hints[1].contains("df -h") && hints[1].contains("compact --store a.redb"), "{}", hints[1]);
        assert!(hints[2].contains("ls -ld"), "{}", hints[2]);
        // The failure that poisoned a handle is the one to see to.
        let full = backend_error(io::ErrorKind::QuotaExceeded);
        let hint = for_store(&StoreError::Poisoned { backend: "redb", source: Cause::new(full) }, "a.redb");
        assert!(hint.contains("`quota -s`") && hint.contains("verify --store a.redb"), "{hint}");
        // A failure inside of another one too, as of a folder that was to be synced before a commit.
        let inner = backend_error(io::ErrorKind::QuotaExceeded);
        let outer = StoreError::Backend {
            backend: "redb",
            operation: "commit".into(),
            outcome: Outcome::NotApplied,
            source: Cause::new(io::Error::other(inner)),
        };
        assert!(for_store(&outer, "a.redb").contains("`quota -s`"), "{}", for_store(&outer, "a.redb"));
    }

    fn backend_error(kind: io::ErrorKind) -> StoreError {
        StoreError::Backend {
            backend: "redb",
            operation: "commit".into(),
            outcome: Outcome::Unknown,
            source: Cause::new(io::Error::from(kind)),
        }
    }
}
