//! CIDs on the command line: the one plain text of a CID and nothing else.

use mnem_storage::Cid;

use crate::{
    cid_text::{meant, plain},
    error::{Failure, Result},
    limits::SHORT_CID_CHARS_MIN,
};

/// Reads a CID that was typed: base32 in lower case for a CIDv1, base58 for a CIDv0.
///
/// The same CID has many other texts (other bases, upper case, paths, URLs). They are refused, so that what scripts compare as text is equal
/// when the CIDs are; where it is plain which one is meant, the hint says it.
pub(crate) fn parse(text: &str) -> Result<Cid> {
    if let Some(cid) = plain(text) {
        return Ok(cid);
    }
    let hint = match meant(text) {
        Some(cid) => format!("write it as {cid}"),
        None => format!(
            "a CID looks like bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe, and may be cut short to {SHORT_CID_CHARS_MIN} characters or more; `mnem-store ls` lists those of a store"
        ),
    };
    Err(Failure::Usage { message: format!("{text:?} is not a plain CID"), hint })
}

#[cfg(test)]
mod tests {
    use mnem_storage::cid::multibase;

    use super::*;

    const V1: &str = "bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe";
    const V0: &str = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";

    #[test]
    fn the_plain_text_is_taken() {
        assert_eq!(parse(V1).expect("a CIDv1").to_string(), V1);
        assert_eq!(parse(V0).expect("a CIDv0").to_string(), V0);
    }

    #[test]
    fn other_texts_are_refused_and_corrected() {
        let in_base58 = parse(V1).expect("a CID").to_string_of_base(multibase::Base::Base58Btc).expect("base58");
        for text in [
            format!("/ipfs/{V1}"),
            format!("ipfs://{V1}"),
            format!("https://ipfs.io/ipfs/{V1}/path?x=1"),
            format!("https://{V1}.ipfs.dweb.link/"),
            format!("{V1}\n"),
            format!(" {V1}"),
            V1.to_uppercase(),
            V1.replace('a', "A"),
            in_base58,
        ] {
            let Err(Failure::Usage { hint, .. }) = parse(&text) else { panic!("{text:?} was taken") };
            assert_eq!(hint, format!("write it as {V1}"), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_cid_is_refused_without_a_guess() {
        for text in ["", " ", "-", "bafy", "animals.redb", &V1[..7], &format!("{V1}aa"), "Qm", "/ipfs/"] {
            let Err(Failure::Usage { hint, .. }) = parse(text) else { panic!("{text:?} was taken") };
            assert!(hint.contains("looks like"), "{text:?}: {hint}");
        }
    }
}
