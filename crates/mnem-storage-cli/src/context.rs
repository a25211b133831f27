//! What every command needs: the options for all of them, and the store.

use std::{
    env, fmt,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_storage::{Durability, OpenOptions, Store, StoreError};

use crate::{
    args::{Global, Mode, When},
    drivers,
    error::{Failure, Result},
    hints::quoted,
    limits::{ARCHIVE_EXTENSIONS, CACHE_BYTES_USUAL, LISTING_CACHE_BYTES},
    memory,
    output::Out,
    progress::Bar,
    target::Target,
    terminal::{self, Printable},
};

/// Whether a path is named as archives and packed files are.
pub(crate) fn is_archive_name(path: &Path) -> bool {
    let is = |known: &&str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(known));
    ARCHIVE_EXTENSIONS.iter().any(is)
}

/// The options for every command, at work.
#[derive(Clone)]
pub(crate) struct Context {
    global: Global,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    /// Where the store is to be, if anywhere: `--store`, else the environment.
    pub(crate) fn store_path(&self) -> Option<PathBuf> {
        let from_environment = || env::var_os("MNEM_STORE").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.global.store.clone().or_else(from_environment)
    }

    /// What stands behind `--store`.
    pub(crate) fn typed_store(&self) -> Option<&Path> {
        self.global.store.as_deref()
    }

    /// Where the store is.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        self.store_path().ok_or_else(|| Failure::Usage {
            message: "no store was named".into(),
            hint: "give --store PATH, or set MNEM_STORE".into(),
        })
    }

    /// How to open an existing store, apart from reading or writing.
    pub(crate) fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new()
            .drivers(drivers::all().iter().copied())
            .sharing(self.global.concurrency.into())
            .cache_bytes(self.cache_bytes(CACHE_BYTES_USUAL))
            .without_locks(self.global.without_locks);
        if self.global.without_folder_sync {
            options = options.durability(Durability::Process);
        }
        if let Some(wait) = self.global.lock_wait {
            options = options.lock_wait(wait);
        }
        options
    }

    /// The same for a command that deletes what it does not find needed, or makes what others rely on in place of the
    /// store: the structure is checked. In a damaged file a block or a head may be missing without a sign.
    ///
    /// Not in a mode in which others may write meanwhile: a reader cannot check there.
    pub(crate) fn checked_options(&self) -> OpenOptions {
        self.options().check(self.global.concurrency == Mode::Exclusive)
    }

    /// Memory for a cache: what was typed, else this, or less where there is a limit of memory.
    fn cache_bytes(&self, usual: usize) -> usize {
        match self.global.cache {
            Some(typed) => usize::try_from(typed.as_u64()).unwrap_or(usize::MAX),
            None => memory::cache_bytes(usual),
        }
    }

    /// How to open a store that may be made, of this backend and format if any is named.
    pub(crate) fn options_for_new(&self, backend: Option<&str>, format: Option<&str>) -> OpenOptions {
        let options = backend.into_iter().fold(self.options(), OpenOptions::backend);
        format.into_iter().fold(options, OpenOptions::format)
    }

    /// Refuses to make a store under the name of an archive, which an option for the backend would ask for in so many words. `from`: the store that is
    /// to go there, if any.
    pub(crate) fn refuse_archive_name(&self, path: &Path, backend: Option<&str>, from: Option<&Path>) -> Result<()> {
        if backend.is_some() || !is_archive_name(path) || path.symlink_metadata().is_ok() {
            return Ok(());
        }
        let from = from.map_or_else(String::new, |from| format!(" --store {}", quoted(from)));
        Err(Failure::Usage {
            message: format!("{} has the name of an archive, and this makes a store", path.display()),
            hint: format!(
                "`mnem-store export {}{from}` writes an archive; --backend makes a store of that name",
                quoted(&path.with_extension("car"))
            ),
        })
    }

    /// The store, for reading only.
    pub(crate) fn open_read_only(&self) -> Result<Arc<dyn Store>> {
        self.open_for_reading(self.options())
    }

    /// As [`open_read_only`](Self::open_read_only), with the structure checked: see
    /// [`checked_options`](Self::checked_options).
    pub(crate) fn open_read_only_checked(&self) -> Result<Arc<dyn Store>> {
        self.open_for_reading(self.checked_options())
    }

    /// The store, for reading only what is read once: with a cache so small that memory does not grow with the store.
    pub(crate) fn open_for_listing(&self) -> Result<Arc<dyn Store>> {
        self.open_for_reading(self.options().cache_bytes(self.cache_bytes(LISTING_CACHE_BYTES)))
    }

    /// As [`open_for_listing`](Self::open_for_listing), of the store at this path.
    pub(crate) fn open_for_listing_at(&self, path: &Path) -> std::result::Result<Arc<dyn Store>, StoreError> {
        self.note(format_args!("opening {} for reading", path.display()));
        self.options().cache_bytes(self.cache_bytes(LISTING_CACHE_BYTES)).read_only(true).open(path)
    }

    fn open_for_reading(&self, options: OpenOptions) -> Result<Arc<dyn Store>> {
        let path = self.path()?;
        self.note(format_args!("opening {} for reading", path.display()));
        Ok(options.read_only(true).open(path)?)
    }

    /// The store, for writing. It must be there.
    pub(crate) fn open(&self) -> Result<Target> {
        let path = self.path()?;
        self.note(format_args!("opening {}", path.display()));
        Ok(Target::open(&self.options(), path)?)
    }

    /// The store, for writing, with no other writer beside this one. It must be there.
    pub(crate) fn open_exclusive(&self) -> Result<Target> {
        let path = self.path()?;
        self.note(format_args!("opening {}, for this command alone", path.display()));
        Ok(Target::open(&self.checked_options().exclusive(true), path)?)
    }

    /// The store, for writing a lot; made if nothing is there.
    pub(crate) fn open_or_create(&self, backend: Option<&str>) -> Result<Target> {
        let path = self.path()?;
        self.refuse_archive_name(&path, backend, None)?;
        self.note(format_args!("opening or making {}", path.display()));
        Ok(Target::open(&self.options_for_new(backend, None).create(true), path)?)
    }

    /// Standard output, checked and buffered.
    pub(crate) fn out(&self) -> Out {
        Out::new(self.global.json, self.global.quiet)
    }

    /// Shows progress of long work, as the options say.
    pub(crate) fn bar(&self, what: &'static str) -> Bar {
        Bar::new(what, self.global.progress, self.global.quiet)
    }

    /// Shows progress of a long listing, unless the listing itself is what one sees.
    pub(crate) fn bar_beside_output(&self, what: &'static str) -> Bar {
        let seen = self.global.progress == When::Auto && io::stdout().is_terminal();
        Bar::new(what, if seen { When::Never } else { self.global.progress }, self.global.quiet)
    }

    /// Whether the command line says how long to wait for a lock.
    pub(crate) fn waits_for_locks(&self) -> bool {
        self.global.lock_wait.is_some()
    }

    /// How often `-v` was given.
    pub(crate) fn verbosity(&self) -> u8 {
        self.global.verbose
    }

    pub(crate) fn json(&self) -> bool {
        self.global.json
    }

    pub(crate) fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// Says something on standard error with `-v`.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if self.global.verbose > 0 {
            terminal::say(format_args!("note: {}", Printable(text)));
        }
    }

    /// Says something on standard error, unless told to be quiet or to speak JSON.
    pub(crate) fn remark(&self, text: impl fmt::Display) {
        self.say("note", text);
    }

    /// As [`remark`](Self::remark), also with `--quiet`: without it, somebody would take work for done that is not.
    pub(crate) fn insist(&self, text: impl fmt::Display) {
        if !self.global.json {
            terminal::say(format_args!("note: {}", Printable(text)));
        }
    }

    /// As [`remark`](Self::remark), of something odd.
    pub(crate) fn warn(&self, text: impl fmt::Display) {
        self.say("warning", text);
    }

    fn say(&self, label: &str, text: impl fmt::Display) {
        if !self.global.quiet && !self.global.json {
            terminal::say(format_args!("{label}: {}", Printable(text)));
        }
    }
}
