//! Checking bytes against CIDs, and reading CIDs from bytes.

use mnem_store_traits::{
    Cid, DAG_CBOR, ErrorKind, HashCheck, RAW, check_block, check_hash, check_read, check_size,
    cid::multihash::Multihash, cid_from_bytes, cid_of, is_checkable,
};

const DATA: &[u8] = b"hello";

fn cid(codec: u64, code: u64, digest: &[u8]) -> Cid {
    Cid::new_v1(codec, Multihash::wrap(code, digest).expect("a digest of at most 64 bytes"))
}

fn blake3() -> Cid {
    cid(RAW, 0x1e, blake3::hash(DATA).as_bytes())
}

#[test]
fn known_cids_are_computed() {
    // From the outside: `printf hello | sha256sum`.
    let known = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
    assert_eq!(cid_of(RAW, DATA).to_string(), known);
    assert_eq!(check_hash(&known.parse().expect("a CID"), DATA), HashCheck::Match);
}

#[test]
fn every_supported_hash_function_tells_right_from_wrong() {
    let sha = cid_of(RAW, DATA);
    let v0 = Cid::new_v0(*sha.hash()).expect("a CIDv0");
    for cid in [sha, v0, cid_of(DAG_CBOR, DATA), blake3(), cid(RAW, 0, DATA)] {
        assert!(is_checkable(&cid));
        assert_eq!(check_hash(&cid, DATA), HashCheck::Match, "{cid}");
        check_block(&cid, DATA).expect("the right bytes");
        for wrong in [&b"hell"[..], b"hello ", b"", b"Hello"] {
            let HashCheck::Mismatch(actual) = check_hash(&cid, wrong) else { panic!("{cid} takes {wrong:?}") };
            assert_eq!(check_hash(&actual, wrong), HashCheck::Match, "the CID named is not that of {wrong:?}");
            assert_eq!((actual.version(), actual.codec()), (cid.version(), cid.codec()));
            assert_eq!(check_block(&cid, wrong).expect_err("wrong bytes").kind(), ErrorKind::CidMismatch);
            assert_eq!(check_read("test", &cid, wrong).expect_err("wrong bytes").kind(), ErrorKind::Corrupt);
        }
    }
}

#[test]
fn identity_of_bytes_too_long_for_it_names_another_cid() {
    let long = [7; 65];
    let HashCheck::Mismatch(actual) = check_hash(&cid(RAW, 0, &long[..64]), &long) else { panic!("a match") };
    assert_eq!(actual, cid_of(RAW, &long));
}

#[test]
fn what_cannot_be_computed_is_refused_to_writers_and_handed_to_readers() {
    let sha = cid_of(RAW, DATA);
    let digest = sha.hash().digest();
    let unknown = [
        cid(RAW, 0x13, &[1; 64]),
        cid(RAW, 0xb220, &[1; 32]),
        cid(RAW, 0x12, &digest[..20]),
        cid(RAW, 0x12, &[digest, &[0]].concat()),
        cid(RAW, 0x1e, &blake3().hash().digest()[..16]),
        cid(RAW, 0x12, b""),
    ];
    for cid in unknown {
        assert!(!is_checkable(&cid));
        assert_eq!(check_hash(&cid, DATA), HashCheck::Unsupported);
        let error = check_block(&cid, DATA).expect_err("an unsupported hash");
        assert_eq!(error.kind(), ErrorKind::UnsupportedHash);
        assert!(error.to_string().contains(&format!("0x{:x}", cid.hash().code())), "{error}");
        check_read("test", &cid, DATA).expect("handed out as stored");
    }
}

#[test]
fn size_limit_is_the_last_size_taken() {
    let cid = cid_of(RAW, DATA);
    check_size(&cid, DATA, 5).expect("as large as the limit");
    let error = check_size(&cid, DATA, 4).expect_err("above the limit");
    assert_eq!(error.kind(), ErrorKind::BlockTooLarge);
    assert!(error.to_string().contains("has 5 bytes, more than the 4"), "{error}");
}

#[test]
fn cids_are_read_from_exactly_their_bytes() {
    let sha = cid_of(DAG_CBOR, DATA);
    for cid in
        [sha, Cid::new_v0(*sha.hash()).expect("a CIDv0"), blake3(), cid(RAW, 0, b""), cid(0x3f_ffff, 0x13, &[9; 64])]
    {
        let bytes = cid.to_bytes();
        assert_eq!(cid_from_bytes(&bytes).expect("its own bytes"), cid);
        for cut in 0..bytes.len() {
            // Cutting a CIDv1 cannot leave another CID: the length of the digest is written in front of it.
            assert!(cid_from_bytes(&bytes[..cut]).is_err(), "{cid} cut to {cut} bytes");
        }
        assert!(cid_from_bytes(&[bytes, vec![0]].concat()).is_err(), "{cid} and a byte");
    }
}

#[test]
fn cids_in_another_encoding_are_refused() {
    let bytes = cid_of(RAW, DATA).to_bytes();
    let overlong_version = [&[0x81, 0x00], &bytes[1..]].concat();
    let overlong_codec = [&[0x01, 0xd5, 0x00], &bytes[2..]].concat();
    let overlong_hash_code = [&bytes[..2], &[0x92, 0x00], &bytes[3..]].concat();
    let version_2 = [&[0x02], &bytes[1..]].concat();
    let version_0_in_words = [&[0x00], &bytes[1..]].concat();
    let too_long_digest = [&bytes[..3], &[65], &[1; 65][..]].concat();
    for bad in [overlong_version, overlong_codec, overlong_hash_code, version_2, version_0_in_words, too_long_digest] {
        assert!(cid_from_bytes(&bad).is_err(), "{bad:02x?}");
    }
}
