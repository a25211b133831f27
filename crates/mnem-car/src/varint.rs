//! Unsigned varints: seven bits per byte, least significant first, shortest form, at most 63 bits.

/// Longest varint, in bytes.
pub(crate) const VARINT_BYTES_MAX: usize = 9;

const OVERLONG: &str = "its encoding is not minimal";
const TOO_LONG: &str = "it has more than 9 bytes";

/// Decodes a varint byte by byte.
#[derive(Debug, Default)]
pub(crate) struct Varint {
    value: u64,
    bytes: usize,
}

impl Varint {
    /// Adds a byte. Returns the value if it was the last one. An error names the rule that `byte` breaks.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<u64>, &'static str> {
        if self.bytes == VARINT_BYTES_MAX {
            return Err(TOO_LONG);
        }
        self.value |= u64::from(byte & 0x7f) << (7 * self.bytes);
        self.bytes += 1;
        match byte {
            0 if self.bytes > 1 => Err(OVERLONG),
            0x80.. => Ok(None),
            _ => Ok(Some(self.value)),
        }
    }
}

/// Appends the varint of `value`, which must have at most 63 bits.
pub(crate) fn write(mut value: u64, to: &mut Vec<u8>) {
    while value > 0x7f {
        // The mask leaves seven bits, so the cast keeps all of them.
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<u64>, &'static str> {
        let mut varint = Varint::default();
        let mut value = None;
        for byte in bytes {
            value = varint.push(*byte)?;
        }
        Ok(value)
    }

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 60, (1 << 63) - 1] {
            let mut bytes = Vec::new();
            write(value, &mut bytes);
            assert_eq!(read(&bytes), Ok(Some(value)), "{bytes:x?}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        assert_eq!(read(&[0x80, 0x00]), Err(OVERLONG));
        assert_eq!(read(&[0xff, 0x80, 0x00]), Err(OVERLONG));
        assert_eq!(read(&[0xff; 10]), Err(TOO_LONG));
        assert_eq!(read(&[0x80; 3]), Ok(None));
    }
}
