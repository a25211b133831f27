//! The driver of this backend: recognises its stores, and opens them with the options that all backends share.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mnem_store_traits::{
    Durability, Store, StoreError,
    driver::{
        Driver, Entry, FileIdentity, Location, ManagedStore, OpenOptions, Probe, Reclaimed, Requested, StoreInfo, Stray,
    },
};

use crate::{
    FORMATS, SimpleStore,
    error::{BACKEND, at, damaged},
    tables::{self, FORMAT_NAME, Paths, RootName},
};

/// The driver of [`SimpleStore`]: one folder of plain files per store.
///
/// | option by name | value |
/// |---|---|
/// | `whole_sync_from` | number of new blocks from which a batch syncs the whole file system, or `never`: see [`OpenOptions::whole_sync_from`](crate::OpenOptions::whole_sync_from) |
pub static DRIVER: SimpleDriver = SimpleDriver;

/// The type of [`DRIVER`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SimpleDriver;

/// The reason why compaction does nothing.
const NOTHING_TO_MOVE: &str = "deleting a block frees its space at once";

/// The maximum length of the heads file without heads: the word `sha256`, a space, a checksum, and a line end of one or
/// two bytes.
const NO_HEADS_BYTES: u64 = 73;

impl Driver for SimpleDriver {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn about(&self) -> &'static str {
        "a folder with one plain file per block"
    }

    fn formats(&self) -> &'static [&'static str] {
        &FORMATS
    }

    fn option_names(&self) -> &'static [&'static str] {
        &["whole_sync_from"]
    }

    fn lock_wait(&self) -> Duration {
        crate::OpenOptions::LOCK_WAIT
    }

    fn suits(&self, at: &Location) -> bool {
        at.as_path().is_some()
            && (at.ends_with_separator() || at.extension().is_some_and(|extension| extension == "simple"))
    }

    fn probe(&self, at: &Location) -> Result<Probe, StoreError> {
        let Location::Path(path) = at else { return Ok(Probe::Foreign("it is a URL, not a folder".into())) };
        match Entry::at(path, BACKEND)? {
            Entry::Absent | Entry::EmptyFolder => Ok(Probe::Absent),
            Entry::Folder => probe_folder(path),
            Entry::File(_) => Ok(Probe::Foreign("it is a file, not a folder".into())),
            Entry::Other(what) => Ok(Probe::Foreign(what.into())),
            _ => Ok(Probe::Foreign("it is not a folder".into())),
        }
    }

    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError> {
        let requested = options.requested();
        requested.check(self)?;
        requested.check_names(self, self.option_names())?;
        let Location::Path(path) = at else {
            return Err(StoreError::NotAStore { location: at.clone(), reason: "it is a URL, not a folder".into() });
        };
        match own_options(requested)?.open(path) {
            Ok(store) => Ok(Box::new(store)),
            // No other program has these parts side by side, so this is an incomplete store.
            Err(StoreError::NotAStore { reason, .. }) if matches!(self.probe(at)?, Probe::Damaged(_)) => {
                Err(damaged(&Paths::new(path.clone()).format(), reason))
            }
            Err(error) => Err(error),
        }
    }
}

/// Classifies a folder that is not empty.
fn probe_folder(path: &Path) -> Result<Probe, StoreError> {
    let paths = Paths::new(path.to_owned());
    let is_there = || paths.format().try_exists().map_err(at("look at", &paths.format()));
    // Another process may publish the format at any moment and then fill the folder, so what is found now may be newer
    // than the absence of the format. Look for the format again.
    if is_there()? {
        return Ok(probe_format(&paths));
    }
    let missing = "the file is missing, but the store is not empty";
    let has_content = has_content(&paths);
    for entry in fs::read_dir(path).map_err(at("list", path))? {
        let name = entry.map_err(at("list", path))?.file_name();
        if RootName::of(&name).is_none_or(|name| name == RootName::Unsynced) {
            if is_there()? {
                return Ok(probe_format(&paths));
            }
            return Ok(if has_content && has_parts(&paths) {
                Probe::Damaged(missing.into())
            } else {
                Probe::Foreign(format!("the folder holds `{}` and no `format` file", name.display()))
            });
        }
    }
    if is_there()? {
        return Ok(probe_format(&paths));
    }
    Ok(if has_content { Probe::Damaged(missing.into()) } else { Probe::Unfinished })
}

/// Classifies a folder that has a `format` file.
fn probe_format(paths: &Paths) -> Probe {
    let format = fs::symlink_metadata(paths.format());
    let begins_as_ours = || {
        use std::io::Read as _;
        let mut begin = Vec::new();
        let file = fs::File::open(paths.format())?;
        file.take(FORMAT_NAME.len() as u64).read_to_end(&mut begin)?;
        Ok::<_, std::io::Error>(begin == FORMAT_NAME.as_bytes())
    };
    match format {
        // If it is unreadable, the open reports why.
        Ok(found) if found.is_file() && begins_as_ours().unwrap_or(true) => Probe::Store,
        Err(_) => Probe::Store,
        Ok(_) if has_parts(paths) => Probe::Damaged("it does not name a format".into()),
        Ok(_) => Probe::Foreign("the folder has a `format` file of another program".into()),
    }
}

/// Whether the folder holds more of a store than an interrupted creation leaves. A folder that cannot be read counts as
/// empty.
fn has_content(paths: &Paths) -> bool {
    let holds_entries = |part: &Path| fs::read_dir(part).is_ok_and(|mut entries| entries.next().is_some());
    let has_heads =
        || fs::symlink_metadata(paths.op_heads()).is_ok_and(|found| found.is_file() && found.len() > NO_HEADS_BYTES);
    holds_entries(&paths.objects()) || holds_entries(&paths.tables()) || has_heads()
}

/// Whether the folder has the parts that every store has from its creation on.
fn has_parts(paths: &Paths) -> bool {
    [paths.objects(), paths.op_heads(), paths.tables()].iter().all(|part| part.exists())
}

fn own_options(requested: &Requested) -> Result<crate::OpenOptions, StoreError> {
    let mut own = crate::OpenOptions::new()
        .create(requested.may_create())
        .read_only(requested.never_writes())
        .exclusive(requested.exclusive)
        .lenient(requested.lenient);
    own.create_new = requested.create_new;
    if let Some(durability) = requested.durability {
        own = own.durability(durability.max(Durability::Process));
    }
    if let Some(wait) = requested.lock_wait {
        own = own.lock_wait(wait);
    }
    if let Some(value) = requested.set.get("whole_sync_from") {
        let blocks = if value == "never" { Ok(usize::MAX) } else { value.parse() };
        own = own.whole_sync_from(blocks.map_err(|_| StoreError::InvalidArgument {
            operation: "open",
            reason: format!("the option `whole_sync_from` must be a number of blocks or `never`, not `{value}`"),
        })?);
    }
    Ok(own)
}

impl ManagedStore for SimpleStore {
    fn driver(&self) -> &'static dyn Driver {
        &DRIVER
    }

    fn format(&self) -> &'static str {
        FORMATS[0]
    }

    fn info(&self) -> Result<StoreInfo, StoreError> {
        Self::info(self)
    }

    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        let file_bytes = Self::info(self)?.file_bytes;
        let cleared = self.handle.cleared_bytes.load(Ordering::Relaxed);
        Ok(match cleared {
            0 => Reclaimed::nothing(file_bytes, NOTHING_TO_MOVE),
            cleared => Reclaimed::new(file_bytes + cleared, file_bytes),
        })
    }

    fn strays(&self) -> Result<Vec<Stray>, StoreError> {
        let tmp = self.handle.paths.tmp();
        let is_unfinished = |path: &Path| {
            path.parent() == Some(&*tmp)
                && path.file_name().and_then(|name| name.to_str()).is_some_and(tables::is_unfinished_name)
        };
        let strays = self.foreign()?;
        Ok(strays.into_iter().map(|path| Stray { unfinished: is_unfinished(&path), path }).collect())
    }

    fn identity(&self) -> FileIdentity {
        Self::identity(self)
    }

    fn into_store(self: Box<Self>) -> Arc<dyn Store> {
        Arc::<Self>::from(self)
    }
}
