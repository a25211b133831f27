//! Which file holds which block.

use mnem_store_traits::{
    Blockstore, Bytes, Cid, DAG_CBOR, ErrorKind, RAW,
    cid::Version::{V0, V1},
    cid_of,
};

use crate::support::{Home, cid_like, create};

const MIB: usize = 1024 * 1024;

#[test]
fn a_file_is_named_by_the_text_of_its_cid_and_holds_exactly_the_block() {
    let home = Home::new();
    let store = create(&home.path);
    let data = Bytes::from_static(b"hello world");
    let cid = cid_of(RAW, &data);
    store.put(&cid, data.clone()).unwrap();
    let name = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    assert_eq!(cid.to_string(), name);
    assert_eq!(std::fs::read(home.file(&format!("objects/n5/{name}"))).unwrap(), data);
}

#[test]
fn every_part_of_the_cid_counts() {
    let home = Home::new();
    let store = create(&home.path);
    let data = Bytes::from_static(b"the same bytes");
    let sha = cid_of(RAW, &data);
    let cids = [
        sha,
        cid_of(DAG_CBOR, &data),
        cid_like(V0, 0x70, 0x12, sha.hash().digest()),
        cid_like(V1, 0x70, 0x12, sha.hash().digest()),
        cid_like(V1, RAW, 0x00, &data),
        cid_like(V1, RAW, 0x3f_0001, sha.hash().digest()),
        cid_like(V1, u64::MAX >> 1, 0x00, &data),
    ];
    for (number, cid) in cids.iter().enumerate() {
        assert_eq!(store.get(cid).unwrap(), None, "{cid}");
        assert!(!store.has(cid).unwrap());
        store.put_trusted(cid, data.clone()).unwrap();
        assert_eq!(store.get(cid).unwrap(), Some(data.clone()), "{cid}");
        assert_eq!(store.cids().unwrap().count(), number + 1);
    }
    let mut listed: Vec<Cid> = store.cids().unwrap().map(Result::unwrap).collect();
    let mut expected = cids.to_vec();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert_eq!(store.foreign().unwrap(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_longest_and_the_shortest_names_are_taken() {
    let home = Home::new();
    let store = create(&home.path);
    let long = Bytes::from(vec![0x5a; 64]);
    let longest = cid_like(V1, u64::MAX >> 1, 0x00, &long);
    let shortest = cid_like(V1, RAW, 0x00, b"");
    store.put(&longest, long.clone()).unwrap();
    store.put(&shortest, Bytes::new()).unwrap();
    assert_eq!(store.get(&longest).unwrap(), Some(long));
    assert_eq!(store.get(&shortest).unwrap(), Some(Bytes::new()));
    assert_eq!(store.size(&shortest).unwrap(), Some(0));
    assert_eq!(store.cids().unwrap().map(Result::unwrap).filter(|cid| [longest, shortest].contains(cid)).count(), 2);
}

#[test]
fn no_cid_makes_a_path_that_leads_elsewhere() {
    let home = Home::new();
    let store = create(&home.path);
    let beside = home.folder.path().join("beside");
    std::fs::write(&beside, b"somebody's").unwrap();
    let hostile: [&[u8]; 8] =
        [b"../../../beside", b"/beside", b"..", b".", b"a/b/c", b"a\0b", b"objects\n", &[0xff; 60]];
    for data in hostile {
        let cid = cid_like(V1, RAW, 0x00, data);
        store.put(&cid, Bytes::copy_from_slice(data)).unwrap();
        assert_eq!(store.get(&cid).unwrap().as_deref(), Some(data));
        let file = home.block_file(&cid);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{name}");
        assert_eq!(std::fs::read(&file).unwrap(), data);
    }
    assert_eq!(store.cids().unwrap().count(), hostile.len());
    assert_eq!(store.foreign().unwrap(), Vec::<std::path::PathBuf>::new());
    assert_eq!(std::fs::read(beside).unwrap(), b"somebody's");
    assert_eq!(home.folder.path().read_dir().unwrap().count(), 2);
    for cid in hostile.map(|data| cid_like(V1, RAW, 0x00, data)) {
        store.delete(&cid).unwrap();
    }
    assert_eq!(store.cids().unwrap().count(), 0);
}

#[test]
fn blocks_up_to_the_limit_are_taken_and_no_larger_ones() {
    let home = Home::new();
    let store = create(&home.path);
    let max = store.capabilities().block_bytes_max;
    assert_eq!(max, 64 * MIB as u64);
    let data = Bytes::from(vec![7; 64 * MIB + 1]);
    let cid = cid_of(RAW, &data);
    for error in [
        store.put(&cid, data.clone()).unwrap_err(),
        store.put_trusted(&cid, data.clone()).unwrap_err(),
        store.put_many(&mut [Ok((cid, data.clone()))].into_iter()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::BlockTooLarge);
    }
    assert_eq!(store.cids().unwrap().count(), 0);
    let data = data.slice(..64 * MIB);
    let cid = cid_of(RAW, &data);
    store.put(&cid, data.clone()).unwrap();
    assert_eq!(store.get(&cid).unwrap(), Some(data));
}
