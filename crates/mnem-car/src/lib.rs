//! CAR archives: blocks and roots in one file or stream.
//!
//! [`Writer`] writes CARv1, so that the same blocks give the same bytes. [`Reader`] reads CARv1 and CARv2 as a stream,
//! section by section, from any [`Read`](std::io::Read). It returns a section either as a [`Section`], with the block's
//! bytes, or as [`SectionOffsets`]: the CID and the offsets of the bytes in the file, so that you can index an archive
//! without copying it.
//!
//! Input may be hostile. Every length is checked against its limit before memory is allocated for it, and memory grows
//! with the bytes that arrive, not with the length that a section claims. Any input is read to its end or to a
//! [`CarError`] with the byte offset of the fault; none panics. Archives that end too early, that are followed by other
//! data, or whose header covers only a part of them are errors, not short archives.
//!
//! The crate knows no store and computes no hash: compare each block with its CID before you trust it.
//! `mnem_storage::car` does both; it imports archives into stores and exports them.
//!
//! ```
//! use mnem_car::{BLOCK_BYTES_MAX, Cid, Reader, Writer};
//!
//! let cid: Cid = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e".parse()?;
//! let mut writer = Writer::new(Vec::new(), &[cid])?;
//! let at = writer.write(&cid, b"hello world")?;
//! let archive = writer.finish()?;
//! assert_eq!(&archive[at.data_offset as usize..][..at.data_bytes as usize], b"hello world");
//!
//! let mut reader = Reader::new(&archive[..], BLOCK_BYTES_MAX)?;
//! assert_eq!(reader.roots(), [cid]);
//! assert_eq!(reader.next_offsets()?, Some(at));
//! assert_eq!(reader.next_offsets()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cbor;
mod error;
mod foreign;
mod header;
mod index;
mod limits;
mod offsets;
mod reader;
mod section_cid;
mod source;
mod tail;
mod v2;
mod varint;
mod warning;
mod writer;

/// The code in the README is compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use bytes::{self, Bytes};
pub use cid::{self, Cid};

pub use error::{CarError, CarFault};
pub use foreign::ForeignFormat;
pub use limits::{BLOCK_BYTES_MAX, HEADER_BYTES_MAX, ROOTS_MAX};
pub use offsets::{Section, SectionOffsets};
pub use reader::Reader;
pub use warning::{CarWarning, CarWarningKind};
pub use writer::{Writer, can_hold};
