//! Which backends there are, and which of them this build has.

use std::{fmt, str::FromStr};

#[cfg(not(all(feature = "redb", feature = "simple")))]
use mnem_store_traits::StoreError;
use serde::{Serialize, Serializer};

/// A way of keeping a store on disk. All of them are named in every build; [`is_compiled_in`](Self::is_compiled_in) says which can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Backend {
    /// One redb file: the production backend. Cargo feature `redb`.
    Redb,
    /// A folder with one plain file for each block. Cargo feature `simple`.
    Simple,
}

/// A text that names no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no backend is called {name:?}: there are redb and simple")]
pub struct ParseBackendError {
    name: String,
}

impl Backend {
    /// Every backend, compiled in or not, in order of preference.
    pub const ALL: [Self; 2] = [Self::Redb, Self::Simple];

    /// Its name: `redb`, `simple`. What `Display` writes and `FromStr` reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Simple => "simple",
        }
    }

    /// The Cargo feature of `mnem-storage` that compiles it in.
    pub fn feature(self) -> &'static str {
        self.name()
    }

    /// Whether this build can open such stores.
    pub fn is_compiled_in(self) -> bool {
        match self {
            Self::Redb => cfg!(feature = "redb"),
            Self::Simple => cfg!(feature = "simple"),
        }
    }

    /// The formats on disk that this build opens, as [`StoreInfo::format`](crate::StoreInfo::format) says them, that of new stores first. None
    /// if the backend is not compiled in.
    pub fn formats(self) -> &'static [&'static str] {
        crate::opened::formats(self)
    }

    /// The backends of this build, in order of preference.
    pub fn compiled_in() -> Vec<Self> {
        Self::ALL.into_iter().filter(|backend| backend.is_compiled_in()).collect()
    }

    /// The backend of a new store whose path and creator do not say otherwise: the first one compiled in, redb before simple.
    pub fn default_backend() -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.is_compiled_in())
    }

    /// The error for a store of this backend in a build without it.
    #[cfg(not(all(feature = "redb", feature = "simple")))]
    pub(crate) fn not_compiled_in(self, operation: String) -> StoreError {
        StoreError::Unsupported {
            backend: format!("this build: mnem-storage was compiled without its feature `{}`", self.feature()),
            operation,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = ParseBackendError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|backend| backend.name() == name);
        found.ok_or_else(|| ParseBackendError { name: name.to_owned() })
    }
}

impl Serialize for Backend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
