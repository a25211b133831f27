//! Altered objects of a bucket store, in a folder: an entry of the log, a checkpoint, a pack.

use std::{fs, path::PathBuf, sync::OnceLock, time::Duration};

use mnem_backend_bucket::{BucketStore, OpenOptions};
use mnem_car::{Reader, SectionOffsets};
use mnem_storage::{
    Blockstore as _, Bytes, Cid, DAG_CBOR, OpHeadsStore as _, RAW, Store as _, StoreError, WriteBatch, cid_of,
};

use crate::redb_file::{EDIT, apply};

macro_rules! golden {
    ($store:literal: $($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_bytes!(concat!("../../mnem-backend-bucket/tests/golden/", $store, "/", $name)),
        )),*]
    };
}

type Files = &'static [(&'static str, &'static [u8])];

/// The golden store with commits alone.
const PLAIN: Files = golden!(
    "1.bucket":
    "mnem",
    "ckpt/00000000000000000005-00000000000000000000",
    "log/00000000000000000000.car",
    "log/00000000000000000001.car",
    "log/00000000000000000002.car",
    "log/00000000000000000003.car",
    "log/00000000000000000004.car",
    "log/00000000000000000005.car",
    "log/00000000000000000006.car",
    "log/00000000000000000007.car",
    "pack/f71446510f725570b4d8fdd32a556d907d2a370a9dc9106571b45f7ec64830a2.car",
);

/// The golden store that was compacted. It has the same contents.
const COMPACTED: Files = golden!(
    "1-compacted.bucket":
    "mnem",
    "ckpt/00000000000000000010-00000000000000000000",
    "log/00000000000000000000.car",
    "log/00000000000000000001.car",
    "log/00000000000000000002.car",
    "log/00000000000000000003.car",
    "log/00000000000000000004.car",
    "log/00000000000000000005.car",
    "log/00000000000000000006.car",
    "log/00000000000000000007.car",
    "log/00000000000000000008.car",
    "log/00000000000000000009.car",
    "pack/dd7f4f3380d10b966d3bf39e44d77954ce435af8a5a37d494001f64f56f62c3a.car",
);

/// The contents of the golden stores.
struct Sample {
    blocks: Vec<(Cid, Bytes)>,
    heads: Vec<Cid>,
}

/// An altered object, and how its store is opened.
struct Altered {
    files: Files,
    name: &'static str,
    bytes: Vec<u8>,
    /// The bytes get a matching hash: they may say anything.
    is_sealed: bool,
    read_only: bool,
    without_checkpoints: bool,
    compacts: bool,
}

struct Place(tempfile::TempDir);

impl Place {
    fn root(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn restore(&self, files: Files, altered: Option<&Altered>) {
        let root = self.root();
        let _ = fs::remove_dir_all(&root);
        for folder in ["log", "pack", "ckpt"] {
            fs::create_dir_all(root.join(folder)).expect("make a folder");
        }
        for (name, whole) in files {
            if altered.is_some_and(|altered| altered.without_checkpoints) && name.starts_with("ckpt/") {
                continue;
            }
            let bytes = altered.filter(|altered| altered.name == *name).map_or(*whole, |altered| &altered.bytes);
            fs::write(root.join(name), bytes).expect("write");
        }
    }

    fn open(&self, read_only: bool) -> Result<BucketStore, StoreError> {
        let options = OpenOptions::new().read_only(read_only).give_up(Duration::ZERO).retry_pause(Duration::ZERO);
        options.grace(Duration::ZERO).open(self.root())
    }
}

thread_local! {
    static PLACE: Place = Place(tempfile::tempdir().expect("a temporary folder"));
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let place = Place(tempfile::tempdir().expect("a temporary folder"));
        place.restore(PLAIN, None);
        let store = place.open(true).expect("a kept store opens");
        let cids = store.cids().expect("cids").map(|cid| cid.expect("a CID"));
        let blocks = cids.map(|cid| (cid, store.get(&cid).expect("get").expect("a listed block"))).collect();
        Sample { blocks, heads: store.heads().expect("heads") }
    })
}

/// The first byte says how, the second which object: one of those in `folder`. The rest is a list of edits to it, or a
/// whole object.
fn altered(folder: &str, data: &[u8]) -> Option<Altered> {
    let [choice, which, rest @ ..] = data else { return None };
    let files = if choice & 1 == 0 { PLAIN } else { COMPACTED };
    let ours: Vec<_> = files.iter().filter(|(name, _)| name.starts_with(folder)).collect();
    let (name, whole) = ours.get(usize::from(*which) % ours.len())?;
    let mut bytes = if choice & 4 == 0 { whole.to_vec() } else { rest.to_vec() };
    if choice & 4 == 0 {
        for edit in rest.chunks_exact(EDIT) {
            apply(edit, &mut bytes);
        }
    }
    Some(Altered {
        files,
        name,
        bytes,
        is_sealed: choice & 8 != 0,
        read_only: choice & 2 != 0,
        without_checkpoints: choice & 16 != 0,
        compacts: choice & 32 != 0,
    })
}

/// Opens the store, reads everything, and writes. Bytes must match their CID. Unless the altered object has a
/// matching hash, no block may be absent, and the heads stay.
fn check(altered: &Altered) {
    PLACE.with(|place| {
        place.restore(altered.files, Some(altered));
        let Ok(store) = place.open(altered.read_only) else { return };
        let (sample, may_lack) = (sample(), altered.is_sealed);
        for (cid, data) in &sample.blocks {
            match store.get(cid) {
                Ok(Some(found)) => assert_eq!(found, *data, "other bytes for {cid}"),
                Ok(None) => assert!(may_lack, "{cid} is absent"),
                Err(_) => {}
            }
        }
        if let Ok(heads) = store.heads() {
            assert!(may_lack || heads == sample.heads, "other heads: {heads:?}");
        }
        if let Ok(listing) = store.cids() {
            assert!(listing.take(10_000).count() < 10_000, "a listing without an end");
        }
        let table = store.side_table("t").expect("a table");
        if let Ok(keys) = table.keys(b"") {
            keys.take(1_000).filter_map(Result::ok).for_each(|key| drop(table.get(&key)));
        }
        let data = Bytes::from_static(b"written to an altered store");
        let cid = cid_of(RAW, &data);
        let written = store.commit(WriteBatch::new().put(cid, data.clone()).update(cid, []));
        if altered.compacts {
            let _ = store.compact();
        }
        if written.is_ok() && !may_lack {
            assert_eq!(store.get(&cid).expect("a block that was just written"), Some(data));
        }
        let _ = store.close();
    });
}

/// An entry of the log: a commit, a compaction, or a tombstone. Some get a record that matches its CID, which only the
/// last entry can have: the next one names it.
pub fn bucket_entry(data: &[u8]) {
    if let Some(mut altered) = altered("log/", data) {
        if altered.is_sealed {
            seal_record(&mut altered.bytes);
        }
        check(&altered);
    }
}

/// A checkpoint. Some get a matching sum: they may name any place for a block.
pub fn bucket_checkpoint(data: &[u8]) {
    if let Some(mut altered) = altered("ckpt/", data) {
        if altered.is_sealed
            && let Some((body, sum)) = altered.bytes.split_last_chunk_mut::<32>()
        {
            sum.copy_from_slice(cid_of(RAW, body).hash().digest());
        }
        check(&altered);
    }
}

/// A pack. A reader uses the bytes of its blocks alone, and their hashes protect these.
pub fn bucket_pack(data: &[u8]) {
    if let Some(mut altered) = altered("pack/", data) {
        altered.is_sealed = false;
        check(&altered);
    }
}

/// Gives the record, the first block of the archive, the CID that its bytes have.
fn seal_record(bytes: &mut [u8]) {
    let Some(section) = first_section(bytes) else { return };
    let [cid_at, start, end] = [section.cid_offset, section.data_offset, section.end()].map(|at| at as usize);
    let Some(cid) = bytes.get(start..end).map(|record| cid_of(DAG_CBOR, record).to_bytes()) else { return };
    if let Some(place) = bytes.get_mut(cid_at..start).filter(|place| place.len() == cid.len()) {
        place.copy_from_slice(&cid);
    }
}

fn first_section(bytes: &[u8]) -> Option<SectionOffsets> {
    Reader::new(bytes, u64::MAX).ok()?.next_offsets().ok()?
}
