//! The subset of CBOR that the header of an archive needs. Nothing here recurses or allocates.

/// Major types: the upper three bits of the first byte of an item.
pub(crate) const UNSIGNED: u8 = 0;
pub(crate) const BYTES: u8 = 2;
pub(crate) const TEXT: u8 = 3;
pub(crate) const ARRAY: u8 = 4;
pub(crate) const MAP: u8 = 5;
pub(crate) const TAG: u8 = 6;

const ENDS: &str = "it ends inside an item";
const NO_LENGTH: &str = "an item has an indefinite length";

/// The unread items of an input.
#[derive(Clone, Copy)]
pub(crate) struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Reads the head of an item of this type and returns its value or length; fails with `wrong` for another type.
    pub(crate) fn expect(&mut self, major: u8, wrong: &'static str) -> Result<u64, &'static str> {
        match self.head()? {
            (found, argument) if found == major => Ok(argument),
            _ => Err(wrong),
        }
    }

    /// Reads a byte or text string.
    pub(crate) fn string(&mut self, major: u8, wrong: &'static str) -> Result<&'a [u8], &'static str> {
        let length = self.expect(major, wrong)?;
        self.take(length)
    }

    /// Skips one item with everything inside it.
    pub(crate) fn skip(&mut self) -> Result<(), &'static str> {
        let mut pending = 1_u64;
        // Every iteration consumes a byte, so the loop ends however many items are claimed.
        while pending > 0 {
            pending -= 1;
            let (major, argument) = self.head()?;
            let inside = match major {
                BYTES | TEXT => {
                    self.take(argument)?;
                    0
                }
                ARRAY => argument,
                MAP => argument.checked_mul(2).ok_or(ENDS)?,
                TAG => 1,
                _ => 0,
            };
            pending = pending.checked_add(inside).ok_or(ENDS)?;
        }
        Ok(())
    }

    /// The major type of the next item, and its argument.
    fn head(&mut self) -> Result<(u8, u64), &'static str> {
        let first = self.take(1)?.first().copied().unwrap_or_default();
        let argument = match first & 0x1f {
            small @ 0..24 => u64::from(small),
            sized @ 24..28 => self.take(1 << (sized - 24))?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
            _ => return Err(NO_LENGTH),
        };
        Ok((first >> 5, argument))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], &'static str> {
        let split = usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len));
        let (taken, rest) = split.ok_or(ENDS)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Appends the shortest head of an item.
pub(crate) fn write_head(major: u8, argument: u64, to: &mut Vec<u8>) {
    let (info, bytes) = match argument {
        0..24 => (argument as u8, 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    to.push(major << 5 | info);
    to.extend(argument.to_be_bytes().iter().skip(8 - bytes));
}
