//! Standard output: buffered, and every write checked, so that a closed pipe ends quietly and a full disk does not go unseen.

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

/// The version of everything that is written as JSON.
pub(crate) const SCHEMA: u32 = 1;

/// Standard output. What was written is lost without [`finish`](Self::finish).
#[must_use = "what was written is lost without finish()"]
pub(crate) struct Out {
    to: BufWriter<streams::Output>,
    json: bool,
    quiet: bool,
}

/// Any answer, with the version of its form.
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

    /// Writes an answer that is a value: as a line of text, or as a line of JSON.
    pub(crate) fn answer(&mut self, text: impl Display, json: impl Serialize) -> Result<()> {
        if self.json { self.json_line(json) } else { self.line(text) }
    }

    /// Writes one answer of a listing, made as JSON only where that is asked for.
    pub(crate) fn answer_with<T: Serialize>(&mut self, text: impl Display, json: impl FnOnce() -> T) -> Result<()> {
        if self.json { self.json_line(json()) } else { self.line(text) }
    }

    /// Writes an answer that tells what was done or found, which `--quiet` leaves out where it is text.
    pub(crate) fn summary(&mut self, text: impl Display, json: impl Serialize) -> Result<()> {
        if self.quiet && !self.json { Ok(()) } else { self.answer(text, json) }
    }

    /// As [`summary`](Self::summary), of many: made as JSON only where that is wanted.
    pub(crate) fn summary_with<T: Serialize>(&mut self, text: impl Display, json: impl FnOnce() -> T) -> Result<()> {
        if self.quiet && !self.json { Ok(()) } else { self.answer_with(text, json) }
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).map_err(Failure::output)
    }

    /// Hands over what is still buffered.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.to.flush().map_err(Failure::output)
    }

    /// Standard output for those who write to any writer. Their errors are to go through [`Failure::output`].
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

/// A reader that went away ends the output, not the verdict: for commands whose exit status says what they found.
pub(crate) fn unless_closed(written: Result<()>) -> Result<()> {
    match written {
        Err(Failure::OutputClosed) => Ok(()),
        other => other,
    }
}

/// A number with its thousands set apart: `4,077`.
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

/// A size as people read it: `1 byte`, `999 bytes`, `1.1 MiB`.
pub(crate) struct Size(pub(crate) u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1024 => f.pad(&counted(self.0, "byte")),
            bytes => f.pad(&ByteSize(bytes).display().iec().to_string()),
        }
    }
}

/// A size as people read it, and all its digits: `1,110,152 bytes (1.1 MiB)`.
pub(crate) struct ExactSize(pub(crate) u64);

impl Display for ExactSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&counted(self.0, "byte"))?;
        if self.0 < 1024 { Ok(()) } else { write!(f, " ({})", Size(self.0)) }
    }
}

/// A count and what is counted: `1 block`, `4,077 blocks`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    counted_as(count, one, &format!("{one}s"))
}

/// As [`counted`], of a word whose plural has another ending.
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
