//! The generator of the large archive, on a dictionary of four synsets.

use std::{collections::BTreeMap, fs, process::Command};

use mnem_storage::car::{self, ImportOptions};
use mnem_store_traits::{Blockstore, BlockstoreExt, MemoryStore, Walk};

const NOUNS: &str = "  1 a licence, indented\n\
    00001740 03 n 01 entity 0 002 ~ 00001930 n 0000 + 00692718 a 0101 | that which exists  \n\
    00001930 03 n 02 physical_entity 0 thing 0 001 @ 00001740 n 0000 | an entity that is physical  \n";
/// Two verbs, each a hypernym of the other, as exists in WordNet.
const VERBS: &str = "00002421 29 v 01 restrain 0 001 @ 00002422 v 0000 01 + 08 00 | hold back  \n\
    00002422 29 v 01 inhibit 0 001 @ 00002421 v 0000 01 + 08 00 | keep back  \n";
const ADJECTIVES: &str = "00692718 00 s 01 real 0 001 & 00692718 a 0000 | being\n";

#[test]
fn a_whole_graph_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [("noun", NOUNS), ("verb", VERBS), ("adj", ADJECTIVES), ("adv", "")] {
        fs::write(folder.path().join(format!("data.{file}")), text).unwrap();
    }
    let archive = folder.path().join("out.car");
    let made = Command::new(env!("CARGO_BIN_EXE_wordnet-car")).arg(folder.path()).arg(&archive).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let store = MemoryStore::new();
    let report =
        car::import(&store, fs::File::open(&archive).unwrap(), &ImportOptions::new(), &mut mnem_storage::unwatched)
            .unwrap();
    let [root] = report.roots.as_slice() else { panic!("{report:?}") };
    assert_eq!(store.missing_links(root).unwrap(), []);
    let mut kinds = BTreeMap::new();
    for block in Walk::new(&store, *root) {
        let (_, data) = block.unwrap();
        let text = String::from_utf8_lossy(&data).into_owned();
        let kind = ["commit", "page", "node", "edges"]
            .into_iter()
            .find(|kind| text.contains(&format!("_kind{}", framed(kind))));
        *kinds.entry(kind.unwrap()).or_insert(0) += 1;
    }
    assert_eq!(kinds, BTreeMap::from([("commit", 1), ("edges", 5), ("node", 5), ("page", 1)]));
    assert_eq!(store.cids().unwrap().count(), 12);
}

/// A short text as CBOR.
fn framed(text: &str) -> String {
    format!("{}{text}", (0x60 + text.len() as u8) as char)
}
