//! A file that appears under its name only when it is complete, on every file system.
//!
//! The data goes into a temporary file in the same folder. If the path is near the limit for names, the temporary name
//! is as short as the final one, so that the temporary file fits wherever the file does.

use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use crate::limits::TEMPORARY_NAMES_MAX;

/// The usual length of a temporary name in bytes: a dot, random characters, `.tmp`.
const NAME_BYTES: usize = 17;

/// A file under its temporary name. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    /// `None` once the file has its final name.
    path: Option<PathBuf>,
}

/// The system calls that name a file. A trait, so that tests can simulate file systems without some of them.
trait Naming {
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// As `rename`; fails if `to` exists.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (from, to);
            Err(ErrorKind::Unsupported.into())
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }
}

/// The real system calls.
struct System;

impl Naming for System {}

impl NewFile {
    /// Creates an empty file in the folder of `target`.
    pub(crate) fn beside(target: &Path, folder: &Path) -> io::Result<Self> {
        let length = target.file_name().unwrap_or_default().len();
        match Self::in_folder(folder, NAME_BYTES, target) {
            // The file system limits names more strictly, or the path is near the maximum length.
            Err(error) if error.kind() == ErrorKind::InvalidFilename && length < NAME_BYTES => {
                Self::in_folder(folder, length, target)
            }
            created => created,
        }
    }

    fn in_folder(folder: &Path, length: usize, target: &Path) -> io::Result<Self> {
        for _ in 0..TEMPORARY_NAMES_MAX {
            let path = folder.join(temporary_name(length));
            if path.file_name() == target.file_name() {
                continue;
            }
            // With default permissions, as the umask sets them.
            match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path: Some(path) }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, "all temporary names are taken"))
    }

    /// The file, for writing.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The temporary path; empty once the file has its final name.
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Removes the file.
    pub(crate) fn discard(mut self) -> io::Result<()> {
        self.path.take().map_or(Ok(()), fs::remove_file)
    }

    /// Syncs the file and renames it to `target`, replacing a file of that name.
    pub(crate) fn publish_over(self, target: &Path) -> io::Result<()> {
        self.publish_by(&System, target, true)
    }

    /// Syncs the file and renames it to `target`.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if `target` exists; it stays unchanged.
    pub(crate) fn publish(self, target: &Path) -> io::Result<()> {
        self.publish_by(&System, target, false)
    }

    fn publish_by(mut self, naming: &impl Naming, target: &Path, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        let Some(path) = &self.path else { return Ok(()) };
        if replace {
            naming.rename(path, target)?
        } else {
            name_anew(naming, path, target)?
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // A destructor cannot report an error.
            let _ = fs::remove_file(path);
        }
    }
}

/// Renames a file to a name that must not exist.
fn name_anew(naming: &impl Naming, path: &Path, target: &Path) -> io::Result<()> {
    match naming.rename_new(path, target) {
        Err(error) if has_no_such_call(&error) => {}
        renamed => return renamed,
    }
    match naming.link(path, target) {
        Err(error) if has_no_such_call(&error) => {}
        // The file has its final name, so a failure to remove the temporary name is not an error.
        linked => return linked.map(|()| drop(fs::remove_file(path))),
    }
    // Reserve the name with an empty file, then rename over it. A process killed in between leaves the empty file.
    drop(OpenOptions::new().write(true).create_new(true).open(target)?);
    naming.rename(path, target).inspect_err(|_| {
        let is_ours = fs::symlink_metadata(target).is_ok_and(|found| found.is_file() && found.len() == 0);
        if is_ours {
            let _ = fs::remove_file(target);
        }
    })
}

/// Whether the error means that the file system or a system call filter does not offer the call. `PermissionDenied`
/// counts: a filter returns it, and a real lack of permission fails the next call as well.
fn has_no_such_call(error: &io::Error) -> bool {
    use ErrorKind::{CrossesDevices, InvalidInput, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), Unsupported | InvalidInput | PermissionDenied | TooManyLinks | CrossesDevices)
}

/// Syncs a folder, to make new names durable. Returns `false` if the file system cannot sync folders.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<bool> {
    if !cfg!(unix) {
        return Ok(true);
    }
    settled(File::open(folder).and_then(|folder| folder.sync_all()))
}

/// Tells a file system that cannot sync folders (`Ok(false)`) from a failed disk.
fn settled(synced: io::Result<()>) -> io::Result<bool> {
    /// The standard library has no [`ErrorKind`] for it. Every Unix has the same number.
    const EBADF: i32 = 9;
    use ErrorKind::{InvalidInput, IsADirectory, PermissionDenied, Unsupported};
    match synced {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(EBADF) => Ok(false),
        Err(error) if matches!(error.kind(), Unsupported | InvalidInput | IsADirectory | PermissionDenied) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A random name of this length in bytes; hidden if that leaves enough random characters.
fn temporary_name(length: usize) -> String {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let [before, after] = match length {
        0..4 => ["", ""],
        4..12 => [".", ""],
        _ => [".", ".tmp"],
    };
    // A keyed hash of the standard library, seeded by the system, serves as a random number.
    let mut random = RandomState::new().build_hasher().finish();
    let mut digit = || {
        let digit = DIGITS.get((random % 36) as usize).map_or('x', |digit| char::from(*digit));
        random /= 36;
        digit
    };
    let digits: String = (before.len() + after.len()..length).map(|_| digit()).collect();
    format!("{before}{digits}{after}")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Write as _;

    use rustix::io::Errno;

    use super::*;

    /// System calls that fail with the given errors; `meanwhile` runs when `link` fails.
    struct Lacking<'a> {
        rename_new: Option<Errno>,
        link: Option<Errno>,
        rename: Option<Errno>,
        meanwhile: &'a dyn Fn(),
    }

    impl Naming for Lacking<'_> {
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.rename.map_or_else(|| System.rename(from, to), |errno| Err(errno.into()))
        }

        fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.rename_new.map_or_else(|| System.rename_new(from, to), |errno| Err(errno.into()))
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.link.map_or_else(
                || System.link(from, to),
                |errno| {
                    (self.meanwhile)();
                    Err(errno.into())
                },
            )
        }
    }

    /// The errors of file systems that lack a call, and of system call filters.
    const NONE: [Errno; 6] = [Errno::NOSYS, Errno::PERM, Errno::INVAL, Errno::OPNOTSUPP, Errno::MLINK, Errno::XDEV];

    fn written(target: &Path) -> NewFile {
        let mut new = NewFile::beside(target, target.parent().expect("a folder")).expect("a file");
        new.file().write_all(b"archive").expect("written");
        new
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn whatever_calls_are_lacking_a_file_gets_its_name_and_takes_nobodys() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("out.car");
        for link in [None].into_iter().chain(NONE.map(Some)) {
            for rename_new in NONE {
                let lacking = Lacking { rename_new: Some(rename_new), link, rename: None, meanwhile: &|| () };
                written(&target).publish_by(&lacking, &target, false).expect("published");
                assert_eq!(fs::read(&target).expect("there"), b"archive");
                assert_eq!(names(folder.path()), ["out.car"]);

                fs::write(&target, b"precious").expect("written");
                let error = written(&target).publish_by(&lacking, &target, false).expect_err("it is there");
                assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                assert_eq!(fs::read(&target).expect("there"), b"precious");
                assert_eq!(names(folder.path()), ["out.car"]);
                fs::remove_file(&target).expect("removed");
            }
        }
    }

    #[test]
    fn a_file_that_comes_at_the_last_moment_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("out.car");
        let meanwhile = || fs::write(&target, b"precious").expect("written");
        let lacking =
            Lacking { rename_new: Some(Errno::INVAL), link: Some(Errno::PERM), rename: None, meanwhile: &meanwhile };
        let error = written(&target).publish_by(&lacking, &target, false).expect_err("it is there");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).expect("there"), b"precious");
        assert_eq!(names(folder.path()), ["out.car"]);
    }

    #[test]
    fn a_name_that_cannot_be_given_at_all_is_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("out.car");
        let rename = Some(Errno::IO);
        let lacking = Lacking { rename_new: Some(Errno::INVAL), link: Some(Errno::PERM), rename, meanwhile: &|| () };
        written(&target).publish_by(&lacking, &target, false).expect_err("it cannot be renamed");
        assert_eq!(names(folder.path()), Vec::<String>::new());
        // An I/O error is not a missing call, so there is no fallback.
        let lacking = Lacking { rename_new: Some(Errno::IO), link: None, rename: None, meanwhile: &|| () };
        written(&target).publish_by(&lacking, &target, false).expect_err("the disk failed");
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_temporary_name_has_the_length_that_it_is_to_have() {
        for length in 1..=NAME_BYTES {
            let names: std::collections::HashSet<_> = (0..100).map(|_| temporary_name(length)).collect();
            assert!(names.iter().all(|name| name.len() == length && !name.starts_with("..")), "{names:?}");
            assert!(names.len() > 20, "{names:?}");
        }
    }

    #[test]
    fn a_place_that_cannot_sync_folders_is_told_from_a_disk_that_fails() {
        for errno in [Errno::INVAL, Errno::BADF, Errno::NOSYS, Errno::OPNOTSUPP, Errno::ISDIR, Errno::ACCESS] {
            assert!(!settled(Err(errno.into())).expect("no failure"), "{errno}");
        }
        for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::NOENT] {
            settled(Err(errno.into())).expect_err("a failure");
        }
    }
}
