//! The global options at work: how to open the store, and how to print.

use std::{
    env, fmt,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use mnem_storage::{Durability, OpenOptions, Store, StoreError, driver::Location};

use crate::{
    args::{Global, Mode, When},
    commands::Command,
    drivers,
    error::{Failure, Result},
    hints::quoted,
    limits::{ARCHIVE_EXTENSIONS, CACHE_BYTES_USUAL, COLLECTING_CACHE_BYTES, READING_CACHE_BYTES},
    memory,
    output::Out,
    progress::Bar,
    target::Target,
    terminal::{self, Printable},
    typed_paths::TypedPaths,
};

/// Whether the extension of a path is that of an archive or a compressed file.
pub(crate) fn is_archive_name(path: &Path) -> bool {
    let is = |known: &&str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(known));
    ARCHIVE_EXTENSIONS.iter().any(is)
}

/// The global options of this run.
#[derive(Clone)]
pub(crate) struct Context {
    global: Global,
    /// The stores that this run uses.
    typed: TypedPaths,
}

impl Context {
    pub(crate) fn new(global: Global, command: &Command) -> Self {
        let mut context = Self { global, typed: TypedPaths::default() };
        let named = context.store_path().filter(|_| command.uses_store());
        context.typed = named.as_deref().into_iter().chain(command.stores()).collect();
        context
    }

    /// A message with the paths of stores as the user typed them.
    pub(crate) fn as_typed(&self, text: String) -> String {
        self.typed.in_text(text)
    }

    /// The path of the store: `--store`, else `MNEM_STORE`.
    pub(crate) fn store_path(&self) -> Option<PathBuf> {
        let from_environment = || env::var_os("MNEM_STORE").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.global.store.clone().or_else(from_environment)
    }

    /// The value of `--store`.
    pub(crate) fn typed_store(&self) -> Option<&Path> {
        self.global.store.as_deref()
    }

    /// As [`store_path`](Self::store_path); fails if there is none.
    pub(crate) fn path(&self) -> Result<PathBuf> {
        self.store_path().ok_or_else(|| Failure::Usage {
            message: "no store given".into(),
            hint: "give --store PATH or set MNEM_STORE".into(),
        })
    }

    /// Refuses a URL with a secret, before anything prints it: the list of processes and the shell's history have it too.
    pub(crate) fn refuse_secrets(&self, command: &Command) -> Result<()> {
        let named = self.store_path();
        for path in named.as_deref().into_iter().chain(command.stores()) {
            let at = Location::from(path);
            if let Some(part) = at.secret_part() {
                return Err(Failure::Usage {
                    message: format!("{at}: the URL contains a secret, {part}"),
                    hint: "set the credentials in the environment, such as AWS_ACCESS_KEY_ID and \
                           AWS_SECRET_ACCESS_KEY, and revoke those that were typed"
                        .into(),
                });
            }
        }
        Ok(())
    }

    /// The options for opening an existing store. The caller sets the access mode.
    pub(crate) fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new()
            .drivers(drivers::all().iter().copied())
            .sharing(self.global.sharing.into())
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

    /// As [`options`](Self::options), for commands that read: with a small cache.
    pub(crate) fn reading_options(&self) -> OpenOptions {
        self.options().cache_bytes(self.cache_bytes(READING_CACHE_BYTES))
    }

    /// As [`reading_options`](Self::reading_options), with a check of the store's structure: for commands that make a
    /// replacement of the store. Structural damage can hide a block or a head without any error.
    ///
    /// A shared mode skips the check: a reader cannot check a file that other processes write to.
    pub(crate) fn checked_options(&self) -> OpenOptions {
        self.reading_options().check_for_reading(self.global.sharing == Mode::Exclusive)
    }

    /// The size of the cache: `--cache`, else `usual`, reduced under a memory limit.
    fn cache_bytes(&self, usual: usize) -> usize {
        match self.global.cache {
            Some(typed) => usize::try_from(typed.as_u64()).unwrap_or(usize::MAX),
            None => memory::cache_bytes(usual),
        }
    }

    /// The options for a store that may be created, with this backend and format if given.
    pub(crate) fn options_for_new(&self, backend: Option<&str>, format: Option<&str>) -> OpenOptions {
        let options = backend.into_iter().fold(self.options(), OpenOptions::backend);
        format.into_iter().fold(options, OpenOptions::format)
    }

    /// Refuses to create a store with the name of an archive, unless `--backend` is given. `from`: the source of a copy.
    pub(crate) fn refuse_archive_name(&self, path: &Path, backend: Option<&str>, from: Option<&Path>) -> Result<()> {
        if backend.is_some() || !is_archive_name(path) || path.symlink_metadata().is_ok() {
            return Ok(());
        }
        let from = from.map_or_else(String::new, |from| format!(" --store {}", quoted(from)));
        Err(Failure::Usage {
            message: format!("{} is named like an archive, but this command creates a store", path.display()),
            hint: format!(
                "run `mnem-store export {}{from}` to write an archive, or give --backend to create a store of that name",
                quoted(&path.with_extension("car"))
            ),
        })
    }

    /// Opens the store read-only.
    pub(crate) fn open_read_only(&self) -> Result<Arc<dyn Store>> {
        self.open_for_reading(self.reading_options())
    }

    /// Opens the store read-only, and checks its structure: see [`checked_options`](Self::checked_options).
    pub(crate) fn open_read_only_checked(&self) -> Result<Arc<dyn Store>> {
        self.open_for_reading(self.checked_options())
    }

    /// As [`open_read_only`](Self::open_read_only), of the store at this path.
    pub(crate) fn open_read_only_at(&self, path: &Path) -> std::result::Result<Arc<dyn Store>, StoreError> {
        self.note(format_args!("opening {} for reading", path.display()));
        self.reading_options().read_only(true).open(path)
    }

    fn open_for_reading(&self, options: OpenOptions) -> Result<Arc<dyn Store>> {
        let path = self.path()?;
        self.note(format_args!("opening {} for reading", path.display()));
        Ok(options.read_only(true).open(path)?)
    }

    /// Opens an existing store for writing.
    pub(crate) fn open(&self) -> Result<Target> {
        let path = self.path()?;
        self.note(format_args!("opening {}", path.display()));
        Ok(Target::open(&self.options(), path)?)
    }

    /// The mode of sharing, if it is not the default.
    pub(crate) fn is_shared(&self) -> bool {
        self.global.sharing != Mode::Exclusive
    }

    /// Opens an existing store for a collection: for writing, exclusively, after a check of its structure.
    pub(crate) fn open_exclusive(&self) -> Result<Target> {
        let path = self.path()?;
        self.note(format_args!("opening {} exclusively", path.display()));
        let options = self.options().cache_bytes(self.cache_bytes(COLLECTING_CACHE_BYTES));
        Ok(Target::open(&options.check(true).exclusive(true), path)?)
    }

    /// Opens the store for writing; creates it if nothing is there.
    pub(crate) fn open_or_create(&self, backend: Option<&str>) -> Result<Target> {
        let path = self.path()?;
        self.refuse_archive_name(&path, backend, None)?;
        self.note(format_args!("opening or creating {}", path.display()));
        Ok(Target::open(&self.options_for_new(backend, None).create(true), path)?)
    }

    /// Standard output, buffered, with every write checked.
    pub(crate) fn out(&self) -> Out {
        Out::new(self.global.json, self.global.quiet)
    }

    /// A progress bar, as the options configure it.
    pub(crate) fn bar(&self, what: &'static str) -> Bar {
        Bar::new(what, self.global.progress, self.global.quiet)
    }

    /// A progress bar for a listing; hidden by default if the listing itself goes to the terminal.
    pub(crate) fn bar_beside_output(&self, what: &'static str) -> Bar {
        let seen = self.global.progress == When::Auto && io::stdout().is_terminal();
        Bar::new(what, if seen { When::Never } else { self.global.progress }, self.global.quiet)
    }

    /// Whether `--lock-wait` is given.
    pub(crate) fn waits_for_locks(&self) -> bool {
        self.global.lock_wait.is_some()
    }

    /// How many times `-v` is given.
    pub(crate) fn verbosity(&self) -> u8 {
        self.global.verbose
    }

    pub(crate) fn json(&self) -> bool {
        self.global.json
    }

    pub(crate) fn quiet(&self) -> bool {
        self.global.quiet
    }

    /// Prints a note on standard error if `-v` is given.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if self.global.verbose > 0 {
            terminal::say(format_args!("note: {}", Printable(text)));
        }
    }

    /// Prints a note on standard error, except with `--quiet` or `--json`.
    pub(crate) fn remark(&self, text: impl fmt::Display) {
        self.say("note", text);
    }

    /// As [`remark`](Self::remark), with `--quiet` too: for work that the user may wrongly believe to be done.
    pub(crate) fn insist(&self, text: impl fmt::Display) {
        if !self.global.json {
            terminal::say(format_args!("note: {}", Printable(text)));
        }
    }

    /// As [`remark`](Self::remark), labelled as a warning.
    pub(crate) fn warn(&self, text: impl fmt::Display) {
        self.say("warning", text);
    }

    fn say(&self, label: &str, text: impl fmt::Display) {
        if !self.global.quiet && !self.global.json {
            terminal::say(format_args!("{label}: {}", Printable(self.as_typed(text.to_string()))));
        }
    }
}
