//! What can be wrong with an archive.

use std::{fmt, io};

use mnem_store_traits::{Cid, StoreError};

use super::{ImportErrorKind, foreign::ForeignFormat};

/// A fault in an archive, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at byte {offset}{}", InSection(*section_offset, *offset))]
#[non_exhaustive]
pub struct CarError {
    /// What is wrong.
    pub fault: CarFault,
    /// Where the header or section with the fault begins: the offset of its length, in bytes from the start of the input.
    pub section_offset: u64,
    /// Where the fault itself is. For input that ends too early: where it ends.
    pub offset: u64,
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
    /// The header is longer than [`HEADER_BYTES_MAX`](super::HEADER_BYTES_MAX).
    #[error("not a CAR archive: its header would have {header_bytes} bytes, more than the {header_bytes_max} allowed")]
    HeaderTooLarge {
        /// Its length by its own account.
        header_bytes: u64,
        /// The limit.
        header_bytes_max: u64,
    },
    /// The header names more roots than [`ROOTS_MAX`](super::ROOTS_MAX).
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
    /// [`ImportOptions::allow_padding`](super::ImportOptions::allow_padding) takes them.
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
        /// The block's size; where its CID has not been read, the size of the section.
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
    /// The bytes of a block are not what its CID names.
    #[error("bytes do not match the CID {cid}: they hash to {actual}")]
    WrongBytes {
        /// The CID in the section.
        cid: Box<Cid>,
        /// The CID that the bytes have.
        actual: Box<Cid>,
    },
    /// A block whose hash this build cannot compute.
    #[error("{}", StoreError::UnsupportedHash { cid: **cid, code: *code, digest_bytes: *digest_bytes })]
    UnsupportedHash {
        /// The CID in the section.
        cid: Box<Cid>,
        /// Multihash code.
        code: u64,
        /// Length of the digest, in bytes.
        digest_bytes: u8,
    },
}

/// Why a [`Reader`](super::Reader) could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The archive is faulty.
    #[error(transparent)]
    Archive(#[from] CarError),
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
    /// What went wrong, to branch on.
    pub fn kind(&self) -> ImportErrorKind {
        match self.fault {
            CarFault::Empty
            | CarFault::NotCar { .. }
            | CarFault::OtherFormat { .. }
            | CarFault::HeaderTooLarge { .. } => ImportErrorKind::NotCar,
            CarFault::UnsupportedVersion { .. } => ImportErrorKind::UnsupportedVersion,
            CarFault::TooManyRoots { .. }
            | CarFault::V2Header { .. }
            | CarFault::Varint { .. }
            | CarFault::EmptySection
            | CarFault::SecondArchive
            | CarFault::Uncovered { .. }
            | CarFault::IndexPastData { .. }
            | CarFault::Padding { .. }
            | CarFault::Trailing { .. }
            | CarFault::BadCid { .. }
            | CarFault::ShorterThanCid { .. } => ImportErrorKind::Malformed,
            CarFault::CutOff { .. } => ImportErrorKind::CutOff,
            CarFault::BlockTooLarge { .. } => ImportErrorKind::BlockTooLarge,
            CarFault::WrongBytes { .. } => ImportErrorKind::WrongBytes,
            CarFault::UnsupportedHash { .. } => ImportErrorKind::UnsupportedHash,
        }
    }
}
