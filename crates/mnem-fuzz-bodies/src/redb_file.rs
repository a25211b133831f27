//! Altered redb files, opened with our backend.

use std::sync::OnceLock;

use mnem_backend_redb::{Check, OpenOptions, RedbStore};
use mnem_storage::{Blockstore as _, Bytes, Cid, OpHeadsStore as _, Store as _, StoreError, WriteBatch};
use redb::{StorageBackend as _, backends::InMemoryBackend};

const PAGE: usize = 4096;

/// The bytes at the start of a file that name the last commit. A change there may take the file back to an earlier one.
const HEADER: usize = 320;

/// The bytes of one edit: a position (3), an operation (1), and its operand (1).
pub(crate) const EDIT: usize = 5;

/// A store's file and its content.
pub(crate) struct Sample {
    pub(crate) bytes: &'static [u8],
    pub(crate) blocks: Vec<(Cid, Bytes)>,
    heads: Vec<Cid>,
}

pub(crate) fn samples() -> &'static [Sample; 2] {
    static SAMPLES: OnceLock<[Sample; 2]> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        [
            sample(include_bytes!("../../mnem-storage/tests/golden/redb-native-1.redb")),
            sample(include_bytes!("../../mnem-storage/tests/golden/redb-mnem01.redb")),
        ]
    })
}

fn sample(bytes: &'static [u8]) -> Sample {
    let store = open(bytes, &OpenOptions::new()).expect("a kept store opens");
    let cids: Vec<Cid> = store.cids().expect("cids").map(|cid| cid.expect("a CID")).collect();
    // One block has the digest of other bytes, under a hash function that is not in every build.
    let get = |cid: Cid| match store.get(&cid) {
        Err(StoreError::Corrupt { .. }) => None,
        found => Some((cid, found.expect("get").expect("a listed block"))),
    };
    let blocks: Vec<_> = cids.iter().copied().filter_map(get).collect();
    assert!(blocks.len() + 1 >= cids.len(), "more than one block of a kept store is damaged");
    Sample { bytes, blocks, heads: store.heads().expect("heads") }
}

fn open(bytes: &[u8], options: &OpenOptions) -> Result<RedbStore, StoreError> {
    let medium = InMemoryBackend::new();
    medium.set_len(bytes.len() as u64).expect("memory");
    medium.write(0, bytes).expect("memory");
    options.clone().without_locks(true).cache_bytes(1 << 20).open_medium(medium, "fuzzed.redb")
}

/// The first byte selects the file and how to open it. The rest is a list of edits to that file, or a whole file.
pub fn redb_open(data: &[u8]) {
    let Some((choice, edits)) = data.split_first() else { return };
    // Only the check detects a tree without an end.
    let options = OpenOptions::new().read_only(choice & 2 != 0).check(Check::Always);
    if choice & 4 != 0 {
        if let Ok(store) = open(edits, &options) {
            read(&store, None, false);
        }
        return;
    }
    let Some(sample) = samples().get(usize::from(choice & 1)) else { return };
    let mut bytes = sample.bytes.to_vec();
    let mut in_header = false;
    for edit in edits.chunks_exact(EDIT) {
        in_header |= apply(edit, &mut bytes);
    }
    // Without a check, redb may panic, which must be contained. It may find blocks absent, but must not return other
    // bytes. A copied page may make a tree without an end, in which redb without a check would search forever.
    let copies = edits.chunks_exact(EDIT).any(|edit| edit.get(3).is_some_and(|what| what & 127 == 4));
    let unchecked = choice & 8 != 0 && !copies;
    let options = match (unchecked, choice & 16 != 0) {
        (false, _) => options,
        (true, false) => options.check(Check::Never),
        (true, true) => options.check(Check::Auto),
    };
    if let Ok(store) = open(&bytes, &options) {
        read(&store, Some(sample), in_header || unchecked);
    }
}

/// Applies an edit. Returns `true` if it changed the header.
pub(crate) fn apply(edit: &[u8], bytes: &mut Vec<u8>) -> bool {
    let &[a, b, c, what, with] = edit else { return false };
    let place = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    // Half of the positions are in the header.
    let at = if what & 128 != 0 { place % HEADER } else { place % bytes.len().max(1) };
    let page = at / PAGE * PAGE;
    match what & 127 {
        0 => bytes.get_mut(at).map(|byte| *byte ^= 1 << (with % 8)),
        1 => bytes.get_mut(at).map(|byte| *byte = with),
        2 => bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<8>()).map(|bytes| bytes.fill(with)),
        3 => bytes.get_mut(page..page + PAGE).map(|page| page.fill(with)),
        4 => {
            let other = usize::from(with) * PAGE % bytes.len().max(1) / PAGE * PAGE;
            let copied = bytes.get(other..other + PAGE).map(<[u8]>::to_vec);
            copied.and_then(|copied| bytes.get_mut(page..page + PAGE).map(|page| page.copy_from_slice(&copied)))
        }
        5 => {
            bytes.truncate(at);
            Some(())
        }
        _ => {
            bytes.resize(bytes.len() + usize::from(with) * 16, with);
            Some(())
        }
    };
    at < HEADER || page == 0 && matches!(what & 127, 3 | 4)
}

/// Reads everything, and writes. Blocks have their original bytes and, unless `may_lack`, are present.
fn read(store: &RedbStore, sample: Option<&Sample>, may_lack: bool) {
    for (cid, data) in sample.iter().flat_map(|sample| &sample.blocks) {
        match store.get(cid) {
            Ok(Some(found)) => {
                // Only the check protects bytes that no hash protects.
                assert!(found == *data || may_lack && !mnem_storage::is_checkable(cid), "other bytes for {cid}");
            }
            Ok(None) => assert!(may_lack, "{cid} is absent"),
            Err(_) => {}
        }
    }
    if let (Ok(heads), Some(sample)) = (store.heads(), sample) {
        assert!(may_lack || heads == sample.heads, "other heads: {heads:?}");
    }
    if let Ok(listing) = store.cids() {
        assert!(listing.take(100_000).count() < 100_000, "a listing without an end");
    }
    let data = Bytes::from_static(b"written to an altered file");
    let cid = mnem_storage::cid_of(mnem_storage::RAW, &data);
    let _ = store.commit(WriteBatch::new().put(cid, data).update(cid, []));
    let _ = store.close();
}
