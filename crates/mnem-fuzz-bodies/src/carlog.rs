//! Altered files of a carlog store: a segment, an index run, the manifest.

use std::{fs, path::PathBuf, sync::OnceLock};

use mnem_backend_carlog::{CarlogStore, OpenOptions};
use mnem_storage::{Blockstore as _, Bytes, Cid, OpHeadsStore as _, RAW, Store as _, StoreError, WriteBatch, cid_of};

use crate::redb_file::{EDIT, apply};

const PAGE: usize = 4096;

/// Bytes of a page without its MAC.
const PAYLOAD: usize = PAGE - 16;

/// The files of the golden store.
const FILES: [(&str, &[u8]); 10] = [
    ("format", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/format")),
    ("manifest", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/manifest")),
    ("rows-000004", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/rows-000004")),
    ("run-000002", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/run-000002")),
    ("run-000003", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/run-000003")),
    ("run-000004", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/run-000004")),
    ("seg-000001.car", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/seg-000001.car")),
    ("seg-000002.car", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/seg-000002.car")),
    ("seg-000003.car", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/seg-000003.car")),
    ("state", include_bytes!("../../mnem-backend-carlog/tests/golden/1.carlog/state")),
];

/// The contents of the golden store.
struct Sample {
    blocks: Vec<(Cid, Bytes)>,
    heads: Vec<Cid>,
}

struct Place(tempfile::TempDir);

impl Place {
    fn root(&self) -> PathBuf {
        self.0.path().join("s.carlog")
    }

    /// Writes the golden store, with other bytes in one file.
    fn restore(&self, name: &str, bytes: &[u8]) {
        let root = self.root();
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).expect("make a folder");
        for (kept, whole) in FILES {
            let bytes = if kept == name { bytes } else { whole };
            fs::write(root.join(kept), bytes).expect("write");
        }
    }

    fn open(&self, read_only: bool) -> Result<CarlogStore, StoreError> {
        OpenOptions::new().read_only(read_only).index_bounds(12, 3_000).index_thread(false).open(self.root())
    }
}

thread_local! {
    static PLACE: Place = Place(tempfile::tempdir().expect("a temporary folder"));
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let place = Place(tempfile::tempdir().expect("a temporary folder"));
        place.restore("", &[]);
        let store = place.open(true).expect("a kept store opens");
        let cids = store.cids().expect("cids").map(|cid| cid.expect("a CID"));
        let blocks = cids.map(|cid| (cid, store.get(&cid).expect("get").expect("a listed block"))).collect();
        Sample { blocks, heads: store.heads().expect("heads") }
    })
}

fn kept(name: &str) -> &'static [u8] {
    FILES.iter().find(|(kept, _)| *kept == name).map_or(&[], |(_, bytes)| bytes)
}

/// Whether the handle only reads, the bytes of the file, and whether they get matching checksums. The input is a list
/// of edits to the golden file, or a whole file.
fn altered(name: &str, data: &[u8]) -> Option<(bool, Vec<u8>, bool)> {
    let (choice, rest) = data.split_first()?;
    if choice & 4 != 0 {
        return Some((choice & 2 != 0, rest.to_vec(), choice & 8 != 0));
    }
    let mut bytes = kept(name).to_vec();
    for edit in rest.chunks_exact(EDIT) {
        apply(edit, &mut bytes);
    }
    Some((choice & 2 != 0, bytes, choice & 8 != 0))
}

/// Opens the store, reads everything and writes. Bytes must match their CID. No block may be absent, unless `may_lack`.
fn check(read_only: bool, name: &str, bytes: &[u8], may_lack: bool) {
    PLACE.with(|place| {
        place.restore(name, bytes);
        let Ok(store) = place.open(read_only) else { return };
        let sample = sample();
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
        let _ = store.commit(WriteBatch::new().put(cid, data).update(cid, []));
        let _ = store.close();
    });
}

/// The first or the second segment of three. All of their commits were acknowledged.
pub fn carlog_segment(data: &[u8]) {
    let name = if data.first().is_some_and(|choice| choice & 1 != 0) { "seg-000001.car" } else { "seg-000002.car" };
    if let Some((read_only, bytes, _)) = altered(name, data) {
        check(read_only, name, &bytes, false);
    }
}

/// The newest run. Some inputs get pages with matching MACs, which only the store itself could make: they may name any
/// place for a block, and the bytes must still match the CID.
pub fn carlog_run(data: &[u8]) {
    if let Some((read_only, mut bytes, is_sealed)) = altered("run-000004", data) {
        if is_sealed {
            let keys = Keys::of(kept("format"));
            for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate() {
                let (payload, mac) = page.split_at_mut(PAYLOAD);
                mac.copy_from_slice(&keys.page_mac(4, number as u64, payload));
            }
        }
        check(read_only, "run-000004", &bytes, is_sealed);
    }
}

/// The manifest. Some inputs get a matching checksum: they may name other files and other heads.
pub fn carlog_manifest(data: &[u8]) {
    if let Some((read_only, mut bytes, is_sealed)) = altered("manifest", data) {
        if is_sealed {
            let last = bytes.strip_suffix(b"\n").unwrap_or(&bytes).iter().rposition(|byte| *byte == b'\n');
            bytes.truncate(last.map_or(0, |at| at + 1));
            let digest =
                cid_of(RAW, &bytes).hash().digest().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            bytes.extend(format!("sha256 {digest}\n").into_bytes());
        }
        check(read_only, "manifest", &bytes, is_sealed);
    }
}

/// The secrets of the golden store.
struct Keys {
    store: Vec<u8>,
    log: [u8; 32],
}

impl Keys {
    fn of(format: &[u8]) -> Self {
        let text = str::from_utf8(format).expect("text");
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).expect("a line").as_bytes();
        let digit = |digit: u8| char::from(digit).to_digit(16).expect("a digit") as u8;
        let bytes = |hex: &[u8]| hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect::<Vec<u8>>();
        Self { store: bytes(line("store ")), log: bytes(line("log-key ")).try_into().expect("32 bytes") }
    }

    fn page_mac(&self, run: u64, page: u64, payload: &[u8]) -> [u8; 16] {
        let mut mac = blake3::Hasher::new_keyed(&self.log);
        mac.update(b"page").update(&self.store).update(&run.to_le_bytes()).update(&page.to_le_bytes()).update(payload);
        *mac.finalize().as_bytes().first_chunk().expect("16 bytes")
    }
}
