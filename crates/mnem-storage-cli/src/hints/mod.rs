//! Hints: the next step after a failure.

mod archives;
mod io;
mod services;
mod stores;

use std::path::Path;

use mnem_storage::{CollectError, CopyError, ErrorKind, StoreError};

pub(crate) use self::services::{BUCKET, FOR_DAMAGED_LOG};
use self::{
    archives::{for_export, for_import},
    io::for_io,
    stores::{for_missing_root, for_store, for_target},
};
use crate::{context::Context, error::Failure};

/// A path quoted for a shell. Paths with control characters or invalid UTF-8 use `$'...'`, which bash, zsh and newer
/// shells read.
pub(crate) fn quoted(path: &Path) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    match path.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let bytes = path.as_os_str().as_encoded_bytes().iter();
            let escaped: String = bytes.flat_map(|byte| escaped(*byte)).collect();
            format!("$'{escaped}'")
        }
    }
}

/// A byte inside `$'...'`.
fn escaped(byte: u8) -> Vec<char> {
    match byte {
        b'\'' | b'\\' => vec!['\\', byte.into()],
        b' '..=b'~' => vec![byte.into()],
        _ => format!("\\{byte:03o}").chars().collect(),
    }
}

/// How to install the program with a Cargo feature: from the registry, or from a checkout.
pub(crate) fn install_with(feature: &str) -> String {
    format!(
        "`cargo install {0} --features {feature}`, or in a checkout `cargo install --path crates/{0} --features {feature}`",
        env!("CARGO_PKG_NAME")
    )
}

/// The hint for a failure: what to run or do next.
pub(crate) fn hint(failure: &Failure, context: &Context) -> String {
    let store = || context.store_path().map_or_else(|| "PATH".to_owned(), |path| quoted(&path));
    if let Some(StoreError::Locked { location }) = failure.store_error() {
        if location.scheme().is_some() {
            return "another process has written to the store meanwhile: run the same command again".to_owned();
        }
        let wait = if context.waits_for_locks() { "wait longer" } else { "wait for it with --lock-wait 10" };
        return format!("end the process that has the store open, or {wait}");
    }
    match failure {
        Failure::Usage { hint, .. } | Failure::Refused { hint, .. } | Failure::Interrupted { hint, .. } => hint.clone(),
        Failure::NoSuchBlock { store, .. } | Failure::NoSuchBlocks { store, .. } => {
            format!("run `mnem-store ls --store {}` to list the blocks", quoted(store))
        }
        Failure::NoSuchHead { store, .. } => {
            format!("run `mnem-store heads --store {}` to list the heads", quoted(store))
        }
        Failure::Ambiguous { cids, count, .. } => {
            let cids: Vec<String> = cids.iter().map(ToString::to_string).collect();
            let more = if *count > cids.len() as u64 { ", ..." } else { "" };
            format!("give more characters to select one of {}{more}", cids.join(", "))
        }
        Failure::NoSuchIndex { store, .. } => {
            format!("run `mnem-store knn list --store {}` to list the indexes", quoted(store))
        }
        Failure::NoSuchNode { hint, .. } | Failure::Line { hint, .. } => (*hint).to_owned(),
        Failure::Elsewhere { source, .. } => match &source.now {
            Some(now) => format!("the data is in {0}: move it back, or give --store {0}", quoted(now)),
            None => "the written data is lost: run the same command again on the right store".to_owned(),
        },
        Failure::NotDagCbor { .. } => {
            "nothing was stored; encode it as DAG-CBOR, or omit `--codec` to store the bytes as raw".to_owned()
        }
        Failure::Import { source, max_block, typed, .. } => for_import(source, *max_block, typed, &store()),
        Failure::Copy { from, to, salvages, source: CopyError::Source(error), .. }
            if error.kind() == ErrorKind::NotAStore =>
        {
            let order = "check the path of the source; the source comes first: `mnem-store copy FROM TO`";
            let is_car = from.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("car"));
            if from.is_file() && is_car {
                let (from, to) = (quoted(from), quoted(to));
                return format!("run `mnem-store import {from} --store {to}` to read an archive");
            }
            match (from.exists(), salvages) {
                (false, _) => order.to_owned(),
                (true, true) => format!("{order}; if a store was here, restore it from a backup"),
                (true, false) => format!(
                    "{order}; if the start of the store is damaged, restore it from a backup, \
                     or try `mnem-store copy --salvage {} NEW`",
                    quoted(from)
                ),
            }
        }
        Failure::Copy { from, source: CopyError::Source(error), .. } => match &**error {
            StoreError::MissingBlock { linked_from: Some(_), .. } => {
                format!(
                    "{}; or give --skip-missing to copy without the missing blocks",
                    for_store(error, &quoted(from))
                )
            }
            StoreError::MissingBlock { cid, .. } => for_missing_root(cid, &quoted(from)),
            error => for_store(error, &quoted(from)),
        },
        Failure::Copy { from, to, merges, source: CopyError::Target(error), .. } => {
            for_target(error, from, to, *merges)
        }
        Failure::Copy { to, source: CopyError::Differs { .. }, .. } => stores::in_doubt(&quoted(to)),
        Failure::Copy { from, to, source: CopyError::Opaque { .. }, .. } => format!(
            "give --opaque-leaves to copy such blocks without the blocks that they link to, \
             or run `mnem-store copy {} {}` to copy every block",
            quoted(from),
            quoted(to)
        ),
        Failure::Copy { from, to, .. } => {
            format!("run `mnem-store copy {} {}` to resume the copy", quoted(from), quoted(to))
        }
        Failure::Collect(error) => for_collect(error, &store()),
        Failure::Io { source, .. } => for_io(source),
        Failure::Export(error) => for_export(error, &store()),
        Failure::OutputClosed => "read the output to its end".to_owned(),
        Failure::HeadsMoved { expected: 0, .. } => {
            format!(
                "run `mnem-store heads --store {}` to list the current heads, and give each with --expected",
                store()
            )
        }
        Failure::HeadsMoved { error, .. } => for_store(error, &store()),
        Failure::Store(error) => for_store(error, &store()),
        Failure::OfStore { store, source } => for_store(source, &quoted(store)),
    }
}

/// The hint for a failed garbage collection.
fn for_collect(error: &CollectError, store: &str) -> String {
    match error {
        CollectError::Opaque { .. } => {
            "nothing was removed; give --opaque-leaves to keep such blocks and remove blocks that only they link to"
                .to_owned()
        }
        CollectError::Store(error) => match &**error {
            StoreError::InvalidArgument { .. } => format!(
                "run `mnem-store heads update CID --store {store}` to set a head, \
                 or `mnem-store gc --keep CID --store {store}` to keep a block and all that it reaches"
            ),
            StoreError::MissingBlock { linked_from: Some(_), .. } | StoreError::Malformed { .. } => {
                format!(
                    "{}; or give --allow-missing to continue without it, which removes blocks that only it links to",
                    for_store(error, store)
                )
            }
            StoreError::MissingBlock { cid, linked_from: None } => format!(
                "import an archive that holds the block; or, if it is of --keep, check its CID; \
                 or, if it is a head, run `mnem-store heads rm {cid} --store {store}` to drop it"
            ),
            error => for_store(error, store),
        },
        _ => "run the same command again to remove the rest".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_as_a_shell_takes_it_back() {
        for (path, as_typed) in [
            ("a/b-1.redb", "a/b-1.redb"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("é", "'é'"),
            ("a\nb\x1b'\\", r"$'a\012b\033\'\\'"),
        ] {
            assert_eq!(quoted(Path::new(path)), as_typed);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_path_that_is_no_text_is_quoted_by_its_bytes() {
        let path = std::os::unix::ffi::OsStrExt::from_bytes(b"n\xff \xc3\xa9");
        assert_eq!(quoted(Path::new::<std::ffi::OsStr>(path)), r"$'n\377 \303\251'");
    }
}
