//! DAG-JSON: any JSON value, in which maps that begin with the key `/` are links, bytes, or ordinary maps.
//!
//! The rules of that reserved namespace are strict: a map whose first key is `/` with a text as its value is a link,
//! and whose first key is `/` with a map as its value that begins with `bytes` and a text is bytes. Neither may have
//! other entries, or a text that is wrong.

use std::str;

use cid::Cid;

use super::{
    fault::Fault,
    json::{Scanner, Text},
};
use crate::limits::{LINK_TEXT_BYTES_MAX, NESTING_MAX};

/// Adds the links of a block to `found`, in the order in which they stand there.
pub(super) fn collect(data: &[u8], found: &mut Vec<Cid>) -> Result<(), Fault> {
    let text = str::from_utf8(data).map_err(|error| Fault::new("text that is not UTF-8", error.valid_up_to()))?;
    let mut reading = Reading { text, scanner: Scanner::new(text), open: Vec::new(), keys: Vec::new(), found };
    loop {
        if reading.value()? && reading.after_value()? {
            return Ok(());
        }
    }
}

struct Reading<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    /// The lists and maps around this place, outermost first.
    open: Vec<Open>,
    /// Where the keys of those maps begin.
    keys: Vec<usize>,
    found: &'a mut Vec<Cid>,
}

#[derive(Clone, Copy)]
enum Open {
    List,
    /// Its keys are those from `first_key`. While they are in order, the next one is compared with the last alone.
    Map {
        first_key: usize,
        in_order: bool,
    },
}

impl<'a> Reading<'a> {
    /// Reads a value, or the beginning of one that has others in it. Returns whether it is complete.
    fn value(&mut self) -> Result<bool, Fault> {
        match self.scanner.peek() {
            b'"' => drop(self.scanner.string()?),
            b'[' => return self.begin(Open::List),
            b'{' => {
                let start = self.scanner.at;
                if self.reserved()? {
                    return Ok(true);
                }
                self.scanner.at = start;
                return self.begin(Open::Map { first_key: self.keys.len(), in_order: true });
            }
            _ => self.scanner.scalar()?,
        }
        Ok(true)
    }

    /// Steps into a list or map. Returns whether it is empty, and so complete.
    fn begin(&mut self, open: Open) -> Result<bool, Fault> {
        if self.open.len() == NESTING_MAX {
            return Err(self.scanner.fault("too deeply nested list or map"));
        }
        self.scanner.at += 1;
        match open {
            Open::List if self.scanner.take(b']') => return Ok(true),
            Open::Map { .. } if self.scanner.take(b'}') => return Ok(true),
            _ => self.open.push(open),
        }
        if matches!(open, Open::Map { .. }) {
            self.key()?;
        }
        Ok(false)
    }

    /// Goes on after a complete value, to the next one. Returns whether there is none.
    fn after_value(&mut self) -> Result<bool, Fault> {
        loop {
            match self.open.last().copied() {
                None if self.scanner.peek() == 0 && self.scanner.is_at_end() => return Ok(true),
                None => return Err(self.scanner.fault("more than one value")),
                Some(Open::List) if self.scanner.take(b',') => return Ok(false),
                Some(Open::List) => self.scanner.expect(b']', "list that does not go on")?,
                Some(Open::Map { .. }) if self.scanner.take(b',') => return self.key().map(|()| false),
                Some(Open::Map { first_key, in_order }) => {
                    self.scanner.expect(b'}', "map that does not go on")?;
                    if !in_order {
                        self.refuse_repetitions(first_key)?;
                    }
                    self.keys.truncate(first_key);
                }
            }
            self.open.pop();
        }
    }

    /// Reads a key of the innermost map, up to its value.
    fn key(&mut self) -> Result<(), Fault> {
        self.scanner.peek();
        let start = self.scanner.at;
        let key = self.scanner.string()?;
        self.scanner.expect(b':', "key without a value")?;
        let last = self.keys.last().map(|last| key_at(self.text, *last)).transpose()?;
        if let Some(Open::Map { first_key, in_order }) = self.open.last_mut() {
            match last.filter(|_| self.keys.len() > *first_key).map(|last| last.compare(key)) {
                None | Some(std::cmp::Ordering::Less) => {}
                Some(std::cmp::Ordering::Equal) => return Err(Fault::new(REPEATED_KEY, start)),
                Some(std::cmp::Ordering::Greater) => *in_order = false,
            }
        }
        self.keys.push(start);
        Ok(())
    }

    fn refuse_repetitions(&mut self, first_key: usize) -> Result<(), Fault> {
        let keys = &mut self.keys[first_key..];
        // Each was read before, so none is at fault.
        let text = |start: &usize| key_at(self.text, *start).ok();
        let compare = |a: &usize, b: &usize| match (text(a), text(b)) {
            (Some(a), Some(b)) => a.compare(b),
            _ => a.cmp(b),
        };
        keys.sort_unstable_by(compare);
        match keys.windows(2).find(|pair| compare(&pair[0], &pair[1]).is_eq()) {
            Some(pair) => Err(Fault::new(REPEATED_KEY, pair[0].max(pair[1]))),
            None => Ok(()),
        }
    }

    /// Reads a map of the reserved namespace. Returns whether this was one: if not, what was read must be read again
    /// as an ordinary map.
    fn reserved(&mut self) -> Result<bool, Fault> {
        if !self.enters_map_with_key("/")? {
            return Ok(false);
        }
        let start = self.scanner.at;
        match self.scanner.peek() {
            b'"' => {
                let text = self.scanner.string()?;
                self.scanner.expect(b'}', "map that holds more than its link")?;
                self.found
                    .push(cid_of_text(text).ok_or_else(|| Fault::new("link that is not the text of a CID", start))?);
                Ok(true)
            }
            b'{' if self.enters_map_with_key("bytes")? && self.scanner.peek() == b'"' => {
                let start = self.scanner.at;
                let text = self.scanner.string()?;
                for _ in 0..2 {
                    self.scanner.expect(b'}', "map that holds more than its bytes")?;
                }
                if is_base64(text) { Ok(true) } else { Err(Fault::new("bytes that are not Base64", start)) }
            }
            _ => Ok(false),
        }
    }

    /// Whether the map here begins with `key`. If so, its value is next.
    fn enters_map_with_key(&mut self, key: &str) -> Result<bool, Fault> {
        self.scanner.at += 1;
        if self.scanner.peek() != b'"' || !self.scanner.string()?.is(key) {
            return Ok(false);
        }
        self.scanner.expect(b':', "key without a value")?;
        Ok(true)
    }
}

const REPEATED_KEY: &str = "duplicate key";

fn key_at(text: &str, start: usize) -> Result<Text<'_>, Fault> {
    let mut scanner = Scanner::new(text);
    scanner.at = start;
    scanner.string()
}

/// The one text of a CID: base58 for version 0, lower-case base32 for others.
fn cid_of_text(text: Text<'_>) -> Option<Cid> {
    // Decoding base58 takes quadratic time.
    if text.raw_len() > LINK_TEXT_BYTES_MAX {
        return None;
    }
    let text: String = text.chars().collect();
    Cid::try_from(text.as_str()).ok().filter(|cid| cid.to_string() == text)
}

/// Standard Base64 without padding, whose unused bits are zero.
fn is_base64(text: Text<'_>) -> bool {
    let (mut chars, mut last) = (0_u64, 0);
    for c in text.chars() {
        last = match c {
            'A'..='Z' => c as u32 - 'A' as u32,
            'a'..='z' => c as u32 - 'a' as u32 + 26,
            '0'..='9' => c as u32 - '0' as u32 + 52,
            '+' => 62,
            '/' => 63,
            _ => return false,
        };
        chars += 1;
    }
    match chars % 4 {
        0 => true,
        2 => last % 16 == 0,
        3 => last % 4 == 0,
        _ => false,
    }
}
