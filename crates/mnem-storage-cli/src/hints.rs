//! What to type next after a failure.

use std::path::{Path, PathBuf};

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

/// The folder that a new store would be made in, where that is not there.
fn missing_folder(store: &Path) -> Option<&Path> {
    store.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
}

/// The hint for a failure, if there is anything to say.
pub(crate) fn hint(failure: &Failure, context: &Context) -> Option<String> {
    match failure {
        Failure::Usage { hint, .. } | Failure::Refused { hint, .. } => hint.clone(),
        Failure::NoSuchBlock { store, .. } => {
            Some(format!("`mnem-store ls --store {}` lists the blocks that are there", quoted(store)))
        }
        Failure::Import { source, .. } => for_import(source, context),
        _ => failure.store_error().and_then(|error| for_store(error, context)),
    }
}

fn for_import(error: &ImportError, context: &Context) -> Option<String> {
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
        ImportErrorKind::Store(_) => return error.store_error().and_then(|error| for_store(error, context)),
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

fn for_store(error: &StoreError, context: &Context) -> Option<String> {
    let path = |path: &PathBuf| quoted(path);
    let store = || context.store_path().map_or_else(|| "PATH".to_owned(), |path| quoted(&path));
    let hint = match error {
        StoreError::NotAStore { path: at, .. } if at.symlink_metadata().is_ok() => {
            "name another path: what is there is left as it is".to_owned()
        }
        StoreError::NotAStore { path: at, .. } if missing_folder(at).is_some() => {
            format!("`mkdir -p {}`, then the same again", missing_folder(at).map(quoted).unwrap_or_default())
        }
        StoreError::NotAStore { path: at, .. } => {
            format!(
                "`mnem-store init --store {0}` makes an empty store, `mnem-store import FILE --store {0}` one from an archive",
                path(at)
            )
        }
        StoreError::Locked { .. } => "wait for the other process to end, or try again with --lock-wait 10".to_owned(),
        StoreError::NeedsRecovery { path: at } => {
            format!("`mnem-store verify --recover --store {}` recovers the store, then checks it", path(at))
        }
        StoreError::UnsupportedFormat { .. } => "use a newer mnem-store: the store was left untouched".to_owned(),
        StoreError::Corrupt { cid, .. } => format!(
            "`mnem-store rm {cid} --store {0}`, then import an archive that holds the block; `mnem-store verify --store {0}` finds all damage",
            store()
        ),
        StoreError::MissingBlock { .. } => {
            format!(
                "import an archive that holds the block; `mnem-store verify --store {}` lists all that are missing",
                store()
            )
        }
        StoreError::Malformed { .. } | StoreError::Damaged { .. } => {
            format!("`mnem-store verify --store {}` lists all damage", store())
        }
        StoreError::HeadsMoved { .. } => format!("`mnem-store heads --store {}` lists the current heads", store()),
        StoreError::Unsupported { .. } => "`mnem-store --version` lists the backends of this build".to_owned(),
        StoreError::Poisoned { .. } => format!("free some space, then `mnem-store verify --store {}`", store()),
        _ => return None,
    };
    Some(hint)
}
