//! CIDs as they are typed at the command line.

#[path = "../../mnem-storage-cli/src/cid_text.rs"]
mod cid_text;

use cid_text::{meant, plain};

/// What is taken is the one text of its CID; what is proposed instead would be taken.
pub fn cli_cid(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(cid) = plain(text) {
        assert_eq!(cid.to_string(), text, "another text of the CID was taken");
    }
    if let Some(cid) = meant(text) {
        assert_eq!(plain(&cid.to_string()), Some(cid), "the hint for {text:?} would be refused");
    }
}
