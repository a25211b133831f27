//! The constructors that take a database answer as the published ones do, errors included.

use mnem_core::id::{CODEC_RAW, Cid, Multihash};
use mnem_store_traits::Bytes;

use crate::support::{Stores, block, both};

/// Every call once or more, and what it answered.
fn answers((blocks, heads): &Stores) -> Vec<String> {
    let [a, b, c] = [1, 2, 3].map(|n| block(n).0);
    let wrong = || Bytes::from_static(b"other bytes");
    let unknown = Cid::new(CODEC_RAW, Multihash::wrap(0xb240, &[7; 32]).unwrap());
    vec![
        format!("{:?}", blocks.has(&a)),
        format!("{:?}", heads.current()),
        format!("{:?}", blocks.put(a.clone(), block(1).1)),
        format!("{:?}", blocks.put(a.clone(), block(1).1)),
        format!("{:?}", blocks.put(b.clone(), wrong())),
        format!("{:?}", blocks.put(unknown.clone(), wrong())),
        format!("{:?}", blocks.get(&unknown)),
        format!("{:?}", blocks.batch_put(&mut [block(3), (b.clone(), wrong())].into_iter())),
        format!("{:?}", blocks.has(&c)),
        format!("{:?}", blocks.batch_put(&mut [block(3), block(4)].into_iter())),
        format!("{:?}", blocks.put_trusted(b.clone(), wrong())),
        format!("{:?}", blocks.get(&b)),
        format!("{:?}", blocks.get(&c)),
        format!("{:?}", blocks.all_cids()),
        format!("{:?}", blocks.delete(&c)),
        format!("{:?}", blocks.delete(&c)),
        format!("{:?}", blocks.get(&c)),
        format!("{:?}", heads.update(b.clone(), &[])),
        format!("{:?}", heads.update(a.clone(), std::slice::from_ref(&c))),
        format!("{:?}", heads.current()),
        format!("{:?}", heads.update(c.clone(), &[a.clone(), b.clone()])),
        format!("{:?}", heads.current()),
        format!("{:?}", heads.update(c.clone(), std::slice::from_ref(&c))),
        format!("{:?}", heads.current()),
        format!("{blocks:?} {heads:?}"),
    ]
}

#[test]
fn every_call_answers_as_the_published_crate_does() {
    let folder = tempfile::tempdir().unwrap();
    let [theirs, ours] = both(folder.path());
    let answers = [answers(&theirs), answers(&ours)];
    assert!(answers[0].iter().any(|answer| answer.contains("Corruption")), "{answers:#?}");
    assert_eq!(answers[0], answers[1]);
}
