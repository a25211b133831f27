//! Files whose raw pages are scanned: altered redb files, and arbitrary bytes.

use std::fs;

use mnem_backend_redb::DRIVER;
use mnem_storage::driver::{Driver as _, OpenOptions, RawFind};

use crate::redb_file::{EDIT, apply, samples};

/// The first byte selects a golden file, and the rest is a list of edits to it; or the rest is the file.
pub fn redb_pages(data: &[u8]) {
    let Some((choice, edits)) = data.split_first() else { return };
    if choice & 4 != 0 {
        scan(edits);
        return;
    }
    let Some(sample) = samples().get(usize::from(choice & 1)) else { return };
    let mut bytes = sample.bytes.to_vec();
    for edit in edits.chunks_exact(EDIT) {
        apply(edit, &mut bytes);
    }
    let found = scan(&bytes);
    if bytes == sample.bytes {
        let checkable = sample.blocks.iter().filter(|(cid, _)| mnem_storage::is_checkable(cid));
        checkable.for_each(|(cid, _)| assert!(found.contains(&cid.to_bytes()), "{cid} is not found"));
    }
}

/// Scans a file. Returns the CIDs of the blocks that could be read. They must be right, and together no larger than the
/// file.
fn scan(bytes: &[u8]) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("fuzzed.redb");
    fs::write(&path, bytes).expect("write");
    let scan = DRIVER.scan_raw(&path.into(), &OpenOptions::new()).expect("a scan");
    let mut scan = scan.expect("a file is there");
    let (mut found, mut named, mut block_bytes, mut scanned) = (Vec::new(), 0, 0, 0);
    while let Some(step) = scan.next() {
        match step.expect("the file can be read") {
            RawFind::Block(cid) => {
                named += 1;
                if let Some(data) = scan.read().expect("the file can be read") {
                    let right = mnem_storage::Blockstore::put(&mnem_storage::MemoryStore::new(), &cid, data.clone());
                    assert!(right.is_ok(), "other bytes for {cid}");
                    block_bytes += data.len();
                    found.push(cid.to_bytes());
                }
            }
            RawFind::Head(_) => named += 1,
            RawFind::Scanned(bytes) => scanned += bytes,
            _ => {}
        }
    }
    assert!(block_bytes <= bytes.len(), "{block_bytes} bytes of blocks in a file of {}", bytes.len());
    // A key has at least four bytes, and each page names only what is in it and in the next one.
    assert!(named <= bytes.len(), "{named} names in a file of {} bytes", bytes.len());
    assert_eq!((scanned, scan.total_bytes()), (bytes.len() as u64, bytes.len() as u64));
    found
}
