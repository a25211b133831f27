//! A preview of a block without structure: its first bytes.

use std::fmt::{self, Write as _};

use mnem_storage::Cid;
use serde::Serialize;

use crate::{
    context::Context,
    limits::{PREVIEW_HEX_BYTES, PREVIEW_TEXT_BYTES},
    output::{Count, counted},
};

/// The first bytes of a block.
#[derive(Serialize)]
pub(super) struct Preview {
    /// As text, if they are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// In hexadecimal, if they are not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    /// How many bytes of the block are shown.
    shown_bytes: usize,
}

impl Preview {
    pub(super) fn of(data: &[u8]) -> Self {
        let beginning = data.get(..PREVIEW_TEXT_BYTES).unwrap_or(data);
        // The cut may split a character.
        let text = match str::from_utf8(beginning) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() && beginning.len() < data.len() => {
                beginning.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok())
            }
            Err(_) => None,
        };
        match text.filter(|text| !text.chars().any(|c| c.is_control() && !"\n\r\t".contains(c))) {
            Some(text) => Self { text: Some(text.to_owned()), hex: None, shown_bytes: text.len() },
            None => {
                let shown = data.get(..PREVIEW_HEX_BYTES).unwrap_or(data);
                let mut hex = String::with_capacity(2 * shown.len());
                shown.iter().for_each(|byte| {
                    let _ = write!(hex, "{byte:02x}");
                });
                Self { text: None, hex: Some(hex), shown_bytes: shown.len() }
            }
        }
    }

    /// Prints a note if the preview is incomplete.
    pub(super) fn tell_rest(&self, context: &Context, cid: &Cid, size_bytes: usize) {
        if self.shown_bytes < size_bytes {
            let (shown, all) = (Count(self.shown_bytes as u64), counted(size_bytes as u64, "byte"));
            context.remark(format_args!("showing {shown} of {all}; run `mnem-store get {cid}` for all"));
        }
    }
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text.strip_suffix('\n').unwrap_or(text));
        }
        let hex = self.hex.as_deref().unwrap_or_default().as_bytes();
        for (number, line) in hex.chunks(32).enumerate() {
            let newline = if number == 0 { "" } else { "\n" };
            write!(f, "{newline}{:08x} ", number * 16)?;
            for byte in line.chunks(2) {
                write!(f, " {}", str::from_utf8(byte).unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_text_also_where_the_cut_goes_through_a_character() {
        assert_eq!(Preview::of("é\n".as_bytes()).to_string(), "é");
        let long = "é".repeat(PREVIEW_TEXT_BYTES);
        let shifted = format!("a{long}");
        for text in [&long, &shifted] {
            let preview = Preview::of(text.as_bytes());
            assert!(text.starts_with(&preview.to_string()) && preview.shown_bytes > PREVIEW_TEXT_BYTES - 2);
        }
    }

    #[test]
    fn other_bytes_are_shown_in_hexadecimal() {
        let data: Vec<u8> = (0..18).collect();
        let expected = "00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f\n00000010  10 11";
        assert_eq!(Preview::of(&data).to_string(), expected);
        // A truncated character is not text.
        assert!(Preview::of(&"é".as_bytes()[..1]).hex.is_some());
        assert_eq!(Preview::of(&[7; 1000]).shown_bytes, PREVIEW_HEX_BYTES);
        assert_eq!(Preview::of(b"").to_string(), "");
    }
}
