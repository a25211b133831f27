//! Standard output: buffered, with every write checked. A closed pipe ends the program quietly; a full disk is an error.

use std::{
    fmt::{self, Display},
    io::{BufWriter, Write},
};

use bytesize::ByteSize;
use serde::Serialize;

use crate::{
    error::{Failure, Result},
    streams,
};

/// The version of the JSON output.
pub(crate) const SCHEMA: u32 = 1;

/// Buffered standard output. Call [`finish`](Self::finish), or the buffer is lost.
#[must_use = "buffered output is lost without finish()"]
pub(crate) struct Out {
    to: BufWriter<streams::Output>,
    json: bool,
    quiet: bool,
}

/// A JSON answer with its schema version.
#[derive(Serialize)]
pub(crate) struct Versioned<T> {
    schema: u32,
    #[serde(flatten)]
    answer: T,
}

impl<T> Versioned<T> {
    pub(crate) fn new(answer: T) -> Self {
        Self { schema: SCHEMA, answer }
    }
}

impl Out {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { to: BufWriter::with_capacity(64 * 1024, streams::Output), json, quiet }
    }

    /// Writes an answer as a line of text or JSON.
    pub(crate) fn answer(&mut self, text: impl Display, json: impl Serialize) -> Result<()> {
        if self.json { self.json_line(json) } else { self.line(text) }
    }

    /// As [`answer`](Self::answer), building the JSON only if it is enabled.
    pub(crate) fn answer_with<T: Serialize>(&mut self, text: impl Display, json: impl FnOnce() -> T) -> Result<()> {
        if self.json { self.json_line(json()) } else { self.line(text) }
    }

    /// Writes a summary. `--quiet` suppresses it, except in JSON.
    pub(crate) fn summary(&mut self, text: impl Display, json: impl Serialize) -> Result<()> {
        if self.quiet && !self.json { Ok(()) } else { self.answer(text, json) }
    }

    /// As [`summary`](Self::summary), building the JSON only if it is enabled.
    pub(crate) fn summary_with<T: Serialize>(&mut self, text: impl Display, json: impl FnOnce() -> T) -> Result<()> {
        if self.quiet && !self.json { Ok(()) } else { self.answer_with(text, json) }
    }

    /// Writes raw bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).map_err(Failure::output)
    }

    /// Flushes the buffer.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.to.flush().map_err(Failure::output)
    }

    /// Standard output as a [`Write`]. Convert its errors with [`Failure::output`].
    pub(crate) fn writer(&mut self) -> &mut (dyn Write + Send) {
        &mut self.to
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<()> {
        writeln!(self.to, "{text}").map_err(Failure::output)
    }

    /// Writes a line of JSON.
    pub(crate) fn json_line(&mut self, answer: impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.to, &Versioned::new(answer)).map_err(|error| Failure::output(error.into()))?;
        self.bytes(b"\n")
    }
}

/// Ignores a closed standard output: for commands whose exit status reports what they found.
pub(crate) fn unless_closed(written: Result<()>) -> Result<()> {
    match written {
        Err(Failure::OutputClosed) => Ok(()),
        other => other,
    }
}

/// A number with thousands separators: `4,077`.
pub(crate) struct Count(pub(crate) u64);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() * 4 / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A size with a unit: `1 byte`, `999 bytes`, `1.1 MiB`.
pub(crate) struct Size(pub(crate) u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1024 => f.pad(&counted(self.0, "byte")),
            bytes => f.pad(&ByteSize(bytes).display().iec().to_string()),
        }
    }
}

/// A size in bytes and with a unit: `1,110,152 bytes (1.1 MiB)`.
pub(crate) struct ExactSize(pub(crate) u64);

impl Display for ExactSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&counted(self.0, "byte"))?;
        if self.0 < 1024 { Ok(()) } else { write!(f, " ({})", Size(self.0)) }
    }
}

/// A count with its noun: `1 block`, `4,077 blocks`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    counted_as(count, one, &format!("{one}s"))
}

/// As [`counted`], with an irregular plural.
pub(crate) fn counted_as(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", Count(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (4_077, "4,077"), (1_234_567, "1,234,567")] {
            assert_eq!(Count(number).to_string(), text);
        }
        assert_eq!(format!("{:>8}", Count(4_077)), "   4,077");
        let sizes = [0, 1, 1023, 1024, 1_110_152, u64::MAX].map(|bytes| Size(bytes).to_string());
        assert_eq!(sizes, ["0 bytes", "1 byte", "1,023 bytes", "1.0 KiB", "1.1 MiB", "16.0 EiB"]);
        assert_eq!(ExactSize(1_110_152).to_string(), "1,110,152 bytes (1.1 MiB)");
        assert_eq!((counted(1, "head"), counted(0, "head")), ("1 head".into(), "0 heads".into()));
    }
}
