//! The place of a section, in 64 bits.

use mnem_car::SectionOffsets;

/// Segment (20 bits), offset (32), length (12).
///
/// The length is rounded up by at most 16 bytes or 0.4 %, so that it fits in 12 bits and one read gets the whole
/// section. Places ascend in the order of the log.
///
/// A place with length 0 is a *mark*: the block that began there was deleted. It sorts before the place that it marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(u64);

/// The unit of lengths, in bytes.
const UNIT: u64 = 16;

/// The length code has a mantissa of 8 bits. Above the smallest exponent, the mantissa has a ninth, highest bit that is
/// always set and not stored.
const MANTISSA_BITS: u32 = 8;

impl Place {
    pub(crate) const MIN: Self = Self(0);
    pub(crate) const MAX: Self = Self(u64::MAX);

    /// `segment` must fit in 20 bits, and the section must end within 32 bits.
    pub(crate) fn new(segment: u32, section: &SectionOffsets) -> Self {
        let length = section.end() - section.offset;
        Self(u64::from(segment) << 44 | section.offset << 12 | code_of(length))
    }

    pub(crate) fn segment(self) -> u32 {
        (self.0 >> 44) as u32
    }

    pub(crate) fn offset(self) -> u64 {
        self.0 >> 12 & 0xffff_ffff
    }

    /// The mark of the section that begins at this offset.
    pub(crate) fn mark(segment: u32, offset: u32) -> Self {
        Self(u64::from(segment) << 44 | u64::from(offset) << 12)
    }

    /// The mark of this place.
    pub(crate) fn to_mark(self) -> Self {
        Self(self.0 & !0xfff)
    }

    pub(crate) fn is_mark(self) -> bool {
        self == self.to_mark()
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number of bytes to read: at least the length of the section.
    pub(crate) fn bytes(self) -> usize {
        bytes_of(self.0 & 0xfff) as usize
    }
}

/// The smallest code whose length is at least `length`.
fn code_of(length: u64) -> u64 {
    let units = length.div_ceil(UNIT);
    let shift = u64::BITS.saturating_sub(units.leading_zeros()).saturating_sub(MANTISSA_BITS + 1);
    let mut mantissa = units.div_ceil(1 << shift);
    let mut exponent = u64::from(shift);
    if mantissa >> (MANTISSA_BITS + 1) > 0 {
        (mantissa, exponent) = (mantissa >> 1, exponent + 1);
    }
    // A mantissa below 2^8 is stored as it is; above, its highest bit is not stored.
    (exponent << MANTISSA_BITS) + mantissa
}

fn bytes_of(code: u64) -> u64 {
    let exponent = (code >> MANTISSA_BITS).saturating_sub(1);
    let units = (code - (exponent << MANTISSA_BITS)) << exponent;
    units * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{BLOCK_BYTES_MAX, SEGMENT_NUMBER_MAX};

    #[test]
    fn lengths_are_never_below_and_hardly_above() {
        let largest = BLOCK_BYTES_MAX + SectionOffsets::START_BYTES_MAX as u64;
        let near = |n: u64| n.saturating_sub(3)..=n + 3;
        let powers = (0..27).flat_map(|power| near(1 << power)).chain((0..27).flat_map(|power| near(511 << power)));
        for length in powers.chain(0..70_000).chain(near(largest)).filter(|length| *length <= largest + 3) {
            let code = code_of(length);
            assert!(code < 1 << 12, "{length}");
            let bytes = bytes_of(code);
            assert!(bytes >= length && bytes <= length + UNIT + length / 256, "{length}: {bytes}");
        }
    }

    #[test]
    fn places_are_ascending_in_the_order_of_the_log() {
        let cid = mnem_store_traits::cid_of(mnem_store_traits::RAW, b"");
        let at = |segment, offset, bytes| {
            let section = SectionOffsets::write_start(&cid, bytes, offset, &mut Vec::new());
            let place = Place::new(segment, &section);
            assert_eq!((place.segment(), place.offset()), (segment, offset));
            assert!(place.bytes() as u64 >= section.end() - offset);
            place
        };
        let last = u64::from(u32::MAX);
        let places =
            [at(0, 0, 9), at(0, 1, 0), at(0, last - 99, 50), at(1, 0, 1 << 26), at(SEGMENT_NUMBER_MAX, last, 0)];
        assert!(places.is_sorted() && places[0] > Place::MIN && places[4] <= Place::MAX, "{places:?}");
    }
}
