//! CAR archives: blocks and roots in one file or stream.
//!
//! Written: CARv1, so that the same store gives the same bytes. Read: CARv1 and CARv2, as a stream, with bounded memory; every length is
//! checked against its limit before anything is allocated for it, and memory grows with the bytes that arrive, not with what a length
//! claims. Any input is read to its end or to an error with the byte offset of the fault.
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
//! // An archive that was cut off: the error says where, and what is in the store all the same.
//! let error = car::import(&other, &archive[..archive.len() - 1], &ImportOptions::new(), &mut mnem_storage::unwatched).unwrap_err();
//! assert_eq!(error.kind(), car::ImportErrorKind::CutOff);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod complete;
mod error;
mod export;
mod fault;
mod foreign;
mod header;
mod import;
mod index;
mod landing;
mod reader;
mod section;
mod source;
mod tail;
mod v2;
mod varint;
mod warning;
mod writer;

pub use error::{ExportError, ExportErrorKind, ImportError, ImportErrorKind, Kept, StoreCause};
pub use export::{ExportOptions, ExportReport, export};
pub use fault::{CarError, CarFault, ReadError};
pub use foreign::ForeignFormat;
pub use import::{ImportOptions, ImportReport, import};
pub use reader::{Reader, Section};
pub use warning::{CarWarning, CarWarningKind};
pub use writer::Writer;

pub use crate::limits::{BLOCK_BYTES_MAX, HEADER_BYTES_MAX, ROOTS_MAX};
