//! JSON, token by token: checked against its grammar, and nothing is copied.

use std::{cmp::Ordering, str::Chars};

use super::fault::Fault;

/// A place in a JSON text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    pub(super) at: usize,
}

/// A string, as it stands between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a str,
    has_escapes: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte here; 0 at the end, which no JSON text contains.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// The next byte that is no white space; 0 at the end.
    pub(super) fn peek(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    /// Takes `byte` if it is the next that is no white space.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte && !self.is_at_end();
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes `byte`, or `what` is at fault.
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    pub(super) fn fault(&self, what: &'static str) -> Fault {
        Fault::new(what, self.at)
    }

    /// The string that begins here with its quote.
    pub(super) fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.expect(b'"', "no string where one must be")?;
        let start = self.at;
        let mut has_escapes = false;
        loop {
            match self.byte() {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    self.escape()?;
                }
                0..0x20 if self.is_at_end() => return Err(self.fault("unterminated string")),
                0..0x20 => return Err(self.fault("control character in a string")),
                _ => self.at += 1,
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, has_escapes })
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let text = self.text.as_bytes();
        let wrong = Fault::new("invalid escape", start);
        self.at += 2;
        match text.get(start + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(()),
            Some(b'u') => {}
            _ => return Err(wrong),
        }
        match hex(text, start + 2) {
            None => Err(wrong),
            Some(0xd800..=0xdbff) => {
                let low =
                    if text.get(start + 6..start + 8) == Some(b"\\u".as_slice()) { hex(text, start + 8) } else { None };
                self.at += 10;
                match low {
                    Some(0xdc00..=0xdfff) => Ok(()),
                    _ => Err(Fault::new("half of a surrogate pair", start)),
                }
            }
            Some(0xdc00..=0xdfff) => Err(Fault::new("half of a surrogate pair", start)),
            Some(_) => {
                self.at += 4;
                Ok(())
            }
        }
    }

    /// A number, `true`, `false` or `null`. No number is too large: its value is not looked at.
    pub(super) fn scalar(&mut self) -> Result<(), Fault> {
        for word in ["true", "false", "null"] {
            if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        self.at += usize::from(self.byte() == b'-');
        match self.byte() {
            b'0' => self.at += 1,
            _ => self.digits("missing value")?,
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits("number without a digit after its point")?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            self.digits("number without a digit in its exponent")?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self, none: &'static str) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault(none)) } else { Ok(()) }
    }
}

/// Four hexadecimal digits.
fn hex(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

impl<'a> Text<'a> {
    /// Bytes between the quotes: never fewer than the string itself has.
    pub(super) fn raw_len(self) -> usize {
        self.raw.len()
    }

    /// Whether this is the string `other`.
    pub(super) fn is(self, other: &str) -> bool {
        self.compare(Text { raw: other, has_escapes: false }).is_eq()
    }

    /// By the bytes of the strings, which is the order of their characters too.
    pub(super) fn compare(self, other: Text<'_>) -> Ordering {
        if self.has_escapes || other.has_escapes { self.chars().cmp(other.chars()) } else { self.raw.cmp(other.raw) }
    }

    /// The characters that are meant.
    pub(super) fn chars(self) -> impl Iterator<Item = char> + 'a {
        let mut rest = self.raw.chars();
        std::iter::from_fn(move || {
            let next = rest.next()?;
            if !self.has_escapes || next != '\\' { Some(next) } else { Some(unescape(&mut rest)) }
        })
    }
}

/// The character after a backslash. The scanner has seen that there is one.
fn unescape(rest: &mut Chars<'_>) -> char {
    match rest.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let mut unit = unit(rest);
            if (0xd800..0xdc00).contains(&unit) {
                // The other half follows, with a `\u` of its own.
                rest.nth(1);
                unit = 0x1_0000 + ((unit - 0xd800) << 10) + (self::unit(rest) & 0x3ff);
            }
            char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        other => other.unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// The value of four hexadecimal digits.
fn unit(rest: &mut Chars<'_>) -> u32 {
    rest.by_ref().take(4).fold(0, |value, digit| value * 16 + digit.to_digit(16).unwrap_or(0))
}
