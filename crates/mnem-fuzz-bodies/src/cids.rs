//! CIDs typed on the command line.

#[path = "../../mnem-storage-cli/src/cid_text.rs"]
mod cid_text;

use cid_text::{meant, plain};

/// An accepted text is the only spelling of its CID. A suggested text would be accepted.
pub fn cli_cid(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(cid) = plain(text) {
        assert_eq!(cid.to_string(), text, "another text of the CID was taken");
    }
    if let Some(cid) = meant(text) {
        assert_eq!(plain(&cid.to_string()), Some(cid), "the hint for {text:?} would be refused");
    }
}
