//! Node ids: 16 bytes, written as 32 hexadecimal digits.

use std::{fmt, str::FromStr};

/// The id of a node of the graph. Ordered as bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 16]);

impl From<[u8; 16]> for NodeId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// A text that is not a [`NodeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node id must have exactly 32 hexadecimal digits")]
pub struct ParseNodeIdError;

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    /// Accepts digits of upper and lower case; no separators, no prefix.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(ParseNodeIdError) };
        if pairs.len() != 16 {
            return Err(ParseNodeIdError);
        }
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            let (Some(high), Some(low)) = (high, low) else { return Err(ParseNodeIdError) };
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(id))
    }
}
