//! The names of the files in a store's folder.

use std::path::{Path, PathBuf};

/// The formats that this build reads. A new store gets the first one.
pub const FORMATS: &[&str] = &["mnem-backend-carlog 1"];

/// The paths of a store.
#[derive(Clone, Debug)]
pub(crate) struct Layout(PathBuf);

impl Layout {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self(root)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// Holds the format version and the secrets of the store. The last file of a creation.
    pub(crate) fn format(&self) -> PathBuf {
        self.0.join("format")
    }

    /// The temporary name of `format`.
    pub(crate) fn new_format(&self) -> PathBuf {
        self.0.join("format.new")
    }

    /// The holder of this file's lock may write.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.0.join("manifest")
    }

    pub(crate) fn new_manifest(&self) -> PathBuf {
        self.0.join("manifest.new")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    pub(crate) fn segment(&self, number: u32) -> PathBuf {
        self.0.join(segment_name(number))
    }

    /// An index run.
    pub(crate) fn run(&self, number: u64) -> PathBuf {
        self.0.join(format!("run-{number:06}"))
    }

    /// The rows of all side tables.
    pub(crate) fn rows(&self, number: u64) -> PathBuf {
        self.0.join(format!("rows-{number:06}"))
    }
}

/// Whether a store has a file of this name.
pub(crate) fn is_own(name: &str) -> bool {
    let is_segment = || name.strip_suffix(".car").is_some_and(|name| is_numbered(name, "seg-"));
    matches!(name, "format" | "format.new" | "lock" | "manifest" | "manifest.new" | "state")
        || is_segment()
        || is_index(name)
}

/// The number of the segment with this name.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("seg-")?.strip_suffix(".car")?.parse().ok()?;
    // The name must have the same number of zeros that this crate writes, and no sign.
    (segment_name(number) == name).then_some(number)
}

fn segment_name(number: u32) -> String {
    format!("seg-{number:06}.car")
}

/// Whether it is the name of a run or of a file of rows.
pub(crate) fn is_index(name: &str) -> bool {
    is_numbered(name, "run-") || is_numbered(name, "rows-")
}

fn is_numbered(name: &str, kind: &str) -> bool {
    let number = name.strip_prefix(kind);
    number.is_some_and(|number| number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit()))
}
