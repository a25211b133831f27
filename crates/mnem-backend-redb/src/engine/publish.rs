//! Gives a new store its name without ever replacing another file, even on file systems that have no call for that.

use std::{
    fs::{self, File},
    io,
    ops::Bound,
    path::Path,
    thread,
    time::Instant,
};

use mnem_store_traits::{Outcome, StoreError};
use tempfile::{NamedTempFile, PersistError};

use crate::{
    OpenOptions,
    engine::locks::{file_id, insist},
    error::At,
    limits::{LOCK_PAUSE, MODE_DEFAULT, next_pause},
    open::file_medium,
    place::{Place, Unfinished, lacks_publishing, unfinished_in},
};

/// Gives the store its name unless the name is taken. Returns `false` if it is taken, or if the unfinished file is
/// gone: another creator may take it for abandoned in the moment between two locks. The caller then starts again.
pub(crate) fn publish(
    place: &dyn Place,
    at: At<'_>,
    options: &OpenOptions,
    unfinished: Unfinished,
) -> Result<bool, StoreError> {
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let Unfinished { file, _folder } = unfinished;
    // Unlock explicitly. Closing the file does not, if another thread is just starting a process, which briefly has a
    // copy of the descriptor.
    let _ = file.as_file().unlock();
    match place.persist_noclobber(file, at.path) {
        Ok(()) => Ok(true),
        Err(PersistError { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists || is_gone(&error) => Ok(false),
        Err(PersistError { error, file }) if cfg!(unix) && lacks_publishing(&error) => {
            publish_by_claim(at, options, file)
        }
        Err(PersistError { error, .. }) => Err(failed(error)),
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Whether the folder's file system can rename without replacing. If it can, no creator reserves a name with an empty
/// file.
pub(crate) fn can_publish(place: &dyn Place, folder: &Path) -> io::Result<bool> {
    let (file, name) = (unfinished_in(folder, MODE_DEFAULT)?, unfinished_in(folder, MODE_DEFAULT)?);
    let path = name.file.path().to_owned();
    let Unfinished { file: name, _folder } = name;
    drop(name);
    match place.persist_noclobber(file.file, &path) {
        Ok(()) => {
            fs::remove_file(&path).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) }).map(|()| true)
        }
        Err(PersistError { error, .. }) if lacks_publishing(&error) => Ok(false),
        Err(PersistError { error, .. }) => Err(error),
    }
}

/// Publishes in two steps: create an empty file of that name, which only one creator can do, then lock it and rename
/// the store over it.
///
/// If a creator is killed, the empty file stays; the next creator finds it unlocked and replaces it.
fn publish_by_claim(at: At<'_>, options: &OpenOptions, file: NamedTempFile) -> Result<bool, StoreError> {
    let failed = |error| at.failed(Outcome::NotApplied, error);
    let deadline = Instant::now().checked_add(options.turn_wait());
    let mut pause = LOCK_PAUSE.0;
    loop {
        let Some(claim) = Claim::on(at.path).map_err(failed)? else { return Ok(false) };
        let medium = file_medium(at, claim.file.try_clone().map_err(failed)?, options)?;
        let (start, end) = (Bound::Unbounded, Bound::Unbounded);
        let locked = insist(medium.try_lock_range(start, end), start, end);
        let ours = locked.map_err(|error| at.redb(redb::Error::from(error)))? && claim.holds().map_err(failed)?;
        let replaced = if ours { claim.replace_by(file.path()) } else { Ok(()) };
        // The replaced file has no name any more, so failing to unlock it has no effect.
        let _ = medium.close();
        match replaced {
            Err(error) if is_gone(&error) => return Ok(false),
            replaced => replaced.map_err(failed)?,
        }
        if ours {
            // Its old name may belong to another file by now.
            let _ = file.keep();
            return Ok(true);
        }
        if deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(StoreError::Locked { location: at.path.into() });
        }
        thread::sleep(pause);
        pause = next_pause(pause);
    }
}

/// An empty file that reserves the path of a store that is being created.
struct Claim<'a> {
    path: &'a Path,
    file: File,
    /// Whether this creator made it.
    made: bool,
}

impl<'a> Claim<'a> {
    /// Creates the file, or opens an existing one. `None`: the name belongs to a file that is not empty.
    fn on(path: &'a Path) -> io::Result<Option<Self>> {
        loop {
            match File::options().read(true).write(true).create_new(true).open(path) {
                Ok(file) => return Ok(Some(Self { path, file, made: true })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            match File::options().read(true).write(true).open(path) {
                Ok(file) if file.metadata()?.len() == 0 => return Ok(Some(Self { path, file, made: false })),
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the file is still empty and still has the name. This stays true while its lock is held.
    fn holds(&self) -> io::Result<bool> {
        let there = match File::open(self.path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(self.file.metadata()?.len() == 0 && file_id(&self.file)? == file_id(&there)?)
    }

    fn replace_by(&self, file: &Path) -> io::Result<()> {
        let replaced = fs::rename(file, self.path);
        if replaced.is_err() && self.made {
            let _ = fs::remove_file(self.path);
        }
        replaced
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_while_it_is_empty_and_has_the_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, other) = (folder.path().join("test.redb"), folder.path().join("other"));
        let ours = Claim::on(&path).expect("claim").expect("nothing was there");
        assert!(ours.made && ours.holds().expect("look"));
        let same = Claim::on(&path).expect("claim").expect("an empty file");
        assert!(!same.made && same.holds().expect("look"));
        // Another creator was faster, and its store has the name.
        fs::write(&other, "a store").expect("write");
        fs::rename(&other, &path).expect("rename");
        assert!(!ours.holds().expect("look"));
        assert!(Claim::on(&path).expect("claim").is_none());
        fs::remove_file(&path).expect("remove");
        assert!(!ours.holds().expect("look"));
        // Another program wrote into the empty file.
        let ours = Claim::on(&path).expect("claim").expect("nothing was there");
        fs::write(&path, "a store").expect("write");
        assert!(!ours.holds().expect("look"));
        assert!(ours.replace_by(&other).is_err(), "there is nothing to replace it by");
        assert!(!path.exists(), "what this maker made is taken away again");
    }
}
