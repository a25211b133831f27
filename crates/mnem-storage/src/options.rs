//! Opening and creating a store, whichever backend it is of.

use std::{
    path::{self, Path},
    sync::Arc,
    time::Duration,
};

use mnem_ann_persist::Format;
use mnem_store_traits::{ErrorKind, Store, StoreError};

use crate::{
    Backend, Concurrency,
    detect::{
        Found, damaged_format, empty_file, enclosing_store, has_lost_its_format, has_simple_parts, is_empty_file, look,
        not_a_store,
    },
    opened::Opened,
    place::Place,
};

/// Opens the store at `path`, or creates it there: [`OpenOptions::open`] with `create(true)`.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_or_init(path: impl AsRef<Path>) -> Result<Arc<dyn Store>, StoreError> {
    OpenOptions::new().create(true).open(path)
}

/// How to open a store. What lies on disk decides the backend; only for a new store is there a choice:
///
/// 1. an explicit wish, [`backend`](Self::backend);
/// 2. the path: `.redb` is redb; `.simple`, a trailing slash or an existing empty folder is simple;
/// 3. [`Backend::default_backend`].
///
/// A path that asks for a backend which is not compiled in is an error that names the feature, also where the build has another backend: a
/// new `x.redb` is never a folder of plain files unless that was the explicit wish.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if mnem_storage::Backend::default_backend().is_none() { return Ok(()) }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("memory");
/// use mnem_storage::{ErrorKind, OpenOptions, OpHeadsStore};
///
/// let missing = OpenOptions::new().open(&path).map_err(|error| error.kind());
/// assert_eq!(missing.err(), Some(ErrorKind::NotAStore)); // not made unless asked for
///
/// OpenOptions::new().create(true).open(&path)?.close()?;
///
/// let store = OpenOptions::new().read_only(true).cache_bytes(64 << 20).open(&path)?;
/// assert!(store.heads()?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct OpenOptions {
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) read_only: bool,
    pub(crate) backend: Option<Backend>,
    pub(crate) published_layout: bool,
    pub(crate) check: bool,
    pub(crate) as_it_is: bool,
    pub(crate) cache_bytes: Option<usize>,
    pub(crate) concurrency: Concurrency,
    pub(crate) lock_wait: Option<Duration>,
    pub(crate) without_locks: bool,
    pub(crate) without_folder_sync: bool,
}

/// An open store, with what its backend alone knows of it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Located {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The format in which its k-NN edges are to be stored: see [`OpenOptions::open_with_knn_format`].
    pub knn_format: Format,
    /// Where it was opened, to see later whether it is still there.
    pub place: Place,
}

impl OpenOptions {
    /// Opens an existing store for reading and writing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the store if nothing is at the path.
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Creates the store, and refuses with [`StoreError::InvalidArgument`] if there is one already.
    ///
    /// Looked at before creating: of processes that create the same store at the same moment, all may be told that it is theirs; it is one
    /// store all the same.
    pub fn create_new(mut self, yes: bool) -> Self {
        self.create_new = yes;
        self
    }

    /// Opens for reading only: nothing on disk changes, and writes are refused with [`StoreError::ReadOnly`].
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// The backend of a new store. For an existing one of another backend it is an error.
    pub fn backend(mut self, backend: Option<Backend>) -> Self {
        self.backend = backend;
        self
    }

    /// Asks for the layout of the published `mnem-backend-redb` 0.1.x, so that its programs can use the file too. Only redb has it. An existing file
    /// keeps the layout it has: for one that has the other it is an error.
    ///
    /// Files that those programs made are found and kept in their layout without this.
    pub fn published_layout(mut self, yes: bool) -> Self {
        self.published_layout = yes;
        self
    }

    /// Checks the structure of the whole store while opening it, also where the backend would not (redb: a large file that was closed cleanly).
    /// A simple store has no structure beyond its files and opens as always; [`verify`](crate::verify()) reads those.
    pub fn check(mut self, yes: bool) -> Self {
        self.check = yes;
        self
    }

    /// Opens a damaged store for reading what can still be read of it, and nothing else: without the check of its structure, also after an unclean
    /// close, and without the parts that every store has. Implies [`read_only`](Self::read_only).
    ///
    /// Blocks are hashed as ever, so that bytes are right or there are none. But that a block, a head or a row is absent proves nothing, and rows of
    /// side tables may have other values: no hash protects them. A listing has an error for each place that it cannot read, and goes on
    /// behind it. Whoever wants the content in a whole store again calls [`salvage`](fn@crate::salvage).
    pub fn as_it_is(mut self, yes: bool) -> Self {
        self.as_it_is = yes;
        self
    }

    /// Memory for a cache of the file, in bytes (redb only; the backend's default unless set).
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = Some(bytes);
        self
    }

    /// Who else may have a redb file open meanwhile. See [`Concurrency`].
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// How long to wait for a lock that another process or handle holds, before [`StoreError::Locked`]. The backend's
    /// default unless set: redb, which is locked as long as it is open, does not wait; simple, which locks only to write heads, waits a little.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = Some(wait);
        self
    }

    /// Opens a redb file also where its file system has no file locks, which is refused otherwise. No other process may
    /// have the store open meanwhile, not even for reading: two that write destroy it. Where there are locks they are
    /// taken all the same. Not in a shared [`Concurrency`].
    pub fn without_locks(mut self, yes: bool) -> Self {
        self.without_locks = yes;
        self
    }

    /// Makes and writes to a store also where its file system cannot sync folders, which is refused otherwise. A power
    /// cut may then take the names of new files away; the store's capabilities claim
    /// [`Durability::Process`](crate::Durability::Process). A simple store then syncs no block either, wherever it lies, and is marked for it.
    pub fn without_folder_sync(mut self, yes: bool) -> Self {
        self.without_folder_sync = yes;
        self
    }

    /// Opens, or creates, the store at `path`.
    ///
    /// # Errors
    /// - [`StoreError::NotAStore`]: nothing is there and `create` was not asked for, or something that is no store.
    /// - [`StoreError::Unsupported`]: a store of a backend that is not compiled in; names the feature.
    /// - [`StoreError::InvalidArgument`]: the explicit backend or layout is not the one on disk, or the backend has no such layout; a store is there and `create_new` was asked for; a new store
    ///   would lie inside of a simple one; options that contradict each other.
    /// - The backend's own: [`StoreError::Locked`], [`StoreError::UnsupportedFormat`], [`StoreError::NeedsRecovery`],
    ///   [`StoreError::Damaged`], [`StoreError::Backend`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Arc<dyn Store>, StoreError> {
        Ok(self.open_kind(path.as_ref())?.into_store())
    }

    /// As [`open`](Self::open), with the format in which k-NN edges are to be stored there: that of the program which reads the store. It is
    /// [`Format::Packed`], but for a redb file in the layout of the published crates, whose programs read [`Format::Row`] only.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_knn_format(&self, path: impl AsRef<Path>) -> Result<(Arc<dyn Store>, Format), StoreError> {
        let opened = self.open_kind(path.as_ref())?;
        let format = opened.knn_format();
        Ok((opened.into_store(), format))
    }

    /// Opens a store, and also says what its backend alone knows of it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_located(&self, path: impl AsRef<Path>) -> Result<Located, StoreError> {
        let path = path.as_ref();
        let opened = self.open_kind(path)?;
        let (knn_format, place) = (opened.knn_format(), opened.place(path));
        Ok(Located { store: opened.into_store(), knn_format, place })
    }

    pub(crate) fn open_kind(&self, path: &Path) -> Result<Opened, StoreError> {
        let may_create = self.create || self.create_new;
        if may_create && self.read_only {
            return Err(invalid("a store cannot be created read-only".to_owned()));
        }
        if self.as_it_is && (may_create || self.check) {
            return Err(invalid("a store that is opened as it is is neither created nor checked".to_owned()));
        }
        let found = match look(path) {
            // A redb store may be in the making there: redb knows.
            Err(StoreError::NotAStore { .. }) if may_create && is_empty_file(path) => Found::EmptyFile,
            found => found?,
        };
        if may_create && !matches!(found, Found::Store(_)) {
            refuse_inside_of_a_store(path)?;
        }
        let backend = match found {
            Found::Store(on_disk) => self.existing(path, on_disk)?,
            Found::EmptyFolder if !may_create => return Err(not_a_store(path, "it is an empty folder")),
            Found::Nothing if !may_create => return Err(not_a_store(path, "nothing is there")),
            Found::EmptyFolder | Found::EmptyFile | Found::Nothing => {
                refuse_without_folder(path)?;
                self.new_backend(path, found)?
            }
        };
        if self.published_layout && backend != Backend::Redb {
            return Err(invalid(format!(
                "only a redb file has the published layout, and {} is a {backend} store",
                path.display()
            )));
        }
        if found == Found::EmptyFile && backend != Backend::Redb {
            return Err(empty_file(path));
        }
        tracing::debug!(backend = backend.name(), path = %path.display(), "opening a store");
        Opened::open(backend, path, self).map_err(|error| match error {
            // No other program has these parts beside each other: this is a store, and not whole.
            StoreError::NotAStore { reason, .. }
                if found == Found::Store(Backend::Simple) && (has_simple_parts(path) || has_lost_its_format(path)) =>
            {
                damaged_format(path, reason)
            }
            StoreError::NotAStore { .. } if found == Found::EmptyFile => empty_file(path),
            other => other,
        })
    }

    /// Opens to look at everything, alone and without changing anything: checked, or, where the structure is damaged or cannot be read, as it is.
    /// First what the check found, then the store.
    pub(crate) fn open_to_look(&self, path: &Path) -> (Option<StoreError>, Result<Opened, StoreError>) {
        let options = self.clone().create(false).create_new(false).read_only(true).check(true).as_it_is(false);
        let checked = options.concurrency(Concurrency::ExclusiveWriter).open_kind(path);
        let Err(error @ (StoreError::Damaged { .. } | StoreError::Backend { .. })) = checked else {
            return (None, checked);
        };
        match self.clone().for_what_is_left().open_kind(path) {
            // Not even the file can be read.
            Err(_) if error.kind() == ErrorKind::Backend => (None, Err(error)),
            opened => (Some(error), opened),
        }
    }

    /// The same wishes for what is left of a damaged store.
    pub(crate) fn for_what_is_left(self) -> Self {
        let options = self.create(false).create_new(false).check(false).as_it_is(true);
        options.concurrency(Concurrency::ExclusiveWriter)
    }

    fn existing(&self, path: &Path, on_disk: Backend) -> Result<Backend, StoreError> {
        if self.create_new {
            return Err(invalid(format!("a {on_disk} store is already at {}", path.display())));
        }
        match self.backend {
            Some(wish) if wish != on_disk => {
                Err(invalid(format!("the store at {} is a {on_disk} store, not {wish}", path.display())))
            }
            _ => Ok(on_disk),
        }
    }

    fn new_backend(&self, path: &Path, found: Found) -> Result<Backend, StoreError> {
        let in_folder = found == Found::EmptyFolder;
        if in_folder && self.backend == Some(Backend::Redb) {
            return Err(invalid(format!("a redb store is a file, and {} is a folder", path.display())));
        }
        let by_path = if in_folder { Some(Backend::Simple) } else { by_extension(path) };
        if let (None, Some(asked)) = (self.backend, by_path)
            && !asked.is_compiled_in()
        {
            let feature = asked.feature();
            return Err(StoreError::Unsupported {
                backend: format!("this build: mnem-storage was compiled without its feature `{feature}`"),
                operation: format!(
                    "creating a {asked} store at {}, which the path asks for (another name or OpenOptions::backend asks for another)",
                    path.display()
                ),
            });
        }
        self.backend.or(by_path).or_else(Backend::default_backend).ok_or_else(|| StoreError::Unsupported {
            backend: "this build: mnem-storage was compiled with none of its features `redb` and `simple`".to_owned(),
            operation: format!("creating a store at {}", path.display()),
        })
    }
}

fn by_extension(path: &Path) -> Option<Backend> {
    let ends_with_separator =
        path.as_os_str().as_encoded_bytes().last().is_some_and(|byte| path::is_separator(char::from(*byte)));
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        _ if ends_with_separator => Some(Backend::Simple),
        Some("redb") => Some(Backend::Redb),
        Some("simple") => Some(Backend::Simple),
        _ => None,
    }
}

/// So that every backend says the same of it.
fn refuse_without_folder(path: &Path) -> Result<(), StoreError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(|folder| (folder, folder.try_exists())) {
        Some((folder, Ok(false))) => {
            Err(not_a_store(path, &format!("there is no folder {}; make it first", folder.display())))
        }
        _ => Ok(()),
    }
}

fn refuse_inside_of_a_store(path: &Path) -> Result<(), StoreError> {
    match enclosing_store(path) {
        None => Ok(()),
        Some(store) => {
            let (path, store) = (path.display(), store.display());
            Err(invalid(format!(
                "{path} lies inside of the store {store}: a store is not made in another one's folder"
            )))
        }
    }
}

fn invalid(reason: String) -> StoreError {
    StoreError::InvalidArgument { operation: "open", reason }
}
