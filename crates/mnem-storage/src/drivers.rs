//! The list of backends. No other module names one.

use std::path::Path;

use mnem_store_traits::driver::{Driver, Location};

/// The drivers of the compiled-in backends, in order of preference. The first one creates new stores, unless the location
/// or the caller selects another.
pub static DRIVERS: &[&dyn Driver] = &[
    #[cfg(feature = "redb")]
    &mnem_backend_redb::DRIVER,
    // Before simple, which suits every folder: `x.carlog/` is a carlog store.
    #[cfg(feature = "carlog")]
    &mnem_backend_carlog::DRIVER,
    #[cfg(feature = "simple")]
    &mnem_backend_simple::DRIVER,
    // Last: without `--backend`, no path but `x.bucket` leads to it.
    #[cfg(feature = "bucket")]
    &mnem_backend_bucket::DRIVER,
];

/// Facts about a backend's stores, for builds without it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Backend {
    /// Its name, which is also the name of its Cargo feature in this crate.
    pub name: &'static str,
    /// The extension that selects this backend for a new store.
    pub extension: &'static str,
    /// The schemes of its URLs.
    pub(crate) schemes: &'static [&'static str],
    /// The signature of its stores.
    pub(crate) sign: Sign,
}

/// The signature of a backend's stores.
#[derive(Debug)]
pub(crate) enum Sign {
    /// A file that begins with these bytes.
    FileBegins(&'static [u8]),
    /// A folder with a file of this name that begins with these bytes.
    FolderWith(&'static str, &'static [u8]),
}

/// Every backend of this crate, compiled in or not, so that a build without one can name what is missing.
pub static BACKENDS: &[Backend] = &[
    Backend { name: "redb", extension: "redb", schemes: &[], sign: Sign::FileBegins(b"redb\x1a\x0a\xa9\x0d\x0a") },
    Backend {
        name: "simple",
        extension: "simple",
        schemes: &[],
        sign: Sign::FolderWith("format", b"mnem-backend-simple "),
    },
    Backend {
        name: "carlog",
        extension: "carlog",
        schemes: &[],
        sign: Sign::FolderWith("format", b"mnem-backend-carlog "),
    },
    Backend {
        name: "bucket",
        extension: "bucket",
        schemes: &["s3", "s3a", "gs", "az", "abfs", "file"],
        sign: Sign::FolderWith("mnem", b"mnem-backend-bucket "),
    },
];

impl Backend {
    /// Whether the location selects this backend for a new store: by its scheme, by its extension, by a trailing separator,
    /// or because it is a folder.
    pub(crate) fn suits(&self, at: &Location) -> bool {
        if let Some(scheme) = at.scheme() {
            return self.schemes.contains(&&*scheme);
        }
        let is_folder = || at.ends_with_separator() || at.as_path().is_some_and(Path::is_dir);
        at.as_path().is_some()
            && (self.is_extension_of(at)
                // A folder does not select a backend whose locations are URLs.
                || (self.schemes.is_empty() && matches!(self.sign, Sign::FolderWith(..)) && is_folder()))
    }

    /// Whether the extension of the location selects this backend.
    pub(crate) fn is_extension_of(&self, at: &Location) -> bool {
        at.as_path().is_some() && at.extension().is_some_and(|extension| extension == self.extension)
    }

    /// Whether this build can open its stores.
    pub fn is_compiled_in(&self) -> bool {
        DRIVERS.iter().any(|driver| driver.name() == self.name)
    }
}
