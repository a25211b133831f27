//! The canonical text of a CID, and other spellings of it. Independent of the command line, so that it can be fuzzed.

use mnem_storage::{Cid, cid::multibase, cid_from_bytes};

/// The CID with this canonical text.
pub(crate) fn plain(text: &str) -> Option<Cid> {
    decode(text).filter(|cid| cid.to_string() == text)
}

/// Decodes a CID in any base, without surrounding text.
fn decode(text: &str) -> Option<Cid> {
    if text.len() == 46 && text.starts_with("Qm") {
        return Cid::try_from(text).ok();
    }
    let (_, bytes) = multibase::decode(text).ok()?;
    cid_from_bytes(&bytes).ok()
}

/// The CID inside a text: surrounded by white space, in a path or a URL, in any base or case.
pub(crate) fn meant(text: &str) -> Option<Cid> {
    let text = text.trim();
    let path = text.split_once("://").map_or(text, |(_, rest)| rest);
    let parts = path.split(['/', '?', '#', '.']).filter(|part| !part.is_empty());
    parts.into_iter().find_map(|part| decode(part).or_else(|| decode(&part.to_ascii_lowercase())))
}
