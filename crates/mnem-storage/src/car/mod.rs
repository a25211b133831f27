//! CAR archives: importing them into a store and exporting them.
//!
//! Exports are CARv1, and the same store gives the same bytes. Imports read CARv1 and CARv2 as a stream, with bounded
//! memory, and hash each block. The codec is the crate `mnem-car`, which can be used without a store; its public names
//! are re-exported here.
//!
//! ```
//! use mnem_storage::{
//!     BlockstoreExt, Bytes, MemoryStore, OpHeadsStore, RAW,
//!     car::{self, ExportOptions, ImportOptions},
//! };
//!
//! let store = MemoryStore::new();
//! let op = store.put_as(RAW, Bytes::from_static(b"an operation"))?;
//! store.update(&op, &[])?;
//! let mut archive = Vec::new();
//! car::export(&store, &mut archive, &ExportOptions::new(), &mut mnem_storage::unwatched)?;
//!
//! let other = MemoryStore::new();
//! let report = car::import(&other, &archive[..], &ImportOptions::new().heads(true), &mut mnem_storage::unwatched)?;
//! assert_eq!((report.new, other.heads()?), (1, vec![op]));
//!
//! // A truncated archive: the error says where it ends, and which blocks are in the store nevertheless.
//! let error = car::import(&other, &archive[..archive.len() - 1], &ImportOptions::new(), &mut mnem_storage::unwatched).unwrap_err();
//! assert_eq!(error.kind(), car::ImportErrorKind::CutOff);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod complete;
mod error;
mod export;
mod handover;
mod import;
mod landing;

pub use error::{ExportError, ExportErrorKind, ImportError, ImportErrorKind, Kept};
pub use export::{ExportOptions, ExportReport, export};
pub use import::{ImportOptions, ImportReport, adopt, import};
pub use mnem_car::{
    BLOCK_BYTES_MAX, CarError, CarFault, CarWarning, CarWarningKind, ForeignFormat, HEADER_BYTES_MAX, ROOTS_MAX,
    Reader, Section, SectionOffsets, Writer,
};
