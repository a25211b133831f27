//! Checking bytes against CIDs, and reading CIDs from bytes.

use mnem_store_traits::{
    Cid, DAG_CBOR, ErrorKind, RAW,
    backend::{HashCheck, check_block, check_hash, check_read, check_size},
    cid::multihash::Multihash,
    cid_from_bytes, cid_of, is_checkable, supported_hashes,
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
    // Computed independently with `printf hello | sha256sum`.
    let known = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
    assert_eq!(cid_of(RAW, DATA).to_string(), known);
    assert_eq!(check_hash(&known.parse().expect("a CID"), DATA), HashCheck::Match);
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// Computed independently with `printf hello |` and `sha256sum`, `sha512sum`, `b2sum -l 256`, `b3sum`.
#[test]
fn known_digests_are_computed() {
    let known = [
        ("sha2-256", 0x12, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        (
            "sha2-512",
            0x13,
            "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
        ),
        ("blake2b-256", 0xb220, "324dcf027dd4a30a932c441f365a25e86b173defa4b8e58948253471b81b72cf"),
        ("blake3", 0x1e, "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"),
        ("identity", 0x00, "68656c6c6f"),
    ];
    for function in supported_hashes() {
        let (_, code, digest) = known.iter().find(|(name, ..)| *name == function.name()).expect("a known digest");
        let hash = function.multihash(DATA).expect("5 bytes");
        assert_eq!((hash.code(), hash.digest(), function.code()), (*code, &*hex(digest), *code), "{function:?}");
        let whole = u8::try_from(hex(digest).len()).expect("short");
        assert!(function.digest_bytes().is_none_or(|bytes| bytes == whole), "{function:?}");
    }
    let names: Vec<&str> = supported_hashes().iter().map(|function| function.name()).collect();
    assert_eq!(names[..4], ["sha2-256", "blake3", "identity", "sha2-512"]);
    assert_eq!(names.get(4).copied(), cfg!(feature = "blake2b").then_some("blake2b-256"));
}

#[test]
fn an_unsupported_hash_function_is_told_with_those_that_are_supported() {
    let error = check_block(&cid(RAW, 0x11, &[1; 20]), DATA).expect_err("sha1").to_string();
    assert!(
        error.contains("0x11 with a digest of 20 bytes is not supported (sha2-256 with 32 bytes, blake3"),
        "{error}"
    );
    let checked = check_block(&cid(RAW, 0xb220, &[1; 32]), DATA).expect_err("wrong bytes, or no such function");
    match cfg!(feature = "blake2b") {
        true => assert_eq!(checked.kind(), ErrorKind::CidMismatch),
        false => assert!(checked.to_string().contains("feature `blake2b` adds"), "{checked}"),
    }
}

#[test]
fn every_supported_hash_function_tells_right_from_wrong() {
    let sha = cid_of(RAW, DATA);
    let v0 = Cid::new_v0(*sha.hash()).expect("a CIDv0");
    let supported = supported_hashes().iter().map(|f| Cid::new_v1(RAW, f.multihash(DATA).expect("5 bytes")));
    for cid in [v0, cid_of(DAG_CBOR, DATA)].into_iter().chain(supported) {
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
        cid(RAW, 0x11, &[1; 20]),
        cid(RAW, 0x3f_0001, &[1; 64]),
        cid(RAW, 0x13, &[1; 32]),
        cid(RAW, 0x13, &[1; 63]),
        cid(RAW, 0xb220, &[1; 31]),
        cid(RAW, 0xb220, &[1; 64]),
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
    assert!(error.to_string().contains("has 5 bytes, above the limit of 4 bytes"), "{error}");
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
            // A prefix of a CIDv1 is never another CID, because the length of the digest precedes it.
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
