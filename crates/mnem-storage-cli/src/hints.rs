//! What to type next after a failure.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use mnem_storage::{
    CopyError, StoreError,
    car::{CarError, CarFault, ExportError, ImportError, ImportErrorKind},
};

use crate::{context::Context, error::Failure, limits::BLOCK_BYTES_MAX};

/// What the facade says to a command that makes no store.
const NOTHING_IS_THERE: &str = "nothing is there";

const AGAIN_FROM_SOURCE: &str = "get the archive again from its source, and run the same command again";

/// A path as a shell takes it back.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The hint for a failure: what to type or to do next.
pub(crate) fn hint(failure: &Failure, context: &Context) -> String {
    let store = || context.store_path().map_or_else(|| "PATH".to_owned(), |path| quoted(&path));
    if let Some(StoreError::Locked { .. }) = failure.store_error() {
        let wait = if context.waits_for_locks() { "" } else { ", or try again with --lock-wait 10" };
        return format!("another process has it open: wait for that to end{wait}");
    }
    match failure {
        Failure::Usage { hint, .. } | Failure::Refused { hint, .. } | Failure::Interrupted { hint, .. } => hint.clone(),
        Failure::NoSuchBlock { store, .. } => {
            format!("`mnem-store ls --store {}` lists the blocks that are there", quoted(store))
        }
        Failure::NoSuchIndex { store, .. } => {
            format!("`mnem-store knn list --store {}` lists the indexes that are there", quoted(store))
        }
        Failure::NoSuchNode { hint, .. } | Failure::Line { hint, .. } => (*hint).to_owned(),
        Failure::Import { source, max_block, .. } => for_import(source, *max_block, &store()),
        Failure::Copy { from, source: CopyError::Source(error), .. } => for_store(error, &quoted(from)),
        Failure::Copy { from, to, source: CopyError::Target(error) } => for_target(error, from, to),
        Failure::Copy { source, .. } => for_store(source.store_error(), &store()),
        Failure::Io { source, .. } => for_io(source),
        Failure::Export(error) => for_export(error, &store()),
        Failure::OutputClosed => "read its output to the end".to_owned(),
        Failure::HeadsMoved { expected: 0, .. } => {
            format!("`mnem-store heads --store {}` lists the current heads: name each with --expected", store())
        }
        Failure::HeadsMoved { error, .. } => for_store(error, &store()),
        Failure::Store(error) => for_store(error, &store()),
    }
}

fn for_import(error: &ImportError, max_block: u64, store: &str) -> String {
    let hint = match error.kind() {
        ImportErrorKind::NotCar => "a CAR archive is what `mnem-store export FILE` writes",
        ImportErrorKind::UnsupportedVersion => {
            "versions 1 and 2 are read: convert the archive to one of them with the tool that wrote it"
        }
        ImportErrorKind::Malformed => match error {
            ImportError::Archive { source, .. } => return for_malformed(source),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::UnsupportedHash => {
            "sha2-256 and blake3 with 32 bytes, and identity, can be checked: write the archive with one of these, or get it again if it should have been"
        }
        ImportErrorKind::Read => "see to the input and run the same command again: it goes on where this one stopped",
        ImportErrorKind::CutOff => {
            "get the whole archive and run the same command again: it goes on where this one stopped"
        }
        ImportErrorKind::WrongBytes => "the archive was changed: get it again from its source",
        ImportErrorKind::BlockTooLarge => match error {
            ImportError::Archive { source, .. } => return for_large_block(source, max_block),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::MissingRoots => {
            "run it without --heads to keep the blocks alone, or import the archive that holds the roots first"
        }
        // Also of kinds that came later than this.
        _ => return error.store_error().map_or_else(|| AGAIN_FROM_SOURCE.to_owned(), |error| for_store(error, store)),
    };
    hint.to_owned()
}

fn for_malformed(error: &CarError) -> String {
    match error.fault {
        CarFault::V2Header { .. } => {
            "the offsets in its CARv2 header lead nowhere: finish it with the tool that wrote it, or get it again"
                .into()
        }
        CarFault::EmptySection => format!(
            "if nothing but zeros follows, `head -c {}` gives the archive without them; otherwise get it again from its source",
            error.offset
        ),
        CarFault::SecondArchive => {
            "archives are not joined by putting one behind the other: import each by itself".into()
        }
        CarFault::TooManyRoots { roots_max } => format!("write archives of up to {roots_max} roots, and import each"),
        _ => format!(
            "the archive is faulty at byte {}: get it again from its source; if it comes the same, its writer is at fault",
            error.offset
        ),
    }
}

/// `max_block`: what was allowed by the command line, which the store may have lowered.
fn for_large_block(error: &CarError, max_block: u64) -> String {
    match error.fault {
        CarFault::BlockTooLarge { block_bytes_max, .. } if block_bytes_max < max_block => {
            format!("this store takes blocks of up to {block_bytes_max} bytes: write the archive with smaller ones")
        }
        CarFault::BlockTooLarge { block_bytes, .. } if block_bytes <= BLOCK_BYTES_MAX => {
            format!("`--max-block {block_bytes}` allows it, if the store takes blocks of that size")
        }
        CarFault::BlockTooLarge { .. } => {
            format!("no store takes blocks above {BLOCK_BYTES_MAX} bytes: if it has none, the archive is faulty there")
        }
        _ => for_malformed(error),
    }
}

/// What failed is the store that a copy writes to.
fn for_target(error: &StoreError, from: &Path, to: &Path) -> String {
    match error {
        StoreError::Corrupt { cid, .. } => {
            let (from, to) = (quoted(from), quoted(to));
            format!("`mnem-store rm {cid} --store {to}`, then `mnem-store copy {from} {to}` again")
        }
        StoreError::InvalidArgument { .. } => {
            format!("`mnem-store copy {} OTHER`: a path where nothing is, or an unfinished copy", quoted(from))
        }
        _ => for_store(error, &quoted(to)),
    }
}

/// An archive could not be written.
fn for_export(error: &ExportError, store: &str) -> String {
    match error {
        ExportError::Write { source, .. } => for_io(source),
        ExportError::TooManyRoots { roots_max, .. } => {
            format!("name up to {roots_max} blocks with --root, and export the others by themselves")
        }
        error => match error.store_error() {
            Some(error) => for_store(error, store),
            None => in_doubt(store),
        },
    }
}

/// A file, or the system below it, failed.
fn for_io(error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "look with `ls -l` at that path and at its folder: a part of it is not there",
        io::ErrorKind::PermissionDenied => "look with `ls -ld` who may use that file and its folder, or name another",
        io::ErrorKind::ReadOnlyFilesystem => "name a path on a file system that can be written to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "`df -h` shows how full it is: free some space, or name a path elsewhere, and run the same command again"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => "a file was meant: name another path",
        _ => "see to what the system says of it, then run the same command again",
    };
    hint.to_owned()
}

/// Where nothing better is known.
fn in_doubt(store: &str) -> String {
    format!("`mnem-store verify --store {store}` says whether the store is whole")
}

/// `store`: the path of the store concerned, for the command line.
fn for_store(error: &StoreError, store: &str) -> String {
    match error {
        StoreError::NotAStore { path, reason } => for_nothing_there(path, reason),
        StoreError::NeedsRecovery { path } => {
            format!("`mnem-store verify --recover --store {}` recovers the store, then checks it", quoted(path))
        }
        StoreError::UnsupportedFormat { .. } => {
            "use the version of mnem-store that wrote it, or a newer one: the store was left untouched".to_owned()
        }
        StoreError::Corrupt { cid, .. } => format!(
            "`mnem-store rm {cid} --store {store}`, then import an archive that holds the block; \
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
        StoreError::Malformed { .. } | StoreError::Damaged { .. } => {
            format!("`mnem-store verify --store {store}` lists all damage")
        }
        StoreError::HeadsMoved { .. } => format!("`mnem-store heads --store {store}` lists the current heads"),
        StoreError::Unsupported { .. } => "`mnem-store --version` lists the backends of this build".to_owned(),
        StoreError::Poisoned { .. } => format!("free some space, then `mnem-store verify --store {store}`"),
        StoreError::Backend { source, .. } => io_error(&**source).map_or_else(|| in_doubt(store), for_io),
        StoreError::CidMismatch { .. } => "get the block again from its source: its bytes were changed".to_owned(),
        StoreError::UnsupportedHash { .. } => {
            "sha2-256 and blake3 with 32 bytes, and identity, can be checked: write the block with one of these"
                .to_owned()
        }
        StoreError::BlockTooLarge { .. } => "split it, and let one block link to the parts".to_owned(),
        StoreError::ReadOnly { .. } => {
            "name a store that can be written to, or copy this one: `mnem-store copy FROM TO`".to_owned()
        }
        StoreError::InvalidArgument { .. } => "`mnem-store COMMAND --help` says what may be given".to_owned(),
        _ => in_doubt(store),
    }
}

/// The system's own error at the bottom of a chain of causes.
fn io_error<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    loop {
        match error.downcast_ref() {
            Some(found) => return Some(found),
            None => error = error.source()?,
        }
    }
}

/// `reason`: what was found instead of a store, which also tells the commands that make one from those that do not.
fn for_nothing_there(store: &Path, reason: &str) -> String {
    // Without the slash at its end, which would turn a file into nothing.
    let found: PathBuf = store.components().collect();
    let is_empty_folder = std::fs::read_dir(&found).is_ok_and(|mut entries| entries.next().is_none());
    if found.symlink_metadata().is_ok() && !is_empty_folder {
        return "name another path: what is there is left as it is".to_owned();
    }
    let init = format!(
        "`mnem-store init --store {0}` makes an empty store, `mnem-store import FILE --store {0}` one from an archive",
        quoted(store)
    );
    match found.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        None => init,
        Some(folder) if reason == NOTHING_IS_THERE => format!("`mkdir -p {}`; then {init}", quoted(folder)),
        Some(folder) => format!("`mkdir -p {}`, then the same again", quoted(folder)),
    }
}
