//! Warnings about an archive that is complete nevertheless.

use std::fmt;

/// An oddity of a CARv2 that holds every section it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CarWarning {
    /// The kind of oddity.
    pub kind: CarWarningKind,
    /// Its offset, in bytes from the start of the input.
    pub offset: u64,
}

/// Kinds of oddities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CarWarningKind {
    /// The header names an index that is missing: the archive ends before it, or has zeros in its place.
    IndexMissing,
    /// The archive ends inside its index.
    IndexCutOff,
    /// An index follows the data, but the header does not name it.
    IndexNotNamed,
    /// Zeros follow the last part of the archive.
    ZerosAtEnd {
        /// Number of zeros.
        bytes: u64,
    },
}

impl CarWarningKind {
    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::IndexMissing => "index_missing",
            Self::IndexCutOff => "index_cut_off",
            Self::IndexNotNamed => "index_not_named",
            Self::ZerosAtEnd { .. } => "zeros_at_end",
        }
    }
}

impl fmt::Display for CarWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.offset;
        match self.kind {
            CarWarningKind::IndexMissing => {
                write!(f, "the CARv2 header points to an index at byte {offset}, but there is none")
            }
            CarWarningKind::IndexCutOff => {
                write!(f, "the CARv2 ends inside its index, which begins at byte {offset}")
            }
            CarWarningKind::IndexNotNamed => {
                write!(f, "the CARv2 has an index at byte {offset}, but its header does not point to it")
            }
            CarWarningKind::ZerosAtEnd { bytes } => {
                write!(f, "zeros follow the CARv2 from byte {offset} on ({bytes} bytes)")
            }
        }
    }
}
