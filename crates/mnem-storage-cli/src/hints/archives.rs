//! Hints for failed imports and exports.

use mnem_storage::{
    ErrorKind,
    car::{CarError, CarFault, ExportError, ImportError, ImportErrorKind},
};

use super::{
    for_io,
    stores::{for_missing_root, for_store, in_doubt},
};
use crate::limits::BLOCK_BYTES_MAX;

const AGAIN_FROM_SOURCE: &str = "get the archive from its source again, then run the same command again";

/// The hint for a failed import. `typed`: the option that sets heads.
pub(super) fn for_import(error: &ImportError, max_block: u64, typed: &str, store: &str) -> String {
    let hint = match error.kind() {
        ImportErrorKind::NotCar => match error {
            ImportError::Archive {
                source: CarError::Fault { fault: CarFault::OtherFormat { format }, .. }, ..
            } => format.advice,
            _ => "give a CAR archive, as `mnem-store export FILE` writes it",
        },
        ImportErrorKind::UnsupportedVersion => "convert the archive to CARv1 or CARv2 with the tool that wrote it",
        ImportErrorKind::Malformed => match error {
            ImportError::Archive { source, .. } => return for_malformed(source),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::UnsupportedHash => {
            "give `--keep-unknown-hashes` to store such blocks unverified, or write the archive with another hash function"
        }
        ImportErrorKind::Read => "fix the input, then run the same command again to resume",
        ImportErrorKind::Thread => match error {
            ImportError::Thread { source } => return for_io(source),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::CutOff => "get the whole archive, then run the same command again to resume",
        ImportErrorKind::WrongBytes => "the archive is damaged: get it from its source again",
        ImportErrorKind::BlockTooLarge => match error {
            ImportError::Archive { source, .. } => return for_large_block(source, max_block),
            _ => AGAIN_FROM_SOURCE,
        },
        ImportErrorKind::MissingRoots => {
            return format!("omit {typed} to import only the blocks, or first import the archive that holds the roots");
        }
        ImportErrorKind::Incomplete => {
            let holds = match error {
                ImportError::Incomplete { missing_count: 1, .. } => "the archive that holds it",
                _ => "the archives that hold them",
            };
            return format!(
                "import {holds}, then this one again; or give --heads instead of --complete to import a partial graph"
            );
        }
        // The kind may be newer than this code.
        _ => return error.store_error().map_or_else(|| AGAIN_FROM_SOURCE.to_owned(), |error| for_store(error, store)),
    };
    hint.to_owned()
}

fn for_malformed(error: &CarError) -> String {
    let offset = error.offset();
    let Some(fault) = error.fault() else { return AGAIN_FROM_SOURCE.to_owned() };
    match fault {
        CarFault::V2Header { .. } => {
            "finish the archive with the tool that wrote it, or get it from its source again".into()
        }
        // Do not advise cutting the zeros off: the header of a CARv2 may count them.
        CarFault::Padding { .. } => "give `--allow-padding` to accept the zeros".into(),
        CarFault::Trailing { .. } => format!(
            "if the trailing data does not belong there, cut it off: `head -c {offset} FILE > NEW.car`; \
             otherwise get the archive from its source again"
        ),
        CarFault::Uncovered { data_offset, .. } => format!(
            "the header may belong to a shorter archive: get the archive from its source again, \
             or fix it with the tool that wrote it; `tail -c +{} FILE > NEW.car` extracts the CARv1 inside",
            data_offset + 1
        ),
        CarFault::IndexPastData { .. } => {
            "part of the archive may be missing: get it from its source again, or rewrite it with the tool that wrote it"
                .into()
        }
        CarFault::SecondArchive => "import each archive by itself: concatenated archives are not valid".into(),
        CarFault::TooManyRoots { roots_max } => {
            format!("split it into archives of up to {roots_max} roots, and import each")
        }
        _ => format!(
            "the archive is malformed at byte {offset}: get it from its source again; \
             if that does not help, its writer is at fault"
        ),
    }
}

/// The hint for a block above the limit. `max_block`: the value of `--max-block`; the store may have a lower limit.
fn for_large_block(error: &CarError, max_block: u64) -> String {
    match error.fault() {
        Some(CarFault::BlockTooLarge { block_bytes_max, .. }) if *block_bytes_max < max_block => {
            format!("write the archive with smaller blocks: this store accepts up to {block_bytes_max} bytes")
        }
        Some(CarFault::BlockTooLarge { block_bytes, .. }) if *block_bytes <= BLOCK_BYTES_MAX => {
            format!("give `--max-block {block_bytes}`, if the store accepts blocks of that size")
        }
        Some(CarFault::BlockTooLarge { .. }) => {
            format!(
                "no store accepts blocks above {BLOCK_BYTES_MAX} bytes: \
                 write the archive with smaller blocks; if it has none that large, it is malformed"
            )
        }
        _ => for_malformed(error),
    }
}

/// The hint for a failed export.
pub(super) fn for_export(error: &ExportError, store: &str) -> String {
    match error {
        ExportError::Write { source, .. } => for_io(source),
        ExportError::Opaque { .. } => {
            "give --opaque-leaves to export such blocks without the blocks that they link to, \
             and name those that you need with --root"
                .to_owned()
        }
        ExportError::InvalidCid { .. } => "no store accepts such a block, so another program wrote it: \
             give blocks that do not reach it with --root"
            .to_owned(),
        ExportError::Block { linked_from: Some(_), source, .. } if source.kind() == ErrorKind::MissingBlock => {
            format!("{}; or give --skip-missing to export without the missing blocks", for_store(source, store))
        }
        ExportError::Block { cid, linked_from: None, source, .. } if source.kind() == ErrorKind::MissingBlock => {
            for_missing_root(cid, store)
        }
        ExportError::TooManyRoots { roots_max, .. } => {
            format!("give up to {roots_max} roots with --root, and export the others separately")
        }
        error => match error.store_error() {
            Some(error) => for_store(error, store),
            None => in_doubt(store),
        },
    }
}
