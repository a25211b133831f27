//! What is wrong with DAG-CBOR, in words.

use std::convert::Infallible;

use serde_ipld_dagcbor::DecodeError;

/// Why bytes are not DAG-CBOR, or not the value that was expected.
///
/// It is the cause of [`StoreError::Malformed`](crate::StoreError::Malformed) for blocks of that codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DagCborError {
    /// There are fewer bytes than the item has.
    #[error("the block ends inside an item")]
    CutOff,
    /// There are more bytes than the item has.
    #[error("bytes follow the item, but a block is a single item")]
    TrailingBytes,
    /// Lists, maps and links are nested too deeply.
    #[error("nesting is deeper than 128 levels")]
    TooDeep,
    /// A number or length is in a longer form than its shortest.
    #[error("a number or length is written in more bytes than it needs")]
    NotShortest,
    /// A number or length is larger than this program can hold.
    #[error("a number or length is too large")]
    TooLarge,
    /// An item gives no length and ends with a mark.
    #[error("an item has an indefinite length")]
    IndefiniteLength,
    /// The keys of a map are not ascending, shorter ones first.
    #[error("the keys of a map are out of order (shorter keys come first) or repeated")]
    KeyOrder,
    /// A map has a key that is not text.
    #[error("the key of a map is not text")]
    KeyNotText,
    /// A text has other bytes than those of UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A link is not one CID after a zero byte.
    #[error("a link (tag 42) does not hold exactly one CID")]
    Link,
    /// A tag other than that of links.
    #[error("a tag is not 42 in its shortest form, the only tag allowed")]
    Tag,
    /// A float is not finite, is −0, or is shorter than 64 bits.
    #[error("a float is not finite, is -0, or has fewer than 64 bits")]
    Float,
    /// An item of a kind that DAG-CBOR does not have, or that was not expected.
    #[error("byte 0x{0:02x} does not begin an item that is allowed there")]
    Item(u8),
    /// The item is DAG-CBOR, and not the value that was expected.
    #[error("unexpected value: {0}")]
    Value(String),
}

impl DagCborError {
    /// No public conversion: the decoder is in no signature.
    pub(crate) fn of_decoder(error: DecodeError<Infallible>) -> Self {
        match error {
            DecodeError::Msg(text) => Self::Value(text),
            DecodeError::Read(never) => match never {},
            DecodeError::Eof { .. } => Self::CutOff,
            DecodeError::Mismatch { name, found } | DecodeError::Unsupported { name, found } => unexpected(name, found),
            // A list or map of another length than the expected value has.
            DecodeError::RequireLength { .. } | DecodeError::LengthMismatch { .. } => {
                Self::Value("a list or map of another length".to_owned())
            }
            DecodeError::RequireBorrowed { .. } | DecodeError::IndefiniteSize => Self::IndefiniteLength,
            DecodeError::RequireUtf8 { .. } => Self::NotUtf8,
            DecodeError::LengthOverflow { .. }
            | DecodeError::CastOverflow { .. }
            | DecodeError::ArithmeticOverflow { .. } => Self::TooLarge,
            DecodeError::DepthOverflow { .. } => Self::TooDeep,
            DecodeError::TrailingData => Self::TrailingBytes,
            DecodeError::NonMinimal { .. } => Self::NotShortest,
            DecodeError::UnorderedKey => Self::KeyOrder,
        }
    }
}

/// `name`: the item that the decoder was reading.
fn unexpected(name: &str, found: u8) -> DagCborError {
    match (name, found) {
        ("map key", _) => DagCborError::KeyNotText,
        ("cid", _) => DagCborError::Link,
        ("CBOR tag" | "CBOR tag head", _) => DagCborError::Tag,
        // Floats of 16, 32 and 64 bits.
        (_, 0xf9..=0xfb) => DagCborError::Float,
        _ => DagCborError::Item(found),
    }
}
