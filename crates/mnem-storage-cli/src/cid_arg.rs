//! CIDs on the command line, in their canonical text only.

use mnem_storage::Cid;

use crate::{
    cid_text::{meant, plain},
    error::{Failure, Result},
    limits::SHORT_CID_CHARS_MIN,
};

/// Parses the canonical text of a CID: lower-case base32 for a CIDv1, base58 for a CIDv0.
///
/// Other spellings of a CID (other bases, upper case, paths, URLs) are refused, so that scripts can compare CIDs as
/// text. If the text contains a CID, the hint gives its canonical form.
pub(crate) fn parse(text: &str) -> Result<Cid> {
    if let Some(cid) = plain(text) {
        return Ok(cid);
    }
    let hint = match meant(text) {
        Some(cid) => format!("write it as {cid}"),
        None if has_a_typo(text) => format!(
            "a character is wrong, missing or too many: copy the CID again, \
             or give its first {SHORT_CID_CHARS_MIN} or more characters"
        ),
        None => format!(
            "a CID looks like bafyreic5uqrsiks2mgd2qtk2u37ewgr3w5egu2h2gd4cluffkn6ttytbpe; \
             a prefix of {SHORT_CID_CHARS_MIN} or more characters is enough; \
             run `mnem-store ls` to list the CIDs of a store"
        ),
    };
    Err(Failure::Usage { message: format!("{text:?} is not a CID in canonical form"), hint })
}

/// Whether the text has the length and the characters of a CID with a digest of 32 bytes, or more of them. A longer
/// CID, such as one with a digest of 64 bytes, may lack some.
fn has_a_typo(text: &str) -> bool {
    let of_version_0 = text.starts_with("Qm") && text.len() >= 46;
    let of_version_1 = text.starts_with('b') && text.len() >= 59;
    (of_version_0 || of_version_1) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use mnem_storage::cid::{multibase, multihash::Multihash};

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
        for text in ["", " ", "-", "bafy", "animals.redb", &V1[..7], "Qm", "/ipfs/"] {
            let Err(Failure::Usage { hint, .. }) = parse(text) else { panic!("{text:?} was taken") };
            assert!(hint.contains("looks like"), "{text:?}: {hint}");
        }
    }

    #[test]
    fn a_cid_with_a_typo_is_told_from_other_texts() {
        // The last character of V1 has two unused bits, which `f` sets.
        let unused_bits = V1.replace("bpe", "bpf");
        let long =
            Multihash::wrap(0x13, &[7; 64]).map(|digest| Cid::new_v1(0x55, digest)).expect("64 bytes").to_string();
        let shortened = &long[..long.len() - 1];
        for text in [&*unused_bits, &format!("{V1}aa"), &V1.replace('5', "1"), &V0.replace('5', "0"), shortened] {
            let Err(Failure::Usage { hint, .. }) = parse(text) else { panic!("{text:?} was taken") };
            assert!(hint.starts_with("a character is wrong, missing or too many: "), "{text:?}: {hint}");
        }
    }
}
