//! The fixed header of a CARv2: the offsets of its payload, a CARv1, and of its index.

use crate::error::CarFault;

/// Length of the header that follows the pragma.
pub(crate) const V2_HEADER_BYTES: usize = 40;

/// Offset of the header: after the pragma and its length.
const HEADER_OFFSET: u64 = 11;

/// Lowest offset of the payload.
const DATA_OFFSET_MIN: u64 = HEADER_OFFSET + V2_HEADER_BYTES as u64;

const DATA_OFFSET_AT: usize = 16;
const DATA_SIZE_AT: usize = 24;
const INDEX_OFFSET_AT: usize = 32;

/// The payload and the index, as offsets from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Start of the index, if the header names one: never before `end`.
    pub(crate) index: Option<u64>,
}

impl Payload {
    pub(crate) fn bytes(self) -> u64 {
        self.end - self.start
    }
}

/// Decodes the header. An error comes with the offset of the invalid field.
pub(crate) fn decode(header: &[u8; V2_HEADER_BYTES]) -> Result<Payload, (CarFault, u64)> {
    let start = field(header, DATA_OFFSET_AT);
    let size = field(header, DATA_SIZE_AT);
    let index = field(header, INDEX_OFFSET_AT);
    if start < DATA_OFFSET_MIN {
        let what = format!(
            "the data begins at byte {start}, inside the first {DATA_OFFSET_MIN} bytes (the archive may be unfinished)"
        );
        return Err(wrong(what, DATA_OFFSET_AT));
    }
    if size == 0 {
        return Err(wrong("the data has size zero (the archive may be unfinished)".to_owned(), DATA_SIZE_AT));
    }
    let Some(end) = start.checked_add(size) else {
        return Err(wrong(format!("the size of the data, {size} bytes from byte {start}, overflows"), DATA_SIZE_AT));
    };
    if index != 0 && index < end {
        return Err(wrong(
            format!("the index begins at byte {index}, before the end of the data at {end}"),
            INDEX_OFFSET_AT,
        ));
    }
    Ok(Payload { start, end, index: (index != 0).then_some(index) })
}

/// A little-endian number of 8 bytes.
fn field(header: &[u8; V2_HEADER_BYTES], at: usize) -> u64 {
    let bytes = header.get(at..).and_then(|rest| rest.first_chunk::<8>());
    bytes.copied().map_or(0, u64::from_le_bytes)
}

/// A fault of the payload's size, which shows at its end.
pub(crate) fn ends_inside_a_section(end: u64) -> CarFault {
    CarFault::V2Header { what: format!("the data ends at byte {end}, inside a section, but the file continues") }
}

/// A fault of the payload's offset: there is data before it.
pub(crate) fn no_padding(start: u64) -> CarFault {
    CarFault::V2Header { what: format!("the data begins at byte {start}, but not all bytes before it are zero") }
}

fn wrong(what: String, at: usize) -> (CarFault, u64) {
    (CarFault::V2Header { what }, HEADER_OFFSET + at as u64)
}
