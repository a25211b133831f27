//! What the system refused or failed to do: which tool shows why, and what to do. Decided by the error's number, which a library may have left in its text alone, and by its kind.

use std::io;

#[cfg(unix)]
use crate::limits::OPEN_FILES_MIN;

/// A file, or the system below it, failed.
pub(super) fn for_io(error: &io::Error) -> String {
    for_number(error).unwrap_or_else(|| for_kind(error.kind()).to_owned())
}

/// The system's own number for an error, also where a library has wrapped it, which keeps only its text.
#[cfg(unix)]
fn os_error(error: &io::Error) -> Option<i32> {
    let of_text = || error.to_string().split_once("(os error ")?.1.split_once(')')?.0.parse().ok();
    error.raw_os_error().or_else(of_text)
}

/// Errors for which the standard library has no kind, or one that says too little.
#[cfg(unix)]
fn for_number(error: &io::Error) -> Option<String> {
    use rustix::io::Errno;
    let hint = match Errno::from_raw_os_error(os_error(error)?) {
        Errno::PERM => {
            "look with `ls -ld` and `lsattr -d` what may be done to that file and its folder; \
             in a container, allow the system call in its seccomp profile"
        }
        Errno::NOLCK | Errno::BADF => ELSEWHERE,
        Errno::IO => {
            "`dmesg` shows whether the disk fails: copy the store to another disk, then run the same command there"
        }
        Errno::MFILE => {
            return Some(format!(
                "raise the number of files that a process may have open: `ulimit -n {OPEN_FILES_MIN}` or more, \
                 then run the same command again"
            ));
        }
        Errno::NFILE => "all programs together have too many files open: end some, then run the same command again",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(not(unix))]
fn for_number(_: &io::Error) -> Option<String> {
    None
}

/// The place lacks what a store or an archive needs of it.
const ELSEWHERE: &str = "the file system there does not offer this: `df -T` shows its kind; name a path on a local disk, and copy the result";

fn for_kind(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind;
    match kind {
        ErrorKind::NotFound => "look with `ls -l` at that path and at its folder: a part of it is not there",
        ErrorKind::PermissionDenied => "look with `ls -ld` who may use that file and its folder, or name another",
        ErrorKind::ReadOnlyFilesystem => "name a path on a file system that can be written to",
        ErrorKind::StorageFull => {
            "`df -h` shows the free space and `df -i` the free inodes: free what is used up, or name a path elsewhere, \
             and run the same command again"
        }
        ErrorKind::QuotaExceeded => {
            "`quota -s` shows your limits and `df -i` the free inodes of a limited folder: free some space, or name a path \
             elsewhere, and run the same command again"
        }
        ErrorKind::FileTooLarge => {
            "`ulimit -f` shows the limit of this shell and `df -T` the file system (FAT ends at 4 GiB): raise the limit, or \
             name a path elsewhere, and run the same command again"
        }
        ErrorKind::TooManyLinks => {
            "`df -T` shows the file system, which takes no more folders or links there: name a path on another one"
        }
        ErrorKind::InvalidFilename => {
            "a name has up to 255 bytes and a path 4,095, of which a store of many files needs some: name a shorter one, or \
             `cd` to its folder first"
        }
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => "a file was meant: name another path",
        ErrorKind::Unsupported | ErrorKind::InvalidInput => ELSEWHERE,
        _ => "see to what the system says of it, then run the same command again",
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_error_names_the_tool_that_shows_its_cause() {
        for (errno, tools) in [
            (Errno::NOSPC, &["`df -h`", "`df -i`"][..]),
            (Errno::DQUOT, &["`quota -s`"]),
            (Errno::FBIG, &["`ulimit -f`", "`df -T`"]),
            (Errno::MLINK, &["`df -T`"]),
            (Errno::MFILE, &["`ulimit -n "]),
            (Errno::NFILE, &["too many files open"]),
            (Errno::IO, &["`dmesg`"]),
            (Errno::NOSYS, &["`df -T`"]),
            (Errno::OPNOTSUPP, &["`df -T`"]),
            (Errno::NOLCK, &["`df -T`"]),
            (Errno::INVAL, &["`df -T`"]),
            (Errno::BADF, &["`df -T`"]),
            (Errno::PERM, &["`ls -ld`", "seccomp"]),
            (Errno::ACCESS, &["`ls -ld`"]),
            (Errno::NOENT, &["`ls -l`"]),
            (Errno::NAMETOOLONG, &["name a shorter one"]),
            (Errno::ROFS, &["can be written to"]),
        ] {
            let hint = for_io(&errno.into());
            assert!(tools.iter().all(|tool| hint.contains(tool)), "{errno:?}: {hint}");
            assert!(!hint.contains('\n') && !hint.ends_with('.'), "{hint}");
            let only_when_full = [Errno::NOSPC, Errno::DQUOT].contains(&errno) || !hint.contains("df -i");
            assert!(only_when_full, "{errno:?}: {hint}");
        }
    }

    #[test]
    fn a_number_is_known_where_a_library_keeps_only_its_text() {
        for (number, hint) in [(24, "`ulimit -n 16`"), (23, "all programs together")] {
            let plain = io::Error::from_raw_os_error(number);
            assert!(for_io(&plain).contains(hint));
            let wrapped = io::Error::new(plain.kind(), format!("{plain} at path \"a\""));
            assert!(for_io(&wrapped).contains(hint));
        }
        assert_eq!(for_number(&io::Error::other("(os error x)")), None);
    }

    #[test]
    fn an_error_of_no_number_goes_by_its_kind() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge] {
            assert_eq!(for_io(&kind.into()), for_kind(kind));
        }
        assert!(for_io(&io::Error::other("StorageFull")).starts_with("see to what"));
    }
}
