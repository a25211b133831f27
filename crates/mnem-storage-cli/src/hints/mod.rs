//! What to type next after a failure.

mod archives;
mod stores;

use std::{io, path::Path};

use mnem_storage::{CopyError, ErrorKind, StoreError};

use self::{
    archives::{for_export, for_import},
    stores::{for_store, for_target},
};
#[cfg(unix)]
use crate::limits::OPEN_FILES_MIN;
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
        let wait = if context.waits_for_locks() { "" } else { ", or try again with --lock-wait 10" };
        return format!("another process has it open: wait for that to end{wait}");
    }
    match failure {
        Failure::Usage { hint, .. } | Failure::Refused { hint, .. } | Failure::Interrupted { hint, .. } => hint.clone(),
        Failure::NoSuchBlock { store, .. } => {
            format!("`mnem-store ls --store {}` lists the blocks that are there", quoted(store))
        }
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
        Failure::Import { source, max_block, .. } => for_import(source, *max_block, &store()),
        Failure::Copy { source: CopyError::Source(error), .. } if error.kind() == ErrorKind::NotAStore => {
            "name the store to copy first, then where to: `mnem-store copy FROM TO`".to_owned()
        }
        Failure::Copy { from, source: CopyError::Source(error), .. } => match error.as_ref() {
            StoreError::MissingBlock { linked_from: Some(_), .. } => {
                format!("{}; --skip-missing leaves out what is missing", for_store(error, &quoted(from)))
            }
            error => for_store(error, &quoted(from)),
        },
        Failure::Copy { from, to, source: CopyError::Target(error) } => for_target(error, from, to),
        Failure::Copy { from, to, source: CopyError::Opaque { .. } } => format!(
            "--opaque-leaves copies such blocks without what they link to; `mnem-store copy {} {}` copies every block",
            quoted(from),
            quoted(to)
        ),
        Failure::Copy { from, to, .. } => {
            format!("`mnem-store copy {} {}` goes on where this one stopped", quoted(from), quoted(to))
        }
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

/// No more files may be open.
fn for_descriptors(error: &io::Error) -> Option<String> {
    #[cfg(unix)]
    match os_error(error).map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::MFILE) => {
            return Some(format!(
                "raise the number of files that a process may have open: `ulimit -n {OPEN_FILES_MIN}` or more, then run the same command again"
            ));
        }
        Some(rustix::io::Errno::NFILE) => {
            let hint = "all programs together have too many files open: end some, then run the same command again";
            return Some(hint.to_owned());
        }
        _ => {}
    }
    let _ = error;
    None
}

/// The system's own number for an error, also where a library has wrapped it, which keeps only its text.
#[cfg(unix)]
fn os_error(error: &io::Error) -> Option<i32> {
    let of_text = || error.to_string().split_once("(os error ")?.1.split_once(')')?.0.parse().ok();
    error.raw_os_error().or_else(of_text)
}

/// A file, or the system below it, failed.
fn for_io(error: &io::Error) -> String {
    if let Some(hint) = for_descriptors(error) {
        return hint;
    }
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "look with `ls -l` at that path and at its folder: a part of it is not there",
        io::ErrorKind::PermissionDenied => "look with `ls -ld` who may use that file and its folder, or name another",
        io::ErrorKind::ReadOnlyFilesystem => "name a path on a file system that can be written to",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "`df -h` shows how full it is: free some space, or name a path elsewhere, and run the same command again"
        }
        io::ErrorKind::InvalidFilename => {
            "a name has up to 255 bytes and a path 4,095: name a shorter one, or `cd` to its folder first"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => "a file was meant: name another path",
        _ => "see to what the system says of it, then run the same command again",
    };
    hint.to_owned()
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
    fn too_many_open_files_are_known_by_their_number() {
        for (number, hint) in [(24, "`ulimit -n 16`"), (23, "all programs together")] {
            let plain = io::Error::from_raw_os_error(number);
            assert!(for_io(&plain).contains(hint));
            let wrapped = io::Error::new(plain.kind(), format!("{plain} at path \"a\""));
            assert!(for_io(&wrapped).contains(hint));
        }
        assert_eq!(for_descriptors(&io::Error::other("(os error x)")), None);
    }

    #[test]
    #[cfg(unix)]
    fn a_path_that_is_no_text_is_quoted_by_its_bytes() {
        let path = std::os::unix::ffi::OsStrExt::from_bytes(b"n\xff \xc3\xa9");
        assert_eq!(quoted(Path::new::<std::ffi::OsStr>(path)), r"$'n\377 \303\251'");
    }
}
