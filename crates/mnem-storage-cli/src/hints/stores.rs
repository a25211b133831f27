//! Hints for errors of a store.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use mnem_storage::{
    Cid, Component, OpenOptions, StoreError,
    driver::{AppendedBytes, Location, PlaceLacks, ServiceFault},
    knn::IndexError,
};

use super::{
    for_io, install_with, quoted,
    services::{BUCKET, FOR_DAMAGED_LOG, for_service, is_url},
};
use crate::drivers;

/// The hint for an error of the target of a copy.
///
/// `merges`: whether `--merge-heads` is given.
pub(super) fn for_target(error: &StoreError, from: &Path, to: &Path, merges: bool) -> String {
    match error {
        StoreError::Corrupt { cid, .. } => {
            let (from, to) = (quoted(from), quoted(to));
            format!(
                "run `mnem-store rm {cid} --store {to}` (with --force if it is a head), \
                 then `mnem-store copy {from} {to}` again"
            )
        }
        StoreError::InvalidArgument { operation: "copy", .. } if merges => {
            format!("run `mnem-store copy {} OTHER` to copy to another path", quoted(from))
        }
        StoreError::InvalidArgument { operation: "copy", .. } => {
            format!(
                "run `mnem-store copy {0} OTHER` to copy to another path, \
                 or give --merge-heads to keep the heads of {1} that are not in {0}",
                quoted(from),
                quoted(to)
            )
        }
        StoreError::NotAStore { location, .. } => match location.to_local_path().as_deref().and_then(missing_folder) {
            Some(folder) => format!("run `mkdir -p {}`, then the same command again", quoted(&folder)),
            None => for_nothing_at(location, &quoted(to)),
        },
        _ => for_store(error, &quoted(to)),
    }
}

/// The hint for the missing block of a head or of a root argument.
pub(super) fn for_missing_root(cid: &Cid, store: &str) -> String {
    format!(
        "import an archive that holds the block; \
         or, if it is a head, run `mnem-store heads rm {cid} --store {store}` to drop it"
    )
}

/// The parent folder of a path, if it does not exist.
fn missing_folder(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.exists()).then(|| folder.to_owned())
}

/// The hint for an error of the store. `store`: its path, quoted for a shell.
pub(super) fn for_store(error: &StoreError, store: &str) -> String {
    match error {
        StoreError::NotAStore { location, .. } => for_nothing_at(location, store),
        StoreError::NeedsRecovery { .. } => {
            format!("run `mnem-store verify --recover --store {store}` to recover and check the store")
        }
        StoreError::UnsupportedFormat { .. } => {
            "use the version of mnem-store that wrote the store, or a newer one; the store is unchanged".to_owned()
        }
        StoreError::Corrupt { cid, .. } => format!(
            "run `mnem-store rm {cid} --store {store}` (with --force if it is a head), \
             then import an archive that holds the block; `mnem-store verify --store {store}` lists all damage"
        ),
        StoreError::MissingBlock { linked_from: None, .. } => {
            format!("import an archive that holds the block; `mnem-store ls --store {store}` lists the present ones")
        }
        StoreError::MissingBlock { .. } => format!(
            "import an archive that holds the block; `mnem-store verify --store {store}` lists all missing blocks"
        ),
        StoreError::Damaged { source, .. } if source.is::<IndexError>() => {
            format!(
                "run `mnem-store knn rm INDEX --store {store}`, \
                 then `mnem-store knn build` to rebuild the index from its vectors"
            )
        }
        StoreError::Damaged { source, .. } if source.is::<AppendedBytes>() => {
            for_appended(source.downcast_ref(), store)
        }
        StoreError::Damaged { component: Component::Store(BUCKET), .. } => FOR_DAMAGED_LOG.to_owned(),
        // A damaged row of a side table does not affect the store's own structure.
        StoreError::Damaged { component: Component::Store(_), .. } => {
            format!(
                "run `mnem-store verify --store {store}` to list the damage, \
                 or `mnem-store copy --salvage {store} NEW` to copy what is still readable into a new store"
            )
        }
        StoreError::Malformed { .. } | StoreError::Damaged { .. } => {
            format!("run `mnem-store verify --store {store}` to list all damage")
        }
        StoreError::HeadsMoved { .. } => {
            format!("run `mnem-store heads --store {store}` to list the current heads, and try again")
        }
        StoreError::Unsupported { reason, .. } => match missing_feature(reason) {
            Some(feature) => format!("to install the program with it, run {}", install_with(feature)),
            None => "run `mnem-store --version` to list the backends of this build".to_owned(),
        },
        StoreError::Poisoned { backend, source } => match io_error(&**source) {
            Some(error) => {
                format!("{}; then run `mnem-store verify --store {store}`", for_failed_write(backend, error, store))
            }
            None => in_doubt(store),
        },
        StoreError::Backend { source, .. } if source.is::<ServiceFault>() => {
            source.downcast_ref().map_or_else(|| in_doubt(store), |fault| for_service(fault, store))
        }
        StoreError::Backend { .. } if is_url(store) && is_of_another_server(error) => {
            "something other than the service answers: check `endpoint` in the URL with `curl`".to_owned()
        }
        StoreError::Backend { backend, source, .. } => match source.downcast_ref() {
            Some(lacks) => for_place(lacks).to_owned(),
            None => {
                io_error(&**source).map_or_else(|| in_doubt(store), |error| for_failed_write(backend, error, store))
            }
        },
        StoreError::CidMismatch { .. } => "get the block from its source again: its bytes have changed".to_owned(),
        StoreError::UnsupportedHash { .. } => "use a supported hash function for the block".to_owned(),
        StoreError::BlockTooLarge { .. } => "split the block, and link to the parts from another block".to_owned(),
        StoreError::ReadOnly { .. } => "give a writable store, or copy this one: `mnem-store copy FROM TO`".to_owned(),
        StoreError::InvalidArgument { operation: "open", reason } if reason.contains(NO_ACCOUNT) => {
            "name the account: set AZURE_STORAGE_ACCOUNT_NAME in the environment".to_owned()
        }
        StoreError::InvalidArgument { operation: "open", .. } if is_url(store) => {
            "correct the URL as the message says, or give another; `docs/OPERATIONS.md` describes the parts of a URL"
                .to_owned()
        }
        StoreError::InvalidArgument { operation: "open", .. } => {
            "give another path, or change --backend, --format or the option that the message names".to_owned()
        }
        _ => in_doubt(store),
    }
}

/// What `object_store` says about an address of Azure without an account.
const NO_ACCOUNT: &str = "Account must be specified";

/// Whether an answer came from a server that is no object store, such as a proxy.
fn is_of_another_server(error: &StoreError) -> bool {
    error.in_full().to_string().contains("not the answer of a")
}

/// The Cargo feature of a backend that this build lacks.
fn missing_feature(reason: &str) -> Option<&str> {
    reason.split_once("without its feature `")?.1.split('`').next()
}

/// The hint for extra bytes after the end of the store in its file.
fn for_appended(appended: Option<&AppendedBytes>, store: &str) -> String {
    appended.map_or_else(
        || in_doubt(store),
        |appended| {
            let store_bytes = appended.store_bytes;
            let read = if appended.closed { "; `mnem-store verify` and `copy` ignore them" } else { "" };
            format!("run `truncate -s {store_bytes} {store}` to cut these bytes off{read}")
        },
    )
}

/// The hint for a failed write. A redb file that was extended for the write keeps its new length.
fn for_failed_write(backend: &str, error: &io::Error, store: &str) -> String {
    let hint = for_io(error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded if backend == "redb" => {
            format!("{hint}; `mnem-store compact --store {store}` frees the space of the failed write")
        }
        _ => hint,
    }
}

/// The hint for a file system without a required feature.
fn for_place(lacks: &PlaceLacks) -> &'static str {
    match lacks {
        PlaceLacks::RangeLocks => "omit --sharing, or copy the store to another file system: `mnem-store copy FROM TO`",
        PlaceLacks::Locks { can_do_without: false, .. } => {
            "mount the file system with locks, such as `mount -o flock`, or move the store; \
             reading works without locks"
        }
        PlaceLacks::Locks { .. } => {
            "mount the file system with locks, such as `mount -o flock`, or move the store; \
             or give `--without-locks` if nothing else uses the store"
        }
        _ => {
            "give a path on another file system; \
             or give `--without-folder-sync` if a power cut may lose new files \
             and, in a simple store, acknowledged blocks"
        }
    }
}

/// The operating system's error: the lowest in the chain of causes, since those above may wrap it.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    let causes = std::iter::from_fn(|| {
        let error = next?;
        next = error.source();
        Some(error)
    });
    causes.filter_map(|error| error.downcast_ref()).last()
}

/// The hint for a place without a store. `typed`: the place, quoted for a shell.
fn for_nothing_at(location: &Location, typed: &str) -> String {
    if let Some(path) = location.to_local_path() {
        return for_nothing_there(&path, typed);
    }
    let schemes: Vec<_> = drivers::all().iter().flat_map(|driver| driver.schemes()).collect();
    match location.scheme() {
        Some(scheme) if schemes.iter().any(|known| **known == scheme) => format!("check the URL; {}", init(typed)),
        _ if schemes.is_empty() => {
            format!(
                "give a path: the backends of this build open no URL; to install the program with one that does, run {}",
                install_with(BUCKET)
            )
        }
        _ => "give a path, or a URL that `mnem-store init --help` lists".to_owned(),
    }
}

/// How to create a store at a place that is quoted for a shell.
fn init(typed: &str) -> String {
    format!(
        "run `mnem-store init --store {typed}` to create an empty store, \
         or `mnem-store import FILE --store {typed}` to create one from an archive"
    )
}

/// The hint for a path without a store. `typed`: the place, quoted for a shell.
fn for_nothing_there(store: &Path, typed: &str) -> String {
    // Without a trailing slash: with one, a file is not found.
    let found: PathBuf = store.components().collect();
    let is_empty_folder = std::fs::read_dir(&found).is_ok_and(|mut entries| entries.next().is_none());
    let has_slash = store.as_os_str().as_encoded_bytes().ends_with(b"/");
    if has_slash && matches!(OpenOptions::new().drivers(drivers::all().iter().copied()).detect(&found), Ok(Some(_))) {
        return format!("omit the trailing slash, the store is a file: {}", quoted(&found));
    }
    if found.symlink_metadata().is_ok() && !is_empty_folder {
        return format!(
            "give the path of a store, or a path that does not exist yet for a new one; \
             if a store was here, restore it from a backup, or try `mnem-store copy --salvage {typed} NEW`"
        );
    }
    if let Some(file) = found.ancestors().skip(1).find(|path| path.is_file()) {
        return format!("check the path: {} is a file, not a folder", quoted(file));
    }
    let init = init(typed);
    match missing_folder(&found) {
        None => format!("check the path; {init}"),
        Some(folder) => format!("check the path; run `mkdir -p {}` to create its folder; then {init}", quoted(&folder)),
    }
}

/// The hint if there is no better one.
pub(super) fn in_doubt(store: &str) -> String {
    format!("run `mnem-store verify --store {store}` to check the store")
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
            (PlaceLacks::RangeLocks, "omit --sharing"),
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
