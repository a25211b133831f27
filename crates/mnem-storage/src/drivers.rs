//! Which backends there are: the only module that names them.

use std::path::Path;

use mnem_store_traits::driver::{Driver, Location};

/// The drivers of the backends that this build has, in order of preference: the first one makes new stores whose place and creator do not
/// say otherwise.
pub static DRIVERS: &[&dyn Driver] = &[
    #[cfg(feature = "redb")]
    &mnem_backend_redb::DRIVER,
    #[cfg(feature = "simple")]
    &mnem_backend_simple::DRIVER,
];

/// What is known of a backend's stores in builds without it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Backend {
    /// Its name, which is also that of the Cargo feature of this crate that adds it.
    pub name: &'static str,
    /// The extension that asks for a new store of it.
    pub extension: &'static str,
    /// What tells its stores from anything else.
    pub(crate) sign: Sign,
}

/// What tells a backend's stores from anything else.
#[derive(Debug)]
pub(crate) enum Sign {
    /// A file that begins so.
    FileBegins(&'static [u8]),
    /// A folder with a file of this name, which begins so.
    FolderWith(&'static str, &'static [u8]),
}

/// Every backend of this crate, whether this build has it or not, so that a build without one says what is missing.
pub static BACKENDS: &[Backend] = &[
    Backend { name: "redb", extension: "redb", sign: Sign::FileBegins(b"redb\x1a\x0a\xa9\x0d\x0a") },
    Backend { name: "simple", extension: "simple", sign: Sign::FolderWith("format", b"mnem-backend-simple ") },
];

impl Backend {
    /// Whether a new store at the place is to be one of its: by extension, or by a folder that is meant or there.
    pub(crate) fn suits(&self, at: &Location) -> bool {
        let is_folder = || at.ends_with_separator() || at.as_path().is_some_and(Path::is_dir);
        at.as_path().is_some()
            && (at.extension().is_some_and(|extension| extension == self.extension)
                || (matches!(self.sign, Sign::FolderWith(..)) && is_folder()))
    }

    /// Whether this build can open its stores.
    pub fn is_compiled_in(&self) -> bool {
        DRIVERS.iter().any(|driver| driver.name() == self.name)
    }
}
