//! Hints for errors of the operating system: the tool that shows the cause, and what to do. The error's number decides,
//! then its kind. A library may have kept the number in the text only.

use std::io;

#[cfg(unix)]
use crate::limits::OPEN_FILES_MIN;

/// The hint for an I/O error.
pub(super) fn for_io(error: &io::Error) -> String {
    for_number(error).unwrap_or_else(|| for_kind(error.kind()).to_owned())
}

/// The error's number, taken from its text if a library wrapped the error.
#[cfg(unix)]
fn os_error(error: &io::Error) -> Option<i32> {
    let of_text = || error.to_string().split_once("(os error ")?.1.split_once(')')?.0.parse().ok();
    error.raw_os_error().or_else(of_text)
}

/// The hint for an error whose [`io::ErrorKind`] is missing or too coarse.
#[cfg(unix)]
fn for_number(error: &io::Error) -> Option<String> {
    use rustix::io::Errno;
    let hint = match Errno::from_raw_os_error(os_error(error)?) {
        Errno::PERM => {
            "check the permissions of the file and its folder with `ls -ld` and `lsattr -d`; \
             in a container, allow the system call in the seccomp profile"
        }
        Errno::NOLCK | Errno::BADF => ELSEWHERE,
        Errno::IO => {
            "check the disk with `dmesg`; if it fails, copy the store to another disk and run the command there"
        }
        Errno::MFILE => {
            return Some(format!(
                "raise the limit on open files to `ulimit -n {OPEN_FILES_MIN}` or more, \
                 then run the same command again"
            ));
        }
        Errno::NFILE => "the system has too many files open: end some programs, then run the same command again",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(not(unix))]
fn for_number(_: &io::Error) -> Option<String> {
    None
}

/// The hint for a file system without a required feature.
const ELSEWHERE: &str =
    "the file system does not support this (`df -T` shows its type): give a path on a local disk, and copy the result";

fn for_kind(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind;
    match kind {
        ErrorKind::NotFound => "check the path and its folder with `ls -l`: a part of it does not exist",
        ErrorKind::PermissionDenied => {
            "check the permissions of the file and its folder with `ls -ld`, or give another path"
        }
        ErrorKind::ReadOnlyFilesystem => "give a path on a writable file system",
        ErrorKind::StorageFull => {
            "check the free space with `df -h` and the free inodes with `df -i`; \
             free some or give another path, then run the same command again"
        }
        ErrorKind::QuotaExceeded => {
            "check your limits with `quota -s`, and the free inodes of a limited folder with `df -i`; \
             free some or give another path, then run the same command again"
        }
        ErrorKind::FileTooLarge => {
            "check the limit of the shell with `ulimit -f` and the file system with `df -T` (FAT allows 4 GiB); \
             raise the limit or give another path, then run the same command again"
        }
        ErrorKind::AlreadyExists => "give another path: there is something else at this one",
        ErrorKind::TooManyLinks => {
            "give a path on another file system: this one allows no more folders or links there (`df -T` shows its type)"
        }
        ErrorKind::InvalidFilename => {
            "give a shorter path, or `cd` to its folder first: a name has up to 255 bytes and a path up to 4,095, \
             of which a store of many files needs some"
        }
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => "give the path of a file",
        ErrorKind::Unsupported | ErrorKind::InvalidInput => ELSEWHERE,
        _ => "fix the cause, then run the same command again",
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
            (Errno::NAMETOOLONG, &["give a shorter path"]),
            (Errno::ROFS, &["writable file system"]),
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
        for (number, hint) in [(24, "`ulimit -n 16`"), (23, "the system has too many")] {
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
        assert!(for_io(&io::Error::other("StorageFull")).starts_with("fix the cause"));
    }
}
