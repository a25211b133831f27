//! Errors: the faults of an archive.

use std::{fmt, io};

use crate::foreign::ForeignFormat;

/// The reason why an archive cannot be read further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarError {
    /// The archive has a fault.
    #[error("{fault}, at byte {offset}{}", InSection(*section_offset, *offset))]
    Fault {
        /// The fault.
        fault: CarFault,
        /// Start of the header or section with the fault: the offset of its length, in bytes from the start of the
        /// input.
        section_offset: u64,
        /// Offset of the fault itself, in bytes from the start of the input. If the input ends too early, the offset of
        /// its end.
        offset: u64,
    },
    /// The input could not be read.
    #[error("cannot read the archive after byte {offset}")]
    Io {
        /// Bytes read so far.
        offset: u64,
        /// The error of the input.
        source: io::Error,
    },
}

impl CarError {
    /// The fault of the archive; `None` if the input could not be read.
    pub fn fault(&self) -> Option<&CarFault> {
        match self {
            Self::Fault { fault, .. } => Some(fault),
            Self::Io { .. } => None,
        }
    }

    /// The offset of the fault, or the number of bytes read: in bytes from the start of the input.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Fault { offset, .. } | Self::Io { offset, .. } => *offset,
        }
    }
}

struct InSection(u64, u64);

impl fmt::Display for InSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { Ok(()) } else { write!(f, " in the section at byte {}", self.0) }
    }
}

/// A fault of an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CarFault {
    /// The input is empty.
    #[error("not a CAR archive: the input is empty")]
    Empty,
    /// The input does not begin with a header.
    #[error("not a CAR archive: {what}")]
    NotCar {
        /// The reason.
        what: String,
    },
    /// The input has another format, recognised by its first bytes.
    #[error("not a CAR archive: {format}")]
    OtherFormat {
        /// The format, and what to do with it.
        format: ForeignFormat,
    },
    /// The header is longer than [`HEADER_BYTES_MAX`](crate::HEADER_BYTES_MAX).
    #[error("not a CAR archive: its header would have {header_bytes} bytes, above the limit of {header_bytes_max}")]
    HeaderTooLarge {
        /// The length that it claims.
        header_bytes: u64,
        /// The limit.
        header_bytes_max: u64,
    },
    /// The header names more roots than [`ROOTS_MAX`](crate::ROOTS_MAX).
    #[error("the header has more than {roots_max} roots")]
    TooManyRoots {
        /// The limit.
        roots_max: usize,
    },
    /// A version other than 1 and 2, or a version in a place where it is not allowed.
    #[error("CAR version {version} is not supported {}", if *.inside { "inside a CARv2" } else { "(1 and 2 are)" })]
    UnsupportedVersion {
        /// The version found.
        version: u64,
        /// Whether it is in the payload of a CARv2, where only version 1 is allowed.
        inside: bool,
    },
    /// The fixed header of a CARv2 has an invalid field.
    #[error("invalid CARv2 header: {what}")]
    V2Header {
        /// The field, its value, and the reason.
        what: String,
    },
    /// A length is not a valid unsigned varint.
    #[error("a length is not a valid varint: {what}")]
    Varint {
        /// The rule that it breaks.
        what: &'static str,
    },
    /// The input, or the payload of a CARv2, ends inside a header or section.
    #[error("truncated: bytes missing: {missing_bytes} or more")]
    CutOff {
        /// Number of missing bytes, at least.
        missing_bytes: u64,
    },
    /// A section of length zero.
    #[error("a section has length zero")]
    EmptySection,
    /// The header of another archive, where a section would begin or a CARv2 must end.
    #[error("another archive begins here")]
    SecondArchive,
    /// Sections follow the data of a CARv2: its header covers less than the file holds.
    #[error("a section follows the data of the CARv2, which ends at byte {data_end} according to its header")]
    Uncovered {
        /// Start of the data.
        data_offset: u64,
        /// End of the data, according to the header.
        data_end: u64,
    },
    /// The index of a CARv2 names a section past the end of its data: a part of the archive is missing, or the index is
    /// damaged.
    #[error("the index of the CARv2 points to a section past the end of the data at byte {data_end}")]
    IndexPastData {
        /// End of the data, according to the header.
        data_end: u64,
    },
    /// Zeros up to the end of the input, where a section would begin.
    /// [`Reader::allow_padding`](crate::Reader::allow_padding) accepts them.
    #[error("zeros follow the archive: {padding_bytes} bytes of padding")]
    Padding {
        /// Number of zeros.
        padding_bytes: u64,
    },
    /// Something else follows the last section, or the data or index of a CARv2.
    #[error("the archive is followed by {format}")]
    Trailing {
        /// The format, recognised by its first bytes.
        format: ForeignFormat,
    },
    /// A section, or its block, is larger than allowed.
    #[error("a block of {block_bytes} bytes exceeds the limit of {block_bytes_max}")]
    BlockTooLarge {
        /// The size of the block's data; if its CID cannot be read, the size of the section.
        block_bytes: u64,
        /// The limit.
        block_bytes_max: u64,
    },
    /// A section does not begin with a CID.
    #[error("invalid CID: {what}")]
    BadCid {
        /// The invalid part of the CID, and the reason.
        what: String,
    },
    /// A section is shorter than the CID it begins with.
    #[error("a section of {section_bytes} bytes ends inside its CID")]
    ShorterThanCid {
        /// The length of the section.
        section_bytes: u64,
    },
}
