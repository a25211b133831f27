//! What to type next after a failure.

mod archives;
mod io;
mod stores;

use std::path::Path;

use mnem_storage::{CollectError, CopyError, ErrorKind, StoreError};

use self::{
    archives::{for_export, for_import},
    io::for_io,
    stores::{for_missing_root, for_store, for_target},
};
use crate::{context::Context, error::Failure};

/// A path as a shell takes it back; as bash, zsh and newer ones do, where it is no text or would give orders to a terminal.
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

/// A byte inside of `$'...'`.
fn escaped(byte: u8) -> Vec<char> {
    match byte {
        b'\'' | b'\\' => vec!['\\', byte.into()],
        b' '..=b'~' => vec![byte.into()],
        _ => format!("\\{byte:03o}").chars().collect(),
    }
}

/// The hint for a failure: what to type or to do next.
pub(crate) fn hint(failure: &Failure, context: &Context) -> String {
    let store = || context.store_path().map_or_else(|| "PATH".to_owned(), |path| quoted(&path));
    if let Some(StoreError::Locked { .. }) = failure.store_error() {
        let wait = if context.waits_for_locks() { ", or wait longer" } else { ", or wait for it with --lock-wait 10" };
        return format!("end the process that has it open{wait}");
    }
    match failure {
        Failure::Usage { hint, .. } | Failure::Refused { hint, .. } | Failure::Interrupted { hint, .. } => hint.clone(),
        Failure::NoSuchBlock { store, .. } | Failure::NoSuchBlocks { store, .. } => {
            format!("`mnem-store ls --store {}` lists the blocks that are there", quoted(store))
        }
        Failure::NoSuchHead { store, .. } => format!("`mnem-store heads --store {}` lists the heads", quoted(store)),
        Failure::Ambiguous { cids, count, .. } => {
            let cids: Vec<String> = cids.iter().map(ToString::to_string).collect();
            let more = if *count > cids.len() as u64 { ", ..." } else { "" };
            format!("write more of it: {}{more}", cids.join(", "))
        }
        Failure::NoSuchIndex { store, .. } => {
            format!("`mnem-store knn list --store {}` lists the indexes that are there", quoted(store))
        }
        Failure::NoSuchNode { hint, .. } | Failure::Line { hint, .. } => (*hint).to_owned(),
        Failure::Elsewhere { source, .. } => match &source.now {
            Some(now) => format!("the data is in {0}: move it back, or name it with --store {0}", quoted(now)),
            None => "what was written is gone with it: run the same command again, on the store that is to have it"
                .to_owned(),
        },
        Failure::NotDagCbor { .. } => {
            "encode it as DAG-CBOR, or leave out `--codec` to store the bytes as they are; nothing was stored"
                .to_owned()
        }
        Failure::Import { source, max_block, typed, .. } => for_import(source, *max_block, typed, &store()),
        Failure::Copy { from, source: CopyError::Source(error), .. } if error.kind() == ErrorKind::NotAStore => {
            let order = "name the store to copy first, then where to: `mnem-store copy FROM TO`";
            if from.exists() {
                format!("{order}; a store whose first bytes are gone is not recognized: restore it from a backup")
            } else {
                order.to_owned()
            }
        }
        Failure::Copy { from, source: CopyError::Source(error), .. } => match &**error {
            StoreError::MissingBlock { linked_from: Some(_), .. } => {
                format!("{}; --skip-missing leaves out what is missing", for_store(error, &quoted(from)))
            }
            StoreError::MissingBlock { cid, .. } => for_missing_root(cid, &quoted(from)),
            error => for_store(error, &quoted(from)),
        },
        Failure::Copy { from, to, merges, source: CopyError::Target(error) } => for_target(error, from, to, *merges),
        Failure::Copy { to, source: CopyError::Differs { .. }, .. } => stores::in_doubt(&quoted(to)),
        Failure::Copy { from, to, source: CopyError::Opaque { .. }, .. } => format!(
            "--opaque-leaves copies such blocks without what they link to; `mnem-store copy {} {}` copies every block",
            quoted(from),
            quoted(to)
        ),
        Failure::Copy { from, to, .. } => {
            format!("`mnem-store copy {} {}` goes on where this one stopped", quoted(from), quoted(to))
        }
        Failure::Collect(error) => for_collect(error, &store()),
        Failure::Io { source, .. } => for_io(source),
        Failure::Export(error) => for_export(error, &store()),
        Failure::OutputClosed => "read its output to the end".to_owned(),
        Failure::HeadsMoved { expected: 0, .. } => {
            format!("`mnem-store heads --store {}` lists the current heads: name each with --expected", store())
        }
        Failure::HeadsMoved { error, .. } => for_store(error, &store()),
        Failure::Store(error) => for_store(error, &store()),
        Failure::OfStore { store, source } => for_store(source, &quoted(store)),
    }
}

/// Nothing was removed, or not everything.
fn for_collect(error: &CollectError, store: &str) -> String {
    match error {
        CollectError::Opaque { .. } => {
            "nothing was removed; --opaque-leaves keeps such blocks, and removes what only they link to".to_owned()
        }
        CollectError::Store(error) => match &**error {
            StoreError::InvalidArgument { .. } => format!(
                "`mnem-store heads update CID --store {store}` sets a head; `mnem-store gc --keep CID` keeps a block and what it reaches"
            ),
            StoreError::MissingBlock { linked_from: Some(_), .. } | StoreError::Malformed { .. } => {
                format!(
                    "{}; --allow-missing goes on without it, and removes what only it links to",
                    for_store(error, store)
                )
            }
            StoreError::MissingBlock { cid, linked_from: None } => for_missing_root(cid, store),
            error => for_store(error, store),
        },
        _ => "run the same command again: it removes the rest".to_owned(),
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
