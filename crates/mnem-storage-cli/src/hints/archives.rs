//! Archives that could not be read or written.

use mnem_storage::{
    ErrorKind,
    car::{CarError, CarFault, ExportError, ImportError, ImportErrorKind},
};

use super::{
    for_io,
    stores::{for_missing_root, for_store, in_doubt},
};
use crate::limits::BLOCK_BYTES_MAX;

const AGAIN_FROM_SOURCE: &str = "get the archive again from its source, and run the same command again";

/// `typed`: the option that sets heads.
pub(super) fn for_import(error: &ImportError, max_block: u64, typed: &str, store: &str) -> String {
    let hint = match error.kind() {
        ImportErrorKind::NotCar => match error {
            ImportError::Archive {
                source: CarError::Fault { fault: CarFault::OtherFormat { format }, .. }, ..
            } => format.advice,
            _ => "a CAR archive is what `mnem-store export FILE` writes",
        },
        ImportErrorKind::UnsupportedVersion => {
            "versions 1 and 2 are read: convert the archive to one of them with the tool that wrote it"
        }
        ImportErrorKind::Malformed => match error {
            ImportError::Archive { source, .. } => return for_malformed(source),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::UnsupportedHash => {
            "`--keep-unknown-hashes` stores such blocks as they are, unchecked; else write the archive with another hash function"
        }
        ImportErrorKind::Read => "see to the input and run the same command again: it goes on where this one stopped",
        ImportErrorKind::Thread => match error {
            ImportError::Thread { source } => return for_io(source),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::CutOff => {
            "get the whole archive and run the same command again: it goes on where this one stopped"
        }
        ImportErrorKind::WrongBytes => "the archive was changed: get it again from its source",
        ImportErrorKind::BlockTooLarge => match error {
            ImportError::Archive { source, .. } => return for_large_block(source, max_block),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::MissingRoots => {
            return format!(
                "run it without {typed} to keep the blocks alone, or import the archive that holds the roots first"
            );
        }
        ImportErrorKind::Incomplete => {
            let holds = match error {
                ImportError::Incomplete { missing_count: 1, .. } => "the archive that holds it",
                _ => "the archives that hold them",
            };
            return format!(
                "import {holds}, then this one again; or use --heads instead of --complete for a part of a graph"
            );
        }
        // Also of kinds that came later than this.
        _ => return error.store_error().map_or_else(|| AGAIN_FROM_SOURCE.to_owned(), |error| for_store(error, store)),
    };
    hint.to_owned()
}

fn for_malformed(error: &CarError) -> String {
    let offset = error.offset();
    let Some(fault) = error.fault() else { return AGAIN_FROM_SOURCE.to_owned() };
    match fault {
        CarFault::V2Header { .. } => {
            "the offsets in its CARv2 header lead nowhere: finish it with the tool that wrote it, or get it again"
                .into()
        }
        // No advice to cut them off: in the data of a CARv2 its header counts them.
        CarFault::Padding { .. } => "`--allow-padding` takes them".into(),
        CarFault::Trailing { .. } => format!(
            "if it does not belong there, `head -c {offset}` gives the archive without it; otherwise get it again from its source"
        ),
        CarFault::Uncovered { data_offset, .. } => format!(
            "its header may be of a shorter archive: get it again from its source, or fix it with the tool that wrote it; the blocks alone: `tail -c +{}`",
            data_offset + 1
        ),
        CarFault::IndexPastData { .. } => {
            "a part of the archive may be missing: get it again from its source, or write it again with the tool that wrote it"
                .into()
        }
        CarFault::SecondArchive => {
            "archives are not joined by appending one to the other: import each by itself".into()
        }
        CarFault::TooManyRoots { roots_max } => format!("write archives of up to {roots_max} roots, and import each"),
        _ => format!(
            "the archive is faulty at byte {offset}: get it again from its source; if it comes the same, its writer is at fault"
        ),
    }
}

/// `max_block`: what was allowed by the command line, which the store may have lowered.
fn for_large_block(error: &CarError, max_block: u64) -> String {
    match error.fault() {
        Some(CarFault::BlockTooLarge { block_bytes_max, .. }) if *block_bytes_max < max_block => {
            format!("this store takes blocks of up to {block_bytes_max} bytes: write the archive with smaller ones")
        }
        Some(CarFault::BlockTooLarge { block_bytes, .. }) if *block_bytes <= BLOCK_BYTES_MAX => {
            format!("`--max-block {block_bytes}` allows it, if the store takes blocks of that size")
        }
        Some(CarFault::BlockTooLarge { .. }) => {
            format!("no store takes blocks above {BLOCK_BYTES_MAX} bytes: if it has none, the archive is faulty there")
        }
        _ => for_malformed(error),
    }
}

/// An archive could not be written.
pub(super) fn for_export(error: &ExportError, store: &str) -> String {
    match error {
        ExportError::Write { source, .. } => for_io(source),
        ExportError::Opaque { .. } => {
            "--opaque-leaves exports such blocks without what they link to; name with --root what must not be left out"
                .to_owned()
        }
        ExportError::Block { linked_from: Some(_), source, .. } if source.kind() == ErrorKind::MissingBlock => {
            format!("{}; --skip-missing leaves out what is missing", for_store(source, store))
        }
        ExportError::Block { cid, linked_from: None, source, .. } if source.kind() == ErrorKind::MissingBlock => {
            for_missing_root(cid, store)
        }
        ExportError::TooManyRoots { roots_max, .. } => {
            format!("name up to {roots_max} blocks with --root, and export the others by themselves")
        }
        error => match error.store_error() {
            Some(error) => for_store(error, store),
            None => in_doubt(store),
        },
    }
}
