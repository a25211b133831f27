//! Small text files whose last line is the SHA-256 of the lines before it.

use std::fmt::Write as _;

use mnem_store_traits::{RAW, cid_of};

/// The name of the last line.
const SEAL: &str = "sha256 ";

/// The whole file: the lines and their seal.
pub(crate) fn seal(mut lines: String) -> Vec<u8> {
    let digest = hex(cid_of(RAW, lines.as_bytes()).hash().digest());
    lines.push_str(SEAL);
    lines.push_str(&digest);
    lines.push('\n');
    lines.into_bytes()
}

/// Checks the seal on the last line and returns the lines above it. The error names the fault.
pub(crate) fn unseal(bytes: &[u8]) -> Result<&str, &'static str> {
    let text = str::from_utf8(bytes).map_err(|_| "it is not text")?;
    let whole = text.strip_suffix('\n').ok_or("its last line is cut off")?;
    let start = whole.rfind('\n').map_or(0, |at| at + 1);
    let digest = whole[start..].strip_prefix(SEAL).ok_or("its last line is not a checksum")?;
    let lines = &text[..start];
    if hex(cid_of(RAW, lines.as_bytes()).hash().digest()) != digest {
        return Err("its checksum does not match");
    }
    Ok(lines)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Lower-case hexadecimal digits of exactly `N` bytes.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    unhex_vec(text)?.try_into().ok()
}

/// Lower-case hexadecimal digits, two for each byte.
pub(crate) fn unhex_vec(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
