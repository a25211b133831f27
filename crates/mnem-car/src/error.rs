//! What can be wrong with an archive.

use std::{fmt, io};

use crate::foreign::ForeignFormat;

/// Why an archive cannot be read further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarError {
    /// The archive is faulty.
    #[error("{fault}, at byte {offset}{}", InSection(*section_offset, *offset))]
    Fault {
        /// The fault.
        fault: CarFault,
        /// Where the header or section with the fault begins: the offset of its length, in bytes from the start of the
        /// input.
        section_offset: u64,
        /// Where the fault itself is. For input that ends too early: where it ends.
        offset: u64,
    },
    /// The input could not be read.
    #[error("cannot read the archive after byte {offset}")]
    Io {
        /// How far it was read, in bytes.
        offset: u64,
        /// The failure.
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

    /// Where the fault is, or how far the input was read: in bytes from its start.
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

/// What is wrong with an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CarFault {
    /// The input is empty.
    #[error("not a CAR archive: the input is empty")]
    Empty,
    /// What stands where the header must be is no header.
    #[error("not a CAR archive: {what}")]
    NotCar {
        /// Why it cannot be the header.
        what: String,
    },
    /// The input is of another format, known by its first bytes.
    #[error("not a CAR archive: {format}")]
    OtherFormat {
        /// Which, and what to do with it.
        format: ForeignFormat,
    },
    /// The header is longer than [`HEADER_BYTES_MAX`](crate::HEADER_BYTES_MAX).
    #[error("not a CAR archive: its header would have {header_bytes} bytes, more than the {header_bytes_max} allowed")]
    HeaderTooLarge {
        /// Its length by its own account.
        header_bytes: u64,
        /// The limit.
        header_bytes_max: u64,
    },
    /// The header names more roots than [`ROOTS_MAX`](crate::ROOTS_MAX).
    #[error("the header names more than {roots_max} roots")]
    TooManyRoots {
        /// The limit.
        roots_max: usize,
    },
    /// A version other than 1 and 2, or one where it may not be.
    #[error("CAR version {version} is not supported {}", if *.inside { "inside of a CARv2" } else { "(1 and 2 are)" })]
    UnsupportedVersion {
        /// The version found.
        version: u64,
        /// Whether it stands in the payload of a CARv2, where only 1 may.
        inside: bool,
    },
    /// The fixed header of a CARv2 points to where its data cannot be.
    #[error("the CARv2 header is wrong: {what}")]
    V2Header {
        /// Which field, its value, and why it cannot be.
        what: String,
    },
    /// A length is not encoded as an unsigned varint must be.
    #[error("a length is not a valid varint: {what}")]
    Varint {
        /// Which rule it breaks.
        what: &'static str,
    },
    /// The input, or the payload of a CARv2, ends inside of a header or section.
    #[error("cut off: bytes missing: {missing_bytes}, at least")]
    CutOff {
        /// How many bytes are missing at least.
        missing_bytes: u64,
    },
    /// A section of length zero.
    #[error("a section has length zero")]
    EmptySection,
    /// The header of another archive, where a section would begin or a CARv2 must end.
    #[error("another archive begins here")]
    SecondArchive,
    /// Sections follow the data of a CARv2: its header names less than the file holds.
    #[error("a section follows the data of the CARv2, which ends at byte {data_end} by its header")]
    Uncovered {
        /// Where the data begins.
        data_offset: u64,
        /// Where it ends by the header.
        data_end: u64,
    },
    /// The index of a CARv2 names a section past the end of its data: a part of the archive is missing, or the index is
    /// damaged.
    #[error("the index of the CARv2 names a section past the end of its data at byte {data_end}")]
    IndexPastData {
        /// Where the data ends by the header.
        data_end: u64,
    },
    /// Zeros up to the end, where a section would begin.
    /// [`Reader::allow_padding`](crate::Reader::allow_padding) takes them.
    #[error("the archive is followed by zeros: {padding_bytes} bytes of padding")]
    Padding {
        /// How many.
        padding_bytes: u64,
    },
    /// Something else follows the last section, or the data or index of a CARv2.
    #[error("the archive is followed by {format}")]
    Trailing {
        /// What it is by its first bytes.
        format: ForeignFormat,
    },
    /// A section, or the block in it, is larger than allowed.
    #[error("a block of {block_bytes} bytes is larger than the {block_bytes_max} allowed")]
    BlockTooLarge {
        /// The size of the block's data; where its CID cannot be read, that of the section.
        block_bytes: u64,
        /// The limit.
        block_bytes_max: u64,
    },
    /// What a section begins with is no CID.
    #[error("no valid CID: {what}")]
    BadCid {
        /// Which part of it, and why.
        what: String,
    },
    /// A section is shorter than the CID it begins with.
    #[error("a section of {section_bytes} bytes ends inside of its CID")]
    ShorterThanCid {
        /// The length of the section.
        section_bytes: u64,
    },
}
