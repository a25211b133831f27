//! The object `mnem`: which format the store has, its number, and its lease.

use std::time::Duration;

use mnem_store_traits::{RAW, StoreError, cid_of};

use crate::{
    error::{damaged, not_a_store},
    limits::LEASE_MAX,
    tables::{FORMAT, FORMATS},
};

use super::objects::Objects;

/// A random number that tells stores, or attempts to write, apart.
pub(crate) type Token = [u8; 16];

/// The content of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) store: Token,
    /// How old the state of a handle may be that answers from it that a block is present. A multiple of a millisecond.
    pub(crate) lease: Duration,
}

impl Format {
    pub(crate) fn encode(&self) -> String {
        let head = FORMATS.first().copied().unwrap_or_default();
        let lines = format!("{head}\nstore {}\nlease-ms {}\n", hex(&self.store), self.lease.as_millis());
        let sum = sha256(&lines);
        format!("{lines}sha256 {sum}\n")
    }

    /// # Errors
    /// [`StoreError::NotAStore`], [`StoreError::UnsupportedFormat`], [`StoreError::Damaged`].
    pub(crate) fn decode(objects: &Objects, bytes: &[u8]) -> Result<Self, StoreError> {
        let not_ours = || not_a_store(objects, format!("its object {FORMAT} is not that of a bucket store"));
        let text = str::from_utf8(bytes).map_err(|_| not_ours())?;
        let first = text.lines().next().unwrap_or_default();
        if !FORMATS.contains(&first) {
            let is_ours = first.strip_prefix("mnem-backend-bucket ").is_some_and(|n| n.parse::<u32>().is_ok());
            let unknown = || StoreError::UnsupportedFormat { found: first.to_owned(), supported: FORMATS.join(", ") };
            return Err(if is_ours { unknown() } else { not_ours() });
        }
        let read = |text: &str| {
            let mut lines = text.lines().skip(1);
            let store = unhex(lines.next()?.strip_prefix("store ")?)?;
            let lease = Duration::from_millis(lines.next()?.strip_prefix("lease-ms ")?.parse().ok()?);
            (lease <= LEASE_MAX).then_some(Self { store, lease })
        };
        // Encoding is the strict test: it covers the sum, and all that a parser may overlook.
        let format = read(text).filter(|format| format.encode() == text);
        format.ok_or_else(|| damaged(objects, FORMAT, "its checksum does not match"))
    }
}

fn sha256(text: &str) -> String {
    hex(cid_of(RAW, text.as_bytes()).hash().digest())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Token> {
    let mut token = Token::default();
    if text.len() != 2 * token.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in token.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(token)
}

/// A new random number.
pub(crate) fn token() -> Result<Token, StoreError> {
    let mut token = Token::default();
    getrandom::fill(&mut token)
        .map_err(|error| crate::error::unavailable("draw a random number", std::io::Error::other(error.to_string())))?;
    Ok(token)
}
