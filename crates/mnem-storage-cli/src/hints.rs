//! What to type next after a failure.

use std::path::Path;

use mnem_storage::{
    StoreError,
    car::{CarFault, ImportError, ImportErrorKind},
};

use crate::{context::Context, error::Failure};

/// A path as a shell takes it back.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The hint for a failure, if there is anything to say.
pub(crate) fn hint(failure: &Failure, context: &Context) -> Option<String> {
    let store = || context.store_path().map_or_else(|| "PATH".to_owned(), |path| quoted(&path));
    match failure {
        Failure::Usage { hint, .. } | Failure::Refused { hint, .. } => hint.clone(),
        Failure::NoSuchBlock { store, .. } => {
            Some(format!("`mnem-store ls --store {}` lists the blocks that are there", quoted(store)))
        }
        Failure::Import { source, .. } => for_import(source, &store()),
        Failure::Copy { from, source, .. } => for_store(source, &quoted(from)),
        _ => failure.store_error().and_then(|error| for_store(error, &store())),
    }
}

fn for_import(error: &ImportError, store: &str) -> Option<String> {
    let hint = match error.kind() {
        ImportErrorKind::NotCar => "a CAR archive is what `mnem-store export FILE` writes",
        ImportErrorKind::CutOff => {
            "get the whole archive and run the same command again: it goes on where this one stopped"
        }
        ImportErrorKind::WrongBytes => "the archive was changed: get it again from its source",
        ImportErrorKind::BlockTooLarge => match error {
            ImportError::Archive { source, .. } => return for_large_block(&source.fault),
            _ => return None,
        },
        ImportErrorKind::MissingRoots => {
            "run it without --heads to keep the blocks alone, or import the archive that holds the roots first"
        }
        ImportErrorKind::Store(_) => return error.store_error().and_then(|error| for_store(error, store)),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn for_large_block(fault: &CarFault) -> Option<String> {
    match fault {
        CarFault::BlockTooLarge { block_bytes, block_bytes_max }
            if *block_bytes < block_bytes_max.saturating_mul(64) =>
        {
            Some(format!("`--max-block {block_bytes}` allows it, if the store takes blocks of that size"))
        }
        _ => None,
    }
}

/// `store`: the path of the store concerned, for the command line.
fn for_store(error: &StoreError, store: &str) -> Option<String> {
    let hint = match error {
        StoreError::NotAStore { path, .. } => for_nothing_there(path),
        StoreError::Locked { .. } => "wait for the other process to end, or try again with --lock-wait 10".to_owned(),
        StoreError::NeedsRecovery { path } => {
            format!("`mnem-store verify --recover --store {}` recovers the store, then checks it", quoted(path))
        }
        StoreError::UnsupportedFormat { .. } => "use a newer mnem-store: the store was left untouched".to_owned(),
        StoreError::Corrupt { cid, .. } => format!(
            "`mnem-store rm {cid} --store {store}`, then import an archive that holds the block; \
             `mnem-store verify --store {store}` finds all damage"
        ),
        StoreError::MissingBlock { .. } => format!(
            "import an archive that holds the block; `mnem-store verify --store {store}` lists all that are missing"
        ),
        StoreError::Malformed { .. } | StoreError::Damaged { .. } => {
            format!("`mnem-store verify --store {store}` lists all damage")
        }
        StoreError::HeadsMoved { .. } => format!("`mnem-store heads --store {store}` lists the current heads"),
        StoreError::Unsupported { .. } => "`mnem-store --version` lists the backends of this build".to_owned(),
        StoreError::Poisoned { .. } => format!("free some space, then `mnem-store verify --store {store}`"),
        _ => return None,
    };
    Some(hint)
}

fn for_nothing_there(store: &Path) -> String {
    if store.symlink_metadata().is_ok() {
        return "name another path: what is there is left as it is".to_owned();
    }
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    match folder {
        Some(folder) => format!("`mkdir -p {}`, then the same again", quoted(folder)),
        None => format!(
            "`mnem-store init --store {0}` makes an empty store, `mnem-store import FILE --store {0}` one from an archive",
            quoted(store)
        ),
    }
}
