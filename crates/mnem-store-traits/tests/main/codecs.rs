//! What is known about codecs, and what walks report about those they do not follow.

use std::collections::BTreeSet;

use mnem_store_traits::{
    Blockstore as _, BlockstoreExt as _, Bytes, Cid, DAG_CBOR, DAG_JSON, DAG_PB, LinkSupport, MemoryStore, RAW, Walk,
    cid_of, codec_name, is_opaque, link_support, links,
};

#[test]
fn a_codec_is_opaque_unless_something_is_known_of_it() {
    let followed = [DAG_CBOR, DAG_PB, DAG_JSON];
    let without = [RAW, 0x00, 0x51, 0x72, 0x0200];
    for codec in 0..0x1_0000 {
        let expected = match codec {
            codec if followed.contains(&codec) => LinkSupport::Followed,
            codec if without.contains(&codec) => LinkSupport::None,
            _ => LinkSupport::Opaque,
        };
        assert_eq!(link_support(codec), expected, "{codec:#x}");
        assert_eq!(is_opaque(&cid_of(codec, b"")), expected == LinkSupport::Opaque, "{codec:#x}");
        // A codec that is not followed is not decoded either.
        if expected != LinkSupport::Followed {
            assert_eq!(links(&cid_of(codec, b"\xff"), b"\xff").expect("a leaf"), [], "{codec:#x}");
        }
    }
    assert_eq!(link_support(u64::MAX), LinkSupport::Opaque);
    assert!(!is_opaque(&Cid::new_v0(*cid_of(RAW, b"").hash()).expect("a CIDv0")));
}

#[test]
fn names_are_those_of_the_multicodec_table() {
    let known = [(0x70, "dag-pb"), (0x71, "dag-cbor"), (0x78, "git-raw"), (0x85, "dag-jose"), (0x0202, "car")];
    for (codec, name) in known {
        assert_eq!(codec_name(codec), Some(name));
    }
    assert_eq!(codec_name(0x3f_ffff), None);
    let names: Vec<_> = (0..0x1000).filter_map(codec_name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

#[test]
fn a_walk_counts_the_blocks_that_it_did_not_look_into() {
    let store = MemoryStore::new();
    let put = |codec, data: &str| store.put_as(codec, Bytes::copy_from_slice(data.as_bytes())).expect("put");
    let (hidden, plain) = (put(RAW, "hidden"), put(RAW, "plain"));
    let jose = put(0x85, &hidden.to_string());
    let unknown = put(0x3f_ffff, "?");
    let of = |cids: &[Cid]| {
        let links: Vec<String> = cids.iter().map(|cid| format!(r#"{{"/":"{cid}"}}"#)).collect();
        put(DAG_JSON, &format!("[{}]", links.join(",")))
    };
    let inner = of(&[jose, plain]);
    let root = of(&[unknown, inner, jose]);
    let mut walk = Walk::new(&store, root);
    let walked: Vec<(Cid, u64)> = std::iter::from_fn(|| {
        let (cid, _) = walk.next()?.expect("a block");
        Some((cid, walk.opaque()))
    })
    .collect();
    assert_eq!(walked, [(root, 0), (unknown, 1), (inner, 1), (jose, 2), (plain, 2)]);
    // An absent block does not count as one whose links were not followed.
    store.delete(&jose).expect("deleted");
    let mut walk = Walk::new(&store, root);
    assert_eq!(walk.by_ref().filter(Result::is_err).count(), 1);
    assert_eq!(walk.opaque(), 1);
}
