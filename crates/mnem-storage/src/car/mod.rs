//! CAR archives: blocks and roots in one file or stream.
//!
//! Written: CARv1, so that the same store gives the same bytes. Read: CARv1 and CARv2, as a stream, with bounded memory; every length is
//! checked against its limit before anything is allocated for it, and memory grows with the bytes that arrive, not with what a length
//! claims. Any input is read to its end or to an error with the byte offset of the fault.

mod error;
mod export;
mod fault;
mod header;
mod import;
mod landing;
mod reader;
mod section;
mod source;
mod v2;
mod varint;
mod writer;

pub use error::{ExportError, ExportErrorKind, ImportError, ImportErrorKind, Kept, StoreCause};
pub use export::{ExportOptions, ExportReport, export};
pub use fault::{CarError, CarFault, ReadError};
pub use import::{ImportOptions, ImportReport, import};
pub use reader::{Reader, Section};
pub use writer::Writer;

pub use crate::limits::{BLOCK_BYTES_MAX, HEADER_BYTES_MAX, ROOTS_MAX};
