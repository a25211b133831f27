//! The driver: recognizes the stores of this backend, and opens them with the options that all backends share.

use std::{fs, io::Read as _, path::Path, sync::Arc, time::Duration};

use mnem_store_traits::{
    Bytes, Cid, Store, StoreError,
    driver::{Driver, Entry, FileIdentity, Location, ManagedStore, OpenOptions, Probe, RawScan, Reclaimed, StoreInfo},
};

use crate::{
    CarlogStore,
    engine::{files::StdFiles, keys::FORMAT_NAME},
    error::{BACKEND, at},
    limits::LOCK_WAIT,
    raw,
    tables::{FORMATS, Layout, is_own},
};

/// The driver of [`CarlogStore`], whose stores are folders of CAR files.
pub static DRIVER: CarlogDriver = CarlogDriver;

/// The type of [`DRIVER`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CarlogDriver;

impl Driver for CarlogDriver {
    fn name(&self) -> &'static str {
        BACKEND
    }

    fn about(&self) -> &'static str {
        "a log of CAR files"
    }

    fn formats(&self) -> &'static [&'static str] {
        FORMATS
    }

    fn adopts(&self) -> bool {
        true
    }

    fn lock_wait(&self) -> Duration {
        LOCK_WAIT
    }

    fn suits(&self, at: &Location) -> bool {
        at.as_path().is_some() && at.extension().is_some_and(|extension| extension == BACKEND)
    }

    fn trial_place(&self, folder: &Path) -> Location {
        folder.join("store.carlog").into()
    }

    fn probe(&self, at: &Location) -> Result<Probe, StoreError> {
        let Location::Path(path) = at else { return Ok(Probe::Foreign("it is a URL, not a folder".into())) };
        Ok(match Entry::at(path, BACKEND)? {
            Entry::Absent => Probe::Absent,
            // A store of another backend may begin as an empty folder too.
            Entry::EmptyFolder if self.suits(at) => Probe::Unfinished,
            Entry::EmptyFolder => Probe::Absent,
            Entry::Folder => probe_folder(path)?,
            Entry::File(_) => Probe::Foreign("it is a file, not a folder".into()),
            Entry::Other(what) => Probe::Foreign(what.into()),
            _ => Probe::Foreign("it is not a folder".into()),
        })
    }

    fn open(&self, at: &Location, options: &OpenOptions) -> Result<Box<dyn ManagedStore>, StoreError> {
        let requested = options.requested();
        requested.check(self)?;
        requested.check_names(self, self.option_names())?;
        let Location::Path(path) = at else {
            let reason = "it is a URL, and a carlog store is a folder".to_owned();
            return Err(StoreError::NotAStore { location: at.clone(), reason });
        };
        let mut own = crate::OpenOptions::new()
            .create(requested.may_create())
            .read_only(requested.never_writes())
            .lock_wait(requested.lock_wait.unwrap_or(LOCK_WAIT));
        own.create_new = requested.create_new;
        if let Some(bytes) = requested.cache_bytes {
            own = own.index_memory(bytes);
        }
        Ok(Box::new(own.open(path)?))
    }

    fn scan_raw(&self, at: &Location, _options: &OpenOptions) -> Result<Option<Box<dyn RawScan>>, StoreError> {
        match at.as_path() {
            Some(path) => raw::scan(Arc::new(StdFiles), path),
            None => Ok(None),
        }
    }
}

/// Probes a folder that is not empty.
fn probe_folder(path: &Path) -> Result<Probe, StoreError> {
    let layout = Layout::new(path.to_owned());
    if let Some(begin) = begin_of(&layout.format(), FORMAT_NAME.len() + 1)? {
        let is_ours = begin.strip_prefix(FORMAT_NAME.as_bytes()) == Some(b" ");
        return Ok(if is_ours {
            Probe::Store
        } else {
            Probe::Foreign("the folder has a `format` file of another program".into())
        });
    }
    let mut has_commits = false;
    for entry in fs::read_dir(path).map_err(at("list", path))? {
        let entry = entry.map_err(at("list", path))?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_own) {
            return Ok(Probe::Foreign(format!("the folder holds `{}` and no `format` file", name.display())));
        }
        let is_segment = Path::new(&name).extension().is_some_and(|extension| extension == "car");
        has_commits |= is_segment && entry.metadata().is_ok_and(|found| found.len() > 0);
    }
    // Another process may have finished the creation meanwhile.
    if begin_of(&layout.format(), 1)?.is_some() {
        return Ok(Probe::Store);
    }
    Ok(if has_commits {
        Probe::Damaged("the file `format` is missing, but the log holds commits".into())
    } else {
        Probe::Unfinished
    })
}

/// The first bytes of a regular file, or `None` if nothing is there.
fn begin_of(path: &Path, bytes: usize) -> Result<Option<Vec<u8>>, StoreError> {
    match Entry::at(path, BACKEND)? {
        Entry::Absent => return Ok(None),
        Entry::File(_) => {}
        _ => return Ok(Some(Vec::new())),
    }
    let mut begin = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(bytes as u64).read_to_end(&mut begin));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(|_| Some(begin)).map_err(at("read", path)),
    }
}

impl ManagedStore for CarlogStore {
    fn driver(&self) -> &'static dyn Driver {
        &DRIVER
    }

    fn format(&self) -> &'static str {
        FORMATS.first().copied().unwrap_or_default()
    }

    fn info(&self) -> Result<StoreInfo, StoreError> {
        self.info()
    }

    fn compact(&mut self) -> Result<Reclaimed, StoreError> {
        Self::compact(self)
    }

    fn adopt(&self, blocks: &[(Cid, Bytes)]) -> Result<u64, StoreError> {
        self.adopt(blocks)
    }

    fn identity(&self) -> FileIdentity {
        self.identity()
    }

    fn into_store(self: Box<Self>) -> Arc<dyn Store> {
        Arc::<Self>::from(self)
    }
}
